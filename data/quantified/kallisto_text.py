"""Cells quantified by kallisto into plain text.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cell_files import (
    as_bytes,
    changed,
    first_line,
    is_changed,
    read_information,
    read_table,
    read_tpm,
    reading_cell,
)
from .kallisto_h5 import remedy_without_bootstraps
from .kallisto_names import BOOTSTRAP, bootstraps_of, label_of, place_of, prefix_of
from .quantifications import Look, Quantification, check_counts, no_bootstraps, no_reads

_TABLE = re.compile(r"(.+)\.tsv(?:\.gz)?")
_HEADER = ("target_id", "length", "eff_length", "est_counts")


def label_of_table(folder: Path, name: str) -> str | None:
    """Give the name of a cell by its table of estimates; None if the file is another one.

    The name is empty for ``abundance.tsv``, and the folder then names the cell. A table of another
    name is recognised by its header.
    """
    match = _TABLE.fullmatch(name)
    if match is None or BOOTSTRAP.fullmatch(name):
        return None
    known = label_of(name)
    if known is not None:
        return known
    header = tuple(first_line(folder / name).split("\t"))
    return match[1] if header[:4] == _HEADER and ".gene" not in name else None


def read_kallisto_text(path: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``abundance.tsv`` and the tables of bootstraps beside it.

    See :func:`~.directories.read_quantification`.
    """
    columns = {"length": np.int32, "eff_length": np.float64, "est_counts": np.float64}
    table = read_table(path, "target_id", columns)
    info, notes = _run_info(path)
    counts = table["est_counts"].to_numpy()
    reads = _number(info, "n_pseudoaligned")
    check_counts(place_of(path), counts, reads, lambda: read_tpm(path, "target_id", "tpm"))
    files = _bootstrap_tables(path, _number(info, "n_bootstraps"))
    bootstraps = np.empty((len(files[:max_bootstraps]), len(table)), np.float32)
    for name, row in zip(files[:max_bootstraps], bootstraps, strict=True):
        bootstrap_path = path.with_name(name)
        bootstrap = read_table(bootstrap_path, "target_id", {"est_counts": np.float64})
        with reading_cell(bootstrap_path):
            if not bootstrap["target_id"].equals(table["target_id"]):
                raise ValueError(f"its transcripts differ from {path.name}")
        row[:] = bootstrap["est_counts"]
    return Quantification(
        as_bytes(table["target_id"]),
        table["length"].to_numpy(),
        table["eff_length"].to_numpy(),
        counts.astype(np.float32),
        bootstraps,
        "kallisto",
        str(info.get("kallisto_version", "")),
        notes=notes,
    )


def look_at_text(path: Path) -> Look:
    """Take a first look at ``abundance.tsv`` and the files beside it: tables are not read."""
    with reading_cell(path):
        if tuple(first_line(path).split("\t"))[:4] != _HEADER:
            if is_changed(path, _HEADER):
                raise changed(path)
            raise ValueError(f"its columns are not {', '.join(_HEADER)}")
    info, _ = _run_info(path)
    if _number(info, "n_pseudoaligned") == 0:
        raise no_reads(place_of(path))
    files = _bootstrap_tables(path, _number(info, "n_bootstraps"))
    return Look(str(info.get("kallisto_version", "")), len(files))


def _run_info(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read what kallisto tells of a run, with remarks; empty where there is nothing."""
    if not label_of(path.name) or prefix_of(path.name):
        prefix = prefix_of(path.name) if label_of(path.name) is not None else ""
        return read_information(path.with_name(f"{prefix}run_info.json"))
    return {}, ()


def _number(info: dict[str, Any], name: str) -> int | None:
    value = info.get(name)
    return value if isinstance(value, int) else None


def _bootstrap_tables(path: Path, promised: int | None) -> Sequence[str]:
    """Find the tables of bootstraps; DataError if they are not those that were promised."""
    files = bootstraps_of(path.name, os.listdir(path.parent))
    remedy = remedy_without_bootstraps(label_of(path.name) or path.parent.name)
    if not files and promised:
        raise no_bootstraps(
            place_of(path),
            "kallisto without HDF5 writes none with -t above 1, so quantify the cell again with "
            "kallisto quant --plaintext -b 30 -t 1, one process per cell",
            f", though run_info.json promises {promised}",
        )
    if not files:
        raise no_bootstraps(place_of(path), remedy)
    expected = files[-1][0] + 1 if promised is None else promised
    with reading_cell(path):
        if [number for number, _ in files] != list(range(expected)):
            raise ValueError(f"{len(files)} files bs_abundance, but {expected} bootstraps")
    return [name for _, name in files]
