"""Simulated data beside real data."""
