"""Amortised guides, each the inverse of a model."""
