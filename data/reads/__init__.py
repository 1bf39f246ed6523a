"""Reads of cells by the classes of isoforms that they fit."""
