"""Errors of training, in a module without torch so that the command line can import it fast."""

from __future__ import annotations


class TrainingInterrupted(Exception):
    """Ctrl-C was pressed; the state is saved."""


class LossNotFinite(RuntimeError):
    """The loss is NaN or infinite; the checkpoint before it is kept."""
