"""Distributions of what models observe, and posteriors of what they ask for."""
