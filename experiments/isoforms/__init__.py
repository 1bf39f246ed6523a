"""Isoform models from cells to expression."""
