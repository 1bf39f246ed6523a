"""Errors inside classes of a user, told in one line with file and line."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

from ...data.errors import DataError

# The package itself and what it stands on; all other code is a user's.
OWN = __name__.partition(".")[0]
_LIBRARIES = {OWN, "torch", "pyro", "numpy", "importlib", "contextlib"}

# Letters of a message; torch lists all values that it refuses.
_LONGEST = 250


def of_a_user(module: str) -> bool:
    """Whether a module, by its name, is of a user."""
    return module.partition(".")[0] not in _LIBRARIES


def place_of(error: BaseException) -> str:
    """File, line and function where a user's code failed; empty if no code of a user ran."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if of_a_user(frame.f_globals.get("__name__", OWN)):
            code = frame.f_code
            name = getattr(code, "co_qualname", code.co_name)
            place = f"{Path(code.co_filename).name}:{line} in {name}"
    return place


def reason_of(error: BaseException) -> str:
    """Type and message of an error in one line, without the shapes that Pyro appends."""
    message = shorten(str(error).partition("Trace Shapes:")[0], _LONGEST, placeholder=" ...")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


@contextmanager
def told_in_one_line(parts: Iterable[tuple[str, type]], doing: str) -> Iterator[None]:
    """Turn an error of a user's code, or under a user's class, into a DataError.

    Parameters
    ----------
    parts
        Classes at work, each after the argument that chose it.
    doing
        What they do, for messages.

    Raises
    ------
    DataError
        If code of a user fails, or ours while it works with a class of a user.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # the user's code may raise anything
        reason = reason_of(error)
        if place := place_of(error):
            raise DataError(f"{place}: {reason}") from error
        own = [f"{role} {cls.__name__}".strip() for role, cls in parts if of_a_user(cls.__module__)]
        if own:
            raise DataError(f"{', '.join(own)} fails {doing}: {reason}") from error
        raise
