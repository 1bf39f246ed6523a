"""Output of commands: one JSON object, or a readable table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def report(values: dict[str, Any], *, as_json: bool) -> None:
    """Print values as one JSON object, or as a table of names and values.

    The table leaves out lists of numbers, and has a line for each text of a list.
    """
    if as_json:
        print(json.dumps(values))
        return
    rows = list(_flattened(values))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {_readable(value)}")


def report_fit(
    folder: Path,
    result: Mapping[str, object],
    metrics: pd.DataFrame,
    pictures: Sequence[Path],
    *,
    as_json: bool,
) -> None:
    """Print the end of a fit: its folder, result, last row of metrics, and pictures."""
    last = metrics.iloc[-1].dropna().to_dict()  # JSON has no NaN
    values = {"fit": str(folder), **result, **last, "epoch": int(last["epoch"])}
    report({**values, "pictures": [str(picture) for picture in pictures]}, as_json=as_json)


def tell(notes: Iterable[str]) -> None:
    """Print notes to the user on standard error, a line each."""
    for note in notes:
        print("exvae:", " ".join(note.split()), file=sys.stderr)


def _flattened(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            texts = [own for own in value if isinstance(own, str)]
            yield from (
                (f"{prefix}{name}" if not place else "", own) for place, own in enumerate(texts)
            )
        else:
            yield f"{prefix}{name}", value


def _readable(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
