"""Cells quantified by oarfish or piscem-infer: ``P.quant`` beside ``P.infreps.pq``.

Every process that reads cells loads this module, so that it loads neither torch nor anndata; and
pyarrow, which is optional, only where there is Parquet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .cell_files import as_bytes, first_line, read_information, read_table, reading_cell
from .quantifications import (
    Look,
    NeedsPackage,
    Quantification,
    check_counts,
    no_bootstraps,
)

if TYPE_CHECKING:
    import pyarrow

_TABLE = re.compile(r"(.+)\.quant(?:\.gz)?")
_NUMBER = re.compile(r".*?(\d+)")


class _Columns(NamedTuple):
    """Names of columns of a quantifier's table; None where it has none."""

    quantifier: str
    transcript: str
    length: str
    effective_length: str | None
    reads: str
    tpm: str | None


_OARFISH = _Columns("oarfish", "tname", "len", None, "num_reads", None)
_PISCEM = _Columns("piscem-infer", "target_name", "len", "eeln", "ecount", "tpm")


def _columns_of(path: Path) -> _Columns | None:
    """Tell the quantifier by the header of a table; None if it is another table."""
    header = set(first_line(path).split("\t"))
    for columns in (_OARFISH, _PISCEM):
        if {name for name in columns[1:] if name} <= header:
            return columns
    return None


def label_of_quant(folder: Path, name: str) -> str | None:
    """Give the name of a cell by its table of estimates; None if the file is another one."""
    match = _TABLE.fullmatch(name)
    return match[1] if match and _columns_of(folder / name) else None


def read_quant(path: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``P.quant`` and the bootstraps in ``P.infreps.pq``.

    oarfish quantifies long reads, whose effective length is the length. See
    :func:`~.directories.read_quantification`.
    """
    own = _recognised(path)
    columns = {own.length: np.float64, own.reads: np.float64}
    if own.effective_length:
        columns[own.effective_length] = np.float64
    if own.tpm:
        columns[own.tpm] = np.float64
    table = read_table(path, own.transcript, columns)
    counts = table[own.reads].to_numpy()
    tpm = None if own.tpm is None else table[own.tpm].to_numpy
    check_counts(path, counts, None, tpm)
    bootstraps_path = _bootstraps_path(path, own)
    with reading_cell(bootstraps_path), _opened(bootstraps_path) as (names, file):
        # Told by the file before anything is unpacked.
        if file.metadata.num_rows != len(table):
            raise ValueError(f"{file.metadata.num_rows} rows, but {len(table)} transcripts")
        values = file.read(columns=names[:max_bootstraps])
        bootstraps = [values.column(name).to_numpy() for name in names[:max_bootstraps]]
        bootstraps = np.stack(bootstraps).astype(np.float32)
    information, notes = read_information(_beside(path, "meta_info.json"))
    return Quantification(
        as_bytes(table[own.transcript]),
        table[own.length].to_numpy().astype(np.int32),
        table[own.effective_length or own.length].to_numpy(),
        counts.astype(np.float32),
        bootstraps,
        own.quantifier,
        str(information.get(f"{own.quantifier}_version", "")),
        notes=notes,
    )


def look_at_quant(path: Path) -> Look:
    """Take a first look at the bootstraps: no value is read."""
    own = _recognised(path)
    bootstraps_path = _bootstraps_path(path, own)
    with reading_cell(bootstraps_path), _opened(bootstraps_path) as (names, _):
        num_bootstraps = len(names)
    information, _ = read_information(_beside(path, "meta_info.json"))
    return Look(str(information.get(f"{own.quantifier}_version", "")), num_bootstraps)


def _recognised(path: Path) -> _Columns:
    columns = _columns_of(path)
    with reading_cell(path):
        if columns is None:
            raise ValueError("its columns are of neither oarfish nor piscem-infer")
    return columns


def _beside(path: Path, ending: str) -> Path:
    """Give a file of the same cell, with another ending than ``quant``."""
    return path.with_name(f"{_TABLE.fullmatch(path.name)[1]}.{ending}")


def _bootstraps_path(path: Path, own: _Columns) -> Path:
    """Find the file of bootstraps; DataError if there is none."""
    bootstraps = _beside(path, "infreps.pq")
    if not bootstraps.exists() and not bootstraps.is_symlink():
        raise no_bootstraps(
            path, f"quantify the cell again with {own.quantifier} --num-bootstraps 30"
        )
    return bootstraps


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], pyarrow.parquet.ParquetFile]]:
    """Open a Parquet file of bootstraps, and give the names of its columns by their numbers.

    Raises
    ------
    NeedsPackage
        If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise NeedsPackage(
            f"{path}: is Parquet, which needs the package pyarrow; install it by "
            "pip install pyarrow (the extra parquet)"
        ) from error
    with pyarrow.parquet.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if _NUMBER.fullmatch(name)]
        if not names:
            raise ValueError("no columns of bootstraps")
        yield sorted(names, key=lambda name: int(_NUMBER.fullmatch(name)[1])), file
