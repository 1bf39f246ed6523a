"""Fitting and evaluation of isoform models, and export of expression."""
