"""Checks of arguments, so that a wrong one is named before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from .errors import DataError


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Give a whole number of at least ``least``; DataError for anything else.

    Examples
    --------
    >>> whole_number("topics", 20)
    20
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise DataError(f"{name} is {value!r}; give a whole number of at least {least}")
    return int(value)


def number_between(name: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Give a number from ``low`` to ``high``, both included; DataError for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise DataError(f"{name} is {value!r}; give a number from {low:g} to {high:g}")
    return float(value)


def listed(name: str, values: Any, example: str) -> list[Any]:
    """Give the values of a list, tuple or array; DataError for a single value or a string."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DataError(f"{name} is {values!r}; give a list, such as {example}")
    return list(values)


def require(argument: str, value: object, choices: Iterable[object]) -> None:
    """Raise ValueError unless an argument is one of its choices."""
    if value not in choices:
        raise ValueError(f"{argument} is {value!r}; choose one of {', '.join(map(str, choices))}")


def chosen(value: str | type, registered: Mapping[str, type], argument: str) -> type:
    """Look up a class by its name, or return a class as it is; ValueError for unknown names."""
    if isinstance(value, type):
        return value
    require(argument, value, registered)
    return registered[value]
