"""Likelihoods of the models, and posteriors of expression."""
