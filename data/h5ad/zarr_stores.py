"""Zarr stores, in the format that anndata writes."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    import zarr


def is_zarr(path: Path) -> bool:
    """Tell whether a path is that of a zarr store, by its name."""
    return path.suffix == ".zarr"


def require_zarr(path: Path) -> None:
    """Raise a DataError unless the package zarr is installed."""
    try:
        importlib.import_module("zarr")
    except ImportError as error:
        raise DataError(
            f"{path}: needs the package zarr; pip install 'exvae[zarr]', or take an .h5ad"
        ) from error


def open_zarr(path: Path) -> zarr.Group:
    """Open a zarr store for reading.

    Raises
    ------
    DataError
        If there is none, or zarr is not installed.
    """
    require_zarr(path)
    import zarr  # optional

    if not path.is_dir():
        raise DataError(f"{path}: no such folder; give the cells as .h5ad or .zarr")
    try:
        return zarr.open_group(str(path), mode="r")
    except Exception as error:  # of many kinds, as zarr finds its way in the folder
        raise DataError(
            f"{path}: is no zarr store ({error}); give the cells as .h5ad or .zarr"
        ) from error
