"""Comparisons of simulated with reference data."""
