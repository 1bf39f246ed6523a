"""Changes to the file of cells, made as damage or another program makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

Change = Callable[[h5py.File], None]


def edited(path: Path, change: Change) -> Path:
    """Change a file in place."""
    with h5py.File(path, "a") as file:
        change(file)
    return path


def replaced(place: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Replace the values of a dataset, of any size and type."""

    def apply(file: h5py.File) -> None:
        values, attributes = change(file[place][()]), dict(file[place].attrs)
        del file[place]
        file[place] = values
        file[place].attrs.update(attributes)

    return apply


def at(position: int, value: int) -> Callable[[np.ndarray], np.ndarray]:
    """Put a value at a position."""

    def change(values: np.ndarray) -> np.ndarray:
        values = values.copy()
        values[position] = value
        return values

    return change


def every_attribute(convert: Callable[[str], object]) -> Change:
    """Write every attribute of text in another way."""

    def apply(file: h5py.File) -> None:
        def visit(_: str, stored: h5py.Group | h5py.Dataset) -> None:
            for name, value in list(stored.attrs.items()):
                if isinstance(value, str):
                    stored.attrs[name] = convert(value)

        file.visititems(visit)

    return apply
