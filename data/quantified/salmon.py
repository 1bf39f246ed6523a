"""Cells quantified by salmon.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import re
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .cell_files import (
    as_bytes,
    content_of,
    read_information,
    read_json,
    read_table,
    read_tpm,
    reading_cell,
)
from .quantifications import (
    LEAVE_OUT,
    Look,
    Quantification,
    check_counts,
    no_bootstraps,
    no_reads,
    positions_of,
)

_TABLE = re.compile(r"(?:(.+?)[._-])?quant\.sf(?:\.gz)?|(.+)\.sf(?:\.gz)?")
# Since this version bootstraps are floating-point numbers; before, they were whole numbers.
_FIRST_WITH_FLOATS = (0, 8)
_FLOATS, _WHOLE_NUMBERS = np.dtype("<f8"), np.dtype("<i4")
# Bootstraps draw as many reads as were counted, but for rounding.
_READS_TOLERANCE = 0.1


def label_of_salmon(folder: Path, name: str) -> str | None:
    """Give the name of a cell by its table of estimates; None if the file is another one.

    The name is empty for ``quant.sf``, and the folder then names the cell.
    """
    match = _TABLE.fullmatch(name)
    if match is None or name.startswith("quant.genes."):
        return None
    return match[1] or match[2] or ""


def _auxiliary_folder(path: Path) -> tuple[Path, tuple[str, ...]]:
    """Find the folder of bootstraps beside ``quant.sf``, with remarks; DataError without it."""
    command, notes = read_information(path.with_name("cmd_info.json"))
    name = str(command.get("auxDir", "aux_info"))
    with reading_cell(path):
        if not (path.parent / name).is_dir():
            raise DataError(
                f"{_place_of(path)}: lacks the folder {name}, which holds the bootstraps; give the "
                f"whole output folder of salmon or {LEAVE_OUT}"
            )
    return path.parent / name, notes


def read_salmon(path: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``quant.sf`` and the bootstraps in ``aux_info``.

    See :func:`~.directories.read_quantification`.
    """
    place = _place_of(path)
    columns = {"Length": np.int32, "EffectiveLength": np.float64, "NumReads": np.float64}
    table = read_table(path, "Name", columns)
    auxiliary, notes = _auxiliary_folder(path)
    counts = table["NumReads"].to_numpy()
    meta = read_json(auxiliary / "meta_info.json") if counts.any() else {}
    check_counts(place, counts, meta.get("num_mapped"), lambda: read_tpm(path, "Name", "TPM"))
    num_bootstraps = _num_bootstraps(place, auxiliary, meta)
    transcripts = as_bytes(table["Name"])
    order = _order_of_columns(auxiliary / "bootstrap" / "names.tsv.gz", transcripts, path.name)
    bootstraps_path = auxiliary / "bootstrap" / "bootstraps.gz"
    shape = (num_bootstraps, len(transcripts))
    with reading_cell(bootstraps_path):
        values = _bootstraps(bootstraps_path.read_bytes(), shape, meta, float(counts.sum()))
    return Quantification(
        transcripts,
        table["Length"].to_numpy(),
        table["EffectiveLength"].to_numpy(),
        counts.astype(np.float32),
        values[:max_bootstraps, order].astype(np.float32),
        "salmon",
        str(meta.get("salmon_version", "")),
        str(meta.get("samp_type", "bootstrap")),
        notes,
    )


def look_at_salmon(path: Path) -> Look:
    """Take a first look at ``aux_info``: tables and bootstraps are not read."""
    auxiliary, _ = _auxiliary_folder(path)
    meta = read_json(auxiliary / "meta_info.json")
    if meta.get("num_mapped") == 0:
        raise no_reads(_place_of(path))
    num_bootstraps = _num_bootstraps(_place_of(path), auxiliary, meta)
    with reading_cell(auxiliary / "bootstrap" / "bootstraps.gz"):
        (auxiliary / "bootstrap" / "bootstraps.gz").stat()
    return Look(str(meta.get("salmon_version", "")), num_bootstraps)


def _place_of(path: Path) -> Path:
    """Give the place of a cell by its file of estimates: its folder if that names the cell."""
    return path if label_of_salmon(path.parent, path.name) else path.parent


def _num_bootstraps(place: Path, auxiliary: Path, meta: dict[str, Any]) -> int:
    """Read the number of bootstraps; DataError if there are none."""
    with reading_cell(auxiliary / "meta_info.json"):
        number = int(meta.get("num_bootstraps", 0))
        errors = [str(error) for error in meta.get("quant_errors", ())]
    if number == 0 and errors:
        detail = f", as salmon found too few reads ({', '.join(errors)})"
        raise no_bootstraps(place, LEAVE_OUT, detail)
    if number == 0:
        raise no_bootstraps(place, "quantify the cell again with salmon quant --numBootstraps 30")
    return number


def _order_of_columns(path: Path, transcripts: np.ndarray, table: str) -> np.ndarray:
    """Find the column of each transcript, both of shape (isoforms,), in the bootstraps.

    salmon may write no names; the columns then have the order of ``quant.sf``.
    """
    names_path = path if path.exists() or path.is_symlink() else path.with_suffix("")
    if not names_path.exists() and not names_path.is_symlink():
        return np.arange(len(transcripts))
    with reading_cell(names_path):
        names = np.array(content_of(names_path).split(), dtype=np.bytes_)
    return positions_of(names_path, names, transcripts, f"the rows of {table}")


def _bootstraps(
    packed: bytes, shape: tuple[int, int], meta: dict[str, Any], reads: float
) -> np.ndarray:
    """Read bootstraps, shape (bootstraps, isoforms).

    Parameters
    ----------
    packed
        Content of ``bootstraps.gz``.
    shape
        Number of bootstraps and of isoforms.
    meta
        Content of ``meta_info.json``.
    reads
        Sum of the estimates (reads).
    """
    unpacking = zlib.decompressobj(wbits=31)
    # One byte more than is expected tells of more.
    expected = shape[0] * shape[1] * _FLOATS.itemsize
    content = unpacking.decompress(packed, min(expected, sys.maxsize - 1) + 1)
    kind = _type_of_numbers(content, shape, str(meta.get("salmon_version", "")), reads)
    size = shape[0] * shape[1] * kind.itemsize
    if len(content) == size and unpacking.eof:
        return np.frombuffer(content, kind).reshape(shape)
    complete, rest = divmod(len(content), shape[1] * kind.itemsize)
    if complete < shape[0] and (rest == 0 or not unpacking.eof):
        raise ValueError(f"{complete} of {shape[0]} bootstraps, as if salmon had been stopped")
    raise ValueError(f"not {shape[0]} bootstraps of {shape[1]} transcripts")


def _type_of_numbers(
    content: bytes, shape: tuple[int, int], version: str, reads: float
) -> np.dtype:
    """Tell the type of the numbers, by the version, or by the size if that is unknown."""
    match = re.match(r"(\d+)\.(\d+)", version)
    if match:
        is_old = (int(match[1]), int(match[2])) < _FIRST_WITH_FLOATS
        return _WHOLE_NUMBERS if is_old else _FLOATS
    if len(content) != shape[0] * shape[1] * _WHOLE_NUMBERS.itemsize:
        return _FLOATS
    # Half of the floating-point numbers, after an early end, have the same size.
    sums = np.frombuffer(content, _WHOLE_NUMBERS).reshape(shape).sum(1, dtype=np.float64)
    return _WHOLE_NUMBERS if np.allclose(sums, reads, rtol=_READS_TOLERANCE) else _FLOATS
