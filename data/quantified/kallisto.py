"""Cells quantified by kallisto, into HDF5 or into plain text.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import h5py
import numpy as np

from .cell_files import as_bytes, read_json, read_table, read_tpm, reading_cell
from .quantifications import Quantification, check_counts, no_bootstraps

KALLISTO_H5 = "abundance.h5"
KALLISTO_TABLE = "abundance.tsv"

_BOOTSTRAP = re.compile(r"bs_abundance_(\d+)\.tsv(?:\.gz)?")
_REMEDY = (
    "quantify the cell again with kallisto quant --plaintext -b 30 (by default kallisto makes "
    "none, and built without HDF5 it writes them only with --plaintext)"
)


def read_kallisto_h5(directory: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``abundance.h5``, see :func:`~.directories.read_quantification`."""
    path = directory / KALLISTO_H5
    with reading_cell(path), h5py.File(path, "r") as file:
        auxiliary = file["aux"]
        transcripts = auxiliary["ids"][:].astype(np.bytes_)
        size = len(transcripts)
        counts = _read_dataset(file, "est_counts", np.empty(size))
        lengths = _read_dataset(auxiliary, "lengths", np.empty(size, np.int32))
        effective_lengths = _read_dataset(auxiliary, "eff_lengths", np.empty(size))
        processed = None
        if b"num_processed" in auxiliary.id:
            processed = _read_dataset(auxiliary, "num_processed", np.empty(1, np.int64))[0]
        # Some reads are not aligned, so that only fewer reads than counts are a contradiction.
        too_few = processed is not None and processed < counts.sum()
        check_counts(directory, counts, processed if too_few else None)
        num_bootstraps = _read_dataset(auxiliary, "num_bootstrap", np.empty(1, np.int64))[0]
        if num_bootstraps == 0:
            beside = any(map(_BOOTSTRAP.fullmatch, os.listdir(directory)))
            remedy = f"remove {KALLISTO_H5} so that the bs_abundance files beside it are read"
            raise no_bootstraps(directory, remedy if beside else _REMEDY)
        group = file["bootstrap"]
        if len(group) != num_bootstraps:
            raise ValueError(f"{len(group)} of {num_bootstraps} bootstraps")
        num_read = min(num_bootstraps, max_bootstraps or num_bootstraps)
        bootstraps = np.empty((num_read, size), np.float32)
        for number, row in enumerate(bootstraps):
            _read_dataset(group, f"bs{number}", row)
        version = ""
        if b"kallisto_version" in auxiliary.id:
            version = bytes(auxiliary["kallisto_version"][0]).decode()
    return Quantification(
        transcripts,
        lengths,
        effective_lengths,
        counts.astype(np.float32),
        bootstraps,
        "kallisto",
        version,
    )


def _read_dataset(group: h5py.Group, name: str, out: np.ndarray) -> np.ndarray:
    """Read a dataset into an array of its shape, and return the array.

    A file of kallisto has many small datasets; the low-level interface reads them twice as fast.
    """
    dataset = h5py.h5d.open(group.id, name.encode())
    if dataset.shape != out.shape:
        raise ValueError(f"{name} has the shape {dataset.shape} and not {out.shape}")
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, out)
    return out


def read_kallisto_plaintext(directory: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``abundance.tsv`` and the tables of bootstraps beside it.

    See :func:`~.directories.read_quantification`.
    """
    path = directory / KALLISTO_TABLE
    columns = {"length": np.int32, "eff_length": np.float64, "est_counts": np.float64}
    table = read_table(path, "target_id", columns)
    info = read_json(directory / "run_info.json", optional=True)
    counts = table["est_counts"].to_numpy()
    check_counts(
        directory, counts, info.get("n_pseudoaligned"), lambda: read_tpm(path, "target_id", "tpm")
    )
    matches = filter(None, map(_BOOTSTRAP.fullmatch, os.listdir(directory)))
    files = sorted((int(match[1]), match[0]) for match in matches)
    if not files:
        raise no_bootstraps(directory, _REMEDY)
    with reading_cell(directory):
        promised = int(info.get("n_bootstraps", len(files)))
        if [number for number, _ in files] != list(range(promised)):
            raise ValueError(f"{len(files)} files bs_abundance, but {promised} bootstraps")
    bootstraps = np.empty((len(files[:max_bootstraps]), len(table)), np.float32)
    for (_, name), row in zip(files[:max_bootstraps], bootstraps, strict=True):
        bootstrap_path = directory / name
        bootstrap = read_table(bootstrap_path, "target_id", {"est_counts": np.float64})
        with reading_cell(bootstrap_path):
            if not bootstrap["target_id"].equals(table["target_id"]):
                raise ValueError(f"its transcripts differ from {KALLISTO_TABLE}")
        row[:] = bootstrap["est_counts"]
    return Quantification(
        as_bytes(table["target_id"]),
        table["length"].to_numpy(),
        table["eff_length"].to_numpy(),
        counts.astype(np.float32),
        bootstraps,
        "kallisto",
        str(info.get("kallisto_version", "")),
    )
