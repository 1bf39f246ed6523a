"""Options of constructors: which there are, and values of the right kind."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from torch import nn

from .errors import ArgumentError

# One and several values of a kind in messages, and an example.
_KINDS: dict[Any, tuple[str, str, Any]] = {
    bool: ("true or false", "true or false", True),
    int: ("a whole number", "whole numbers", 5),
    float: ("a number", "numbers", 0.5),
    str: ("a word", "words", "name"),
}


class _Parameter(NamedTuple):
    """A parameter of a constructor.

    Its place counts positional arguments, or is None for keyword-only ones. Its kind is the
    annotation or, without one, the kind of the default; Any is not checked.
    """

    name: str
    place: int | None
    kind: Any
    default: Any


def _parameters(cls: type) -> Iterator[_Parameter]:
    """Parameters of a constructor and of those it calls with ``**``."""
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        function = base.__init__
        try:
            hints = get_type_hints(function)
        except (NameError, TypeError):  # names that are imported for type checkers alone
            hints = {}
        passes_on = False
        for place, part in enumerate(list(inspect.signature(function).parameters.values())[1:]):
            passes_on |= part.kind is part.VAR_KEYWORD
            if part.kind not in (part.VAR_KEYWORD, part.VAR_POSITIONAL):
                keyword = part.kind is part.KEYWORD_ONLY
                kind = hints.get(part.name, _kind_of(part.default))
                yield _Parameter(part.name, None if keyword else place, kind, part.default)
        if not passes_on:
            return


def _kind_of(default: Any) -> Any:
    """Kind of the values of a parameter without annotation, from its default."""
    if isinstance(default, bool | str):
        return type(default)
    if isinstance(default, Real):
        return float
    return Sequence if isinstance(default, list | tuple) else Any


def options_of(cls: type, given: int) -> set[str]:
    """Names of the options of a constructor and of those it calls with ``**``.

    Options are keyword-only arguments, and arguments with a default after the first ``given``,
    which are passed by position.
    """
    return set(defaults_of(cls, given))


def defaults_of(cls: type, given: int) -> dict[str, Any]:
    """Default values of the options of :func:`options_of` by name, those of subclasses first."""
    defaults: dict[str, Any] = {}
    for own in _parameters(cls):
        is_optional = own.default is not inspect.Parameter.empty
        if own.place is None or (own.place >= given and is_optional):
            defaults.setdefault(own.name, own.default)
    return defaults


def check_options(takers: Sequence[type], options: Mapping[str, Any]) -> None:
    """Check options of constructors against annotations or, without them, defaults.

    Raises
    ------
    ArgumentError
        If an option is of another kind; the message has an example.
    """
    for cls in takers:
        for name, option in _first(cls).items():
            if name in options and not isinstance(options[name], type):
                _check_option(option, options[name])


def check_model(guide: type, arguments: Sequence[Any]) -> None:
    """Check that a guide, if it is one, is annotated for the model, its first argument.

    Raises
    ------
    ArgumentError
        If the guide is for another model.
    """
    for option in _first(guide).values():
        kind = option.kind
        is_model = option.place == 0 and isinstance(kind, type) and issubclass(kind, nn.Module)
        if is_model and arguments and not isinstance(arguments[0], kind):
            raise ArgumentError(
                f"guide {guide.__name__} is for {kind.__name__}, not for "
                f"{type(arguments[0]).__name__}; choose another guide or model"
            )


def _first(cls: type) -> dict[str, _Parameter]:
    """Parameters of a constructor by name, with the first kind that any class gives."""
    found: dict[str, _Parameter] = {}
    for own in _parameters(cls):
        first = found.setdefault(own.name, own)
        if first.kind is Any:
            found[own.name] = first._replace(kind=own.kind)
    return found


def _check_option(option: _Parameter, value: Any) -> None:
    """Raise ArgumentError with an example unless a value is of the option's kind."""
    if value is option.default or _fits(value, option.kind):
        return
    example = option.default
    if not example or not _fits(example, option.kind):
        example = _example(option.kind)
    on_command_line = json.dumps(example, separators=(",", ":")).strip('"')
    told = f"{option.name} is {value!r}; give {_told(option.kind)}, such as"
    raise ArgumentError(
        f"{told} {option.name}={example!r}",
        f"--set {told} --set {option.name}={on_command_line}",
    )


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind; kinds beside numbers, words and lists are not checked."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return value in parts
    if kind is float or kind is int:
        wanted = Real if kind is float else Integral
        return isinstance(value, wanted) and not isinstance(value, bool)
    if kind in (bool, str, NoneType):
        return isinstance(value, kind)
    if _is_sequence(kind):
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return is_list and all(_fits(each, part) for part in parts[:1] for each in value)
    return True


def _is_sequence(kind: Any) -> bool:
    """Whether a kind is of lists or tuples."""
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and origin is not str and issubclass(origin, Sequence)


def _told(kind: Any, *, several: bool = False) -> str:
    """Name a kind in a message."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(_told(part) for part in parts if part is not NoneType)
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if kind in _KINDS:
        return _KINDS[kind][several]
    return f"a list of {_told(parts[0], several=True)}" if parts else "a list"


def _example(kind: Any) -> Any:
    """Give a value of a kind that can be checked."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _example(parts[0])
    if origin is Literal:
        return parts[0]
    if kind in _KINDS:
        return _KINDS[kind][2]
    return [64, 32] if not parts or parts[0] is int else [_example(parts[0])]
