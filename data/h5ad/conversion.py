"""Copies of an ``.h5ad`` in other formats, with one layer in memory at a time."""

from __future__ import annotations

from pathlib import Path

import h5py
import pandas as pd
from scipy.io import mmwrite
from scipy.sparse import csr_matrix


def write_zarr(source: Path, out: Path) -> None:
    """Copy an ``.h5ad`` to a new zarr store, a folder."""
    import zarr  # optional
    from anndata.io import read_elem, write_elem

    # The format that all versions of anndata since 0.8 read, and the only one of zarr 2.
    options = {} if zarr.__version__.startswith("2.") else {"zarr_format": 2}
    new = zarr.open_group(str(out), mode="w", **options)
    with h5py.File(source, "r") as old:
        new.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for name in old:
            if name != "layers":
                write_elem(new, name, read_elem(old[name]))
        layers = new.create_group("layers")
        layers.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        for name in old["layers"]:
            write_elem(layers, name, read_elem(old["layers"][name]))
    zarr.consolidate_metadata(new.store)


def write_csv(source: Path, folder: Path) -> None:
    """Copy an ``.h5ad`` to files that R reads, in a new folder.

    ``obs.csv`` and ``var.csv`` are tables whose first column is the name of the row; ``X.mtx`` and
    a file for each layer are MatrixMarket, cells by columns (``Matrix::readMM``); each array of
    ``obsm`` is a table such as ``X_exvae.csv``.
    """
    from anndata.io import read_elem

    folder.mkdir()
    with h5py.File(source, "r") as file:
        obs = read_elem(file["obs"])
        obs.to_csv(folder / "obs.csv")
        read_elem(file["var"]).to_csv(folder / "var.csv")
        for name in file.get("obsm", {}):
            pd.DataFrame(read_elem(file["obsm"][name])).set_index(obs.index).to_csv(
                folder / f"{name}.csv"
            )
        places = {"X": file["X"], **dict(file["layers"].items())}
        for name, stored in places.items():
            mmwrite(folder / f"{name}.mtx", csr_matrix(read_elem(stored)))
