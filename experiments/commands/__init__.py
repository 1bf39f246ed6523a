"""The commands of exvae."""
