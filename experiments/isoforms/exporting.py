"""Export of states and expression of every cell to an ``.h5ad`` that scanpy reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
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


# Reading an export


def read_gene(path: Path, gene: str, group: str | None = None) -> pd.DataFrame:
    """Read the expression of a gene's isoforms from an export.

    Parameters
    ----------
    path
        The file that :func:`export` wrote.
    gene
        A gene of ``var["gene"]``, or an isoform.
    group
        Column of ``obs`` to group the cells by; None makes one group.

    Returns
    -------
    pandas.DataFrame
        Columns ``isoform``, ``cell``, ``group``, ``expression``, ``low`` and ``high`` (reads), a
        row for each isoform and cell; ``attrs["interval"]`` names the layers of ``low`` and
        ``high``, ``attrs["model"]`` the model.

    Raises
    ------
    DataError
        If the file is no export, or has no such gene or column.
    """
    from anndata.io import read_elem

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: is no readable .h5ad file; give one that export wrote") from error
    with file:
        layers = file.get("layers", {})
        if "expression" not in layers:
            raise DataError(f"{path}: has no layer expression; give a file that export wrote")
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
        chosen = var.index == gene
        if "gene" in var:
            chosen |= (var["gene"].astype(str) == gene).to_numpy()
        if not chosen.any():
            raise DataError(f"{path}: has no gene or isoform {gene}; see its var")
        if group is not None and group not in obs:
            columns = ", ".join(obs.columns) or "none"
            raise DataError(f"{path}: obs has no column {group!r}; choose one of {columns}")
        interval = _widest_interval(path, layers)
        model = _model_of(file)
        columns = np.flatnonzero(chosen)
        values = {
            name: layers[layer][:, columns]
            for name, layer in zip(
                ("expression", "low", "high"), ("expression", *interval), strict=True
            )
        }
    num_cells = len(obs)
    table = pd.DataFrame({name: array.T.ravel() for name, array in values.items()})
    table["isoform"] = np.repeat(var.index.to_numpy().astype(str)[columns], num_cells)
    table["cell"] = np.tile(obs.index.to_numpy().astype(str), len(columns))
    groups = np.full(num_cells, "all cells") if group is None else obs[group].astype(str).to_numpy()
    table["group"] = np.tile(groups, len(columns))
    table.attrs |= {"interval": interval, "model": model}
    return table


def _model_of(file: h5py.File) -> str:
    """Name of the model that was exported; empty if the file does not say."""
    config = file.get("uns/exvae/config")
    return "" if config is None else json.loads(config.asstr()[()])["model"]["model"]


def _widest_interval(path: Path, layers: Iterable[str]) -> tuple[str, str]:
    """Name the layers of the outermost quantiles."""
    prefix = "expression_q"
    levels = sorted(float(name.removeprefix(prefix)) for name in layers if name.startswith(prefix))
    if not levels or not levels[0] < 0.5 < levels[-1]:
        raise DataError(f"{path}: has no quantiles on both sides of 0.5; export it with some")
    return f"{prefix}{levels[0]:g}", f"{prefix}{levels[-1]:g}"
