"""Cells quantified by kallisto into HDF5.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from .cell_files import open_h5
from .kallisto_names import NUMBERED, bootstraps_of, label_of, place_of
from .quantifications import Look, Quantification, check_counts, no_bootstraps, no_reads

# Transcripts, and bytes of their names, that no annotation reaches.
_MOST_TRANSCRIPTS, _MOST_BYTES = 1 << 24, 1 << 30


def label_of_h5(folder: Path, name: str) -> str | None:
    """Give the name of a cell by its HDF5 file; None if the file is another one.

    The name is empty for ``abundance.h5``, and the folder then names the cell. A file of another
    name is recognised by what it holds.
    """
    stem, ending, rest = name.partition(".h5")
    if not ending or rest not in ("", ".gz"):
        return None
    known = label_of(name)
    if known is not None or rest:
        return known
    if not os.path.isfile(folder / name):
        return None
    try:
        with h5py.File(folder / name, "r") as file:
            return stem if "est_counts" in file and "aux/ids" in file else None
    except (OSError, LookupError, RuntimeError, ValueError):
        return None


def remedy_without_bootstraps(label: str) -> str:
    """Tell how to get bootstraps from kallisto."""
    if NUMBERED.fullmatch(label):
        return "run kallisto quant-tcc again with -b 30 --matrix-to-directories"
    return (
        "quantify the cell again with kallisto quant --plaintext -b 30 (by default kallisto makes "
        "none, and built without HDF5 it writes them only with --plaintext)"
    )


def read_kallisto_h5(path: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``abundance.h5``, see :func:`~.directories.read_quantification`."""
    with open_h5(path) as file:
        auxiliary = file["aux"]
        size = _num_transcripts(auxiliary)
        transcripts = auxiliary["ids"][:].astype(np.bytes_)
        counts = _read_dataset(file, "est_counts", np.empty(size))
        lengths = _read_dataset(auxiliary, "lengths", np.empty(size, np.int32))
        effective_lengths = _read_dataset(auxiliary, "eff_lengths", np.empty(size))
        check_counts(place_of(path), counts, _contradicting_reads(auxiliary, counts))
        num_bootstraps = _num_bootstraps(path, file)
        group = file["bootstrap"]
        num_read = min(num_bootstraps, max_bootstraps or num_bootstraps)
        bootstraps = np.empty((num_read, size), np.float32)
        for number, row in enumerate(bootstraps):
            _read_dataset(group, f"bs{number}", row)
        return Quantification(
            transcripts,
            lengths,
            effective_lengths,
            counts.astype(np.float32),
            bootstraps,
            "kallisto",
            _version(auxiliary),
        )


def _num_transcripts(auxiliary: h5py.Group) -> int:
    """Give the number of transcripts, before any memory is taken for them."""
    names = auxiliary["ids"]
    if len(names.shape) != 1:
        raise ValueError(f"ids has the shape {names.shape}")
    if len(names) > _MOST_TRANSCRIPTS or names.nbytes > _MOST_BYTES:
        raise ValueError(f"it says {len(names)} transcripts, more than any organism has")
    return len(names)


def look_at_h5(path: Path) -> Look:
    """Take a first look at ``abundance.h5``: the estimates are read, but no bootstrap."""
    with open_h5(path) as file:
        if not file["est_counts"][:].any():
            raise no_reads(place_of(path))
        return Look(_version(file["aux"]), _num_bootstraps(path, file))


def _contradicting_reads(auxiliary: h5py.Group, counts: np.ndarray) -> int | None:
    """Give the number of reads if the estimates, shape (isoforms,), exceed it.

    Some reads are not aligned, so that only fewer reads than counts are a contradiction.
    quant-tcc, which does not know the number, writes zero.
    """
    if b"num_processed" not in auxiliary.id:
        return None
    reads = int(_read_dataset(auxiliary, "num_processed", np.empty(1, np.int64))[0])
    return reads if 0 < reads < counts.sum() else None


def _num_bootstraps(path: Path, file: h5py.File) -> int:
    """Read the number of bootstraps; DataError if there are none."""
    number = int(_read_dataset(file["aux"], "num_bootstrap", np.empty(1, np.int64))[0])
    if number == 0:
        remedy = remedy_without_bootstraps(label_of(path.name) or path.parent.name)
        if bootstraps_of(path.name.replace(".h5", ".tsv"), os.listdir(path.parent)):
            remedy = f"remove {path.name} so that the bs_abundance files beside it are read"
        raise no_bootstraps(place_of(path), remedy)
    if len(file["bootstrap"]) != number:
        raise ValueError(f"{len(file['bootstrap'])} of {number} bootstraps")
    return number


def _version(auxiliary: h5py.Group) -> str:
    """Read the version of kallisto, which only informs; empty if unknown."""
    if b"kallisto_version" not in auxiliary.id:
        return ""
    return bytes(auxiliary["kallisto_version"][0]).decode(errors="replace")


def _read_dataset(group: h5py.Group, name: str, out: np.ndarray) -> np.ndarray:
    """Read a dataset into an array of its shape, and return the array.

    A file of kallisto has many small datasets; the low-level interface reads them twice as fast.
    """
    dataset = h5py.h5d.open(group.id, name.encode())
    if dataset.shape != out.shape:
        raise ValueError(f"{name} has the shape {dataset.shape} and not {out.shape}")
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, out)
    return out
