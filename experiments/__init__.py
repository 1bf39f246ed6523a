"""Training, evaluation, figures and the command line."""
