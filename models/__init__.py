"""Generative models as Pyro model functions, and the distributions that they observe."""
