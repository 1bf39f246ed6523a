"""Errors of arguments and of training.

It imports no torch, so that the command line can import it fast.
"""

from __future__ import annotations

import signal

from ...data.errors import DataError


class TrainingInterrupted(Exception):
    """A signal such as Ctrl-C came; the state is saved.

    Parameters
    ----------
    message
        Where training was interrupted.
    number
        Number of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number


class LossNotFinite(RuntimeError):
    """The loss or a parameter is NaN or infinite; the checkpoint before it is kept."""


class ProcessEnded(Exception):  # Pyro would append the shapes of a trace to a RuntimeError
    """Another process of this fit has ended; the checkpoint before it is kept."""


class ArgumentError(DataError):
    """An argument that cannot be used; the message begins with its name.

    Attributes
    ----------
    on_command_line
        The message for users of the command, which name an option.
    """

    def __init__(self, message: str, on_command_line: str | None = None) -> None:
        super().__init__(message)
        name, _, told = message.partition(" ")
        self.on_command_line = on_command_line or f"--{name.replace('_', '-')} {told}"


def require_at_least_one(argument: str, value: int) -> None:
    """Raise an ArgumentError unless a number is at least 1."""
    if value < 1:
        raise ArgumentError(f"{argument} is {value}; give at least 1")


def require_positive(argument: str, value: float) -> None:
    """Raise an ArgumentError unless a number is above 0."""
    if not value > 0:
        raise ArgumentError(f"{argument} is {value}; give a positive number")
