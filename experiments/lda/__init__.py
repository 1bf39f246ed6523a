"""Fitting and evaluation of topic models."""
