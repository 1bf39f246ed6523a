"""What commands print: one JSON object, or a table for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def report(values: dict[str, Any], *, as_json: bool) -> None:
    """Print values as one JSON object, or as a table of names and values."""
    if as_json:
        print(json.dumps(values))
        return
    rows = list(_flattened(values))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {_readable(value)}")


def _flattened(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _readable(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
