"""Exchangeable variational autoencoders in Pyro."""
