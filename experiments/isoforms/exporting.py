"""Export of states and expression of every cell to an ``.h5ad`` that scanpy reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ...data.cell_batches import BatchSource
from ...data.errors import DataError
from ...data.files import require_h5ad, written_atomically
from ...data.h5ad.reading import CellFile, open_cells
from ...data.row_blocks import blocks
from . import inference
from .expression import Scale, draw_expression, layers_of
from .fitting import IsoformFit
from .settings import LIBRARY_SIZE, POSTERIOR_SAMPLES, QUANTILES

# Cells in a compressed chunk of the file.
_CHUNK = 16
# Entries (cells x isoforms) that are read at once.
_READ = 1 << 19


def export(
    fit: IsoformFit,
    source: Path,
    out: Path,
    *,
    quantiles: Sequence[float] = QUANTILES,
    library_size: float = LIBRARY_SIZE,
    num_samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
    part: int = _READ,
    block: int = inference.POSTERIOR_BLOCK,
) -> dict[str, object]:
    """Write a copy of the cells with their states and expression.

    The copy gets ``obsm["X_exvae"]``, the posterior mean of z, ``uns["exvae"]``, and the layers
    ``expression``, ``expression_sd``, ``expression_log1p`` (posterior mean of log1p) and
    ``expression_q0.025`` ...: the posterior of the expression y (reads) of each isoform at the
    depth of the cell. For scVI y is the rate of the count.

    Parameters
    ----------
    fit
        The fit.
    source
        The cells, an ``.h5ad``.
    out
        The file to write; it appears only when it is complete.
    quantiles
        Probabilities between 0 and 1.
    num_samples
        Number of draws of the latent variables to average over.
    seed
        Seed of these draws.
    part, block
        Entries (cells x isoforms) that are read at once, and whose posteriors are held at once.

    Returns
    -------
    dict
        ``out``, ``cells``, ``isoforms`` and the names of the ``layers`` added.

    Raises
    ------
    DataError
        If the isoforms of the cells and the fit differ, or the file cannot be written.
    """
    _check(source, out, quantiles)
    scales = {"expression": Scale(), "expression_normalised": Scale(library_size=library_size)}
    torch.manual_seed(seed)
    with (
        open_cells(source) as file,
        written_atomically(out) as temporary,
        h5py.File(temporary, "w") as new,
    ):
        for _ in _parts(fit, file, "check", part):
            pass  # find faults of the last cell before hours are spent
        _copy(file.file, new)
        states, names = [], set()
        for start, own in _parts(fit, file, "export", part):
            positions = np.arange(own.cells.num_cells)
            states.append(inference.mean_states(fit.guide, own, positions))
            for rows, draws in draw_expression(fit, own, positions, num_samples, block=block):
                place = slice(start + rows.start, start + rows.stop)
                for name, values in layers_of(draws, fit.model.genes, scales, quantiles):
                    _write_rows(new, name, place, values, file.shape[0])
                    names.add(name)
        _write(new, "obsm", "X_exvae", np.concatenate(states))
        config = {"config": json.dumps(fit.config), "num_samples": num_samples, "seed": seed}
        _write(new, "uns", "exvae", config)
        num_cells, num_isoforms = file.shape
    layers = sorted(names)
    return {"out": str(out), "cells": num_cells, "isoforms": num_isoforms, "layers": layers}


def _check(source: Path, out: Path, quantiles: Sequence[float]) -> None:
    """Raise a DataError unless quantiles and the file to write make sense."""
    wrong = [level for level in quantiles if not 0 < level < 1]
    if wrong:
        raise DataError(f"--quantiles holds {wrong[0]:g}; give probabilities between 0 and 1")
    require_h5ad(out, "choose another --out")
    if out.resolve() == source.resolve():
        raise DataError(f"{out}: is the file that is read; choose another --out")


def _parts(
    fit: IsoformFit, file: CellFile, what: str, part: int
) -> Iterator[tuple[int, BatchSource]]:
    """Read ``part`` entries at a time, with the position of their first cell; show progress."""
    num_cells = file.shape[0]
    with tqdm(total=num_cells, desc=what, unit=" cells", file=sys.stderr) as bar:
        for rows in blocks(*file.shape, part):
            cells = fit.conform(file.read(fit.batch_key, rows))
            yield rows.start, fit.source(cells)
            bar.update(cells.num_cells)


def _copy(old: h5py.File, new: h5py.File) -> None:
    """Copy a file without the layers that are written anew."""
    from anndata.io import write_elem  # slow to import, and no other command needs it

    for name, value in old.attrs.items():
        new.attrs[name] = value
    for name in old:
        old.copy(name, new)
    for group in ("obsm", "uns", "layers"):
        if group not in new:
            write_elem(new, group, {})
    for name in list(new["layers"]):
        if name == "expression" or name.startswith("expression_"):
            del new["layers"][name]


def _write(file: h5py.File, group: str, name: str, value: object) -> None:
    """Write a value, replacing one of an earlier export."""
    from anndata.io import write_elem

    if name in file[group]:
        del file[group][name]
    write_elem(file[group], name, value)


def _write_rows(file: h5py.File, name: str, rows: slice, values: Tensor, num_cells: int) -> None:
    """Write rows of a layer (reads), shape (rows, isoforms), as float32."""
    layers = file["layers"]
    if name not in layers:
        layer = layers.create_dataset(
            name,
            shape=(num_cells, values.shape[1]),
            chunks=(min(_CHUNK, num_cells), values.shape[1]),
            dtype=np.float32,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        layer.attrs["encoding-type"] = "array"
        layer.attrs["encoding-version"] = "0.2.0"
    layers[name][rows] = values.cpu().numpy()
