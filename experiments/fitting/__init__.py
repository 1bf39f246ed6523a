"""Training, and the folder of a fit."""
