"""Classes by registered name or as ``module:Class``, and the options of their constructors."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ...data.errors import DataError

# Arguments of constructors that --set does not list: they have options of their own, or none.
_CHOSEN_APART = {"decoder", "heads", "pooling"}


def find_class(name: str | type, registered: Mapping[str, str | type], argument: str) -> type:
    """Import a class.

    Parameters
    ----------
    name
        A registered name, or ``module:Class``, whose module may lie in the working folder. A class
        is returned as it is.
    registered
        The class, or its ``module:Class``, of each registered name.
    argument
        Name of the argument, for messages.

    Raises
    ------
    DataError
        If there is no such class, or its module cannot be imported.

    Examples
    --------
    >>> find_class("linear", {"linear": "torch.nn:Linear"}, "decoder")
    <class 'torch.nn.modules.linear.Linear'>
    """
    place = name if isinstance(name, type) else registered.get(name, name)
    if isinstance(place, type):
        return place
    module_name, colon, class_name = place.partition(":")
    if not colon:
        known = ", ".join(registered)
        raise DataError(f"{argument} is {name!r}; choose one of {known}, or give module:Class")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # the user's module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise DataError(
            f"{argument} {name} cannot be imported ({reason}); run where {module_name}.py lies, or "
            "install it"
        ) from error
    if not isinstance(found, type):
        raise DataError(f"{argument} {name} is no class; give module:Class")
    return found


def name_of(place: str | type | None) -> str | None:
    """Name by which :func:`find_class` finds a class, for a configuration; names stay.

    Examples
    --------
    >>> name_of(dict)
    'builtins:dict'
    """
    return f"{place.__module__}:{place.__qualname__}" if isinstance(place, type) else place


def options_of(cls: type) -> set[str]:
    """Names of keyword-only arguments of a constructor and of those it calls with ``**``."""
    return set(defaults_of(cls))


def defaults_of(cls: type) -> dict[str, Any]:
    """Default values of the arguments of :func:`options_of`, by name."""
    defaults: dict[str, Any] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()
        own = {part.name: part.default for part in parameters if part.kind is part.KEYWORD_ONLY}
        defaults = own | defaults  # a subclass goes before its bases
        if not any(part.kind is part.VAR_KEYWORD for part in parameters):
            break
    return defaults


def distribute(options: Mapping[str, Any], takers: Sequence[set[str]]) -> list[dict[str, Any]]:
    """Give each option to the constructor that takes it.

    Parameters
    ----------
    options
        Values by name.
    takers
        Names of the arguments of each constructor.

    Returns
    -------
    list of dict
        Options of each constructor.

    Raises
    ------
    DataError
        If no constructor takes an option, or several do.
    """
    shares: list[dict[str, Any]] = [{} for _ in takers]
    for name, value in options.items():
        places = [place for place, names in enumerate(takers) if name in names]
        if not places:
            known = ", ".join(sorted(set().union(*takers) - _CHOSEN_APART))
            raise DataError(f"there is no option {name}; choose one of {known}")
        if len(places) > 1:
            raise DataError(f"option {name} is both of the model and of the guide; rename one")
        shares[places[0]][name] = value
    return shares


def construct(cls: type, *arguments: Any, **options: Any) -> Any:
    """Call a constructor; its TypeError or ValueError becomes a DataError that names the class."""
    try:
        return cls(*arguments, **options)
    except (TypeError, ValueError) as error:
        raise DataError(f"{cls.__name__}: {error}") from error
