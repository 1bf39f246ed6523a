"""The errors of training, which the command line knows without loading torch."""

from __future__ import annotations


class TrainingInterrupted(Exception):
    """Ctrl-C was pressed, and the state has been saved."""


class LossNotFinite(RuntimeError):
    """The loss is NaN or infinite; the checkpoint before it is kept."""
