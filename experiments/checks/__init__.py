"""Posterior predictive checks: whether what a fit generates looks like what it was fitted to."""
