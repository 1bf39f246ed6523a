"""Classes by registered name or as ``module:Class``, and which of them takes an option."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ...data.errors import DataError
from .constructors import check_model, check_options, options_of
from .errors import ArgumentError
from .user_code import OWN, place_of, reason_of, told_in_one_line

# Arguments of constructors that are chosen apart from options, or that classes give each other.
_CHOSEN_APART = {"decoder", "heads", "output_size", "pooling"}


def find_class(
    name: str | type,
    registered: Mapping[str, str | type],
    argument: str,
    kind: type = object,
    methods: Sequence[str] = (),
) -> type:
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
    kind
        Class that it must subclass.
    methods
        Methods that it must have, beside those of ``kind``.

    Raises
    ------
    DataError
        If there is no such class, it is of another kind, or its module cannot be imported.

    Examples
    --------
    >>> find_class("linear", {"linear": "torch.nn:Linear"}, "decoder")
    <class 'torch.nn.modules.linear.Linear'>
    """
    found = registered.get(name, name) if isinstance(name, str) else name
    if isinstance(found, str):
        found = _imported(found, registered, argument)
    label = name if isinstance(name, str) else getattr(name, "__name__", repr(name))
    if not isinstance(found, type):
        raise ArgumentError(f"{argument} {label} is no class; give module:Class or a class")
    if not issubclass(found, kind):
        place = "torch.nn" if kind is nn.Module else kind.__module__
        raise ArgumentError(f"{argument} {label} is no {place}.{kind.__name__}; subclass it")
    for method in methods:
        if getattr(found, method, None) is getattr(kind, method, None):
            raise ArgumentError(
                f"{argument} {label} has no method {method}; write it, docs/models.md says how"
            )
    return found


def _imported(place: str, registered: Mapping[str, str | type], argument: str) -> Any:
    """Import ``module:Class``."""
    module_name, colon, class_name = place.partition(":")
    if not colon:
        known = ", ".join(registered)
        raise ArgumentError(f"{argument} is {place!r}; choose one of {known}, or give module:Class")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the user's module may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_name
        where = place_of(error)
        remedy = (
            f"run where {module_name}.py lies, or install it"
            if missing
            else f"mend {where or module_name}"
        )
        raise ArgumentError(
            f"{argument} {place} cannot be imported ({reason_of(error)}); {remedy}"
        ) from error
    if hasattr(module, class_name):
        return getattr(module, class_name)
    own = [
        name
        for name, cls in inspect.getmembers(module, inspect.isclass)
        if cls.__module__ == module_name
    ]
    file = Path(module.__file__ or module_name).name
    known = ", ".join(own) or "none"
    raise ArgumentError(f"{argument} {place}: {file} has no {class_name}; its classes are {known}")


def require_own(
    folder: Path, config: object, registered: Mapping[str, Mapping[str, str | type]]
) -> None:
    """Require that a fit names only classes of this package, whose code is known.

    Parameters
    ----------
    folder
        Folder of the fit.
    config
        Its configuration.
    registered
        Registered classes by field of the configuration.

    Raises
    ------
    ArgumentError
        If a class is of another module; nothing of it was imported.
    """
    for argument, known in registered.items():
        name = getattr(config, argument)
        if name is None or name in known or name.partition(":")[0].partition(".")[0] == OWN:
            continue
        told = f"{folder}: its {argument} is {name}, code of another package that loading runs"
        raise ArgumentError(
            f"{told}; if you trust it, give trust=True", f"{told}; if you trust it, give --trust"
        )


def name_of(place: str | type | None) -> str | None:
    """Name by which :func:`find_class` finds a class, for a configuration; names stay.

    Examples
    --------
    >>> name_of(dict)
    'builtins:dict'
    """
    return f"{place.__module__}:{place.__qualname__}" if isinstance(place, type) else place


def distribute(
    options: Mapping[str, Any],
    takers: Sequence[set[str]],
    registries: Mapping[str, tuple[Mapping[str, str | type], int]] | None = None,
) -> list[dict[str, Any]]:
    """Give each option to the constructor that takes it.

    Parameters
    ----------
    options
        Values by name.
    takers
        Names of the options of each constructor.
    registries
        For each argument that chooses a class, the registered classes and the number of arguments
        they are given by position; a message tells which of them has an unknown option.

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
        places = [place for place, names in enumerate(takers) if name in names - _CHOSEN_APART]
        if not places:
            raise _unknown(name, set().union(*takers) - _CHOSEN_APART, registries or {})
        if len(places) > 1:
            raise DataError(f"option {name} is both of the model and of the guide; rename one")
        shares[places[0]][name] = value
    return shares


def _unknown(
    option: str, known: set[str], registries: Mapping[str, tuple[Mapping[str, str | type], int]]
) -> ArgumentError:
    """Tell which options there are, or to which registered class one belongs."""
    message = f"there is no option {option}"
    for argument, (registered, given) in registries.items():
        for name in registered if option not in _CHOSEN_APART else ():
            if option in options_of(find_class(name, registered, argument), given):
                belongs = f"{message}; it belongs to"
                return ArgumentError(
                    f"{belongs} {argument} {name}", f"{belongs} --{argument} {name}"
                )
    message = f"{message}; choose one of {', '.join(sorted(known))}"
    return ArgumentError(message, message)


def construct(cls: type, *arguments: Any, **options: Any) -> Any:
    """Call a constructor; what it refuses becomes a DataError that names the class or the place.

    Raises
    ------
    DataError
        If an option is of another kind, or the constructor fails.
    """
    check_model(cls, arguments)
    check_options([cls], options)
    try:
        parts = [
            ("", cls),
            *((name, own) for name, own in options.items() if isinstance(own, type)),
        ]
        with told_in_one_line(parts, "in __init__"):
            return cls(*arguments, **options)
    except DataError:
        raise
    except (TypeError, ValueError) as error:
        raise DataError(f"{cls.__name__}: {error}") from error
