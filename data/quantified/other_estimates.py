"""Estimates of one cell in several files: of which one is read, and the others should agree.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import numpy as np

from ..errors import DataError
from .cell_files import DAMAGE, open_h5

# Bytes of a table that are compared: of other runs and other cells they differ as well as all.
_COMPARED = 1 << 20
# Names of the column of estimates, of kallisto, salmon, oarfish and piscem-infer.
_ESTIMATES = {b"est_counts", b"NumReads", b"num_reads", b"ecount"}
# Text has six digits, of which the last is rounded.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-3
_ENDINGS = (".h5", ".tsv", ".sf")


def notes_on_others(file: Path, others: Iterable[str], counts: np.ndarray) -> tuple[str, ...]:
    """Remark on other files of a cell whose estimates differ.

    Parameters
    ----------
    file
        The file of estimates that is read.
    others
        Names of other files of the same cell in its folder; those of its own name with another
        ending are found.
    counts
        Its estimates (reads), shape (isoforms,), in the order of the file.

    Returns
    -------
    tuple
        A line for each file that differs. What cannot be read is not compared.
    """
    names = dict.fromkeys([*others, *_twins(file)])
    return tuple(
        f"warning: {name} has other estimates than {file.name}, which is read; remove the one that "
        "is of another run"
        for name in names
        if name != file.name and _differ(file.with_name(name), counts)
    )


def _twins(file: Path) -> list[str]:
    """Name the files beside a file whose names differ by their endings alone."""
    stem = file.name.removesuffix(".gz")
    ending = next((end for end in _ENDINGS if stem.endswith(end)), None)
    if ending is None:
        return []
    stem = stem.removesuffix(ending)
    names = [f"{stem}{end}{packed}" for end in _ENDINGS for packed in ("", ".gz")]
    return [name for name in names if os.path.isfile(file.with_name(name))]


def _differ(path: Path, counts: np.ndarray) -> bool:
    """Tell whether a file holds other estimates than those of shape (isoforms,)."""
    try:
        found, is_whole = _estimates_in(path)
    except (DataError, *DAMAGE):
        return False
    if found is None:
        return False
    if len(found) > len(counts) or (is_whole and len(found) < len(counts)):
        return True
    expected = counts[: len(found)]
    return not np.allclose(found, expected, rtol=_RELATIVE, atol=_ABSOLUTE)


def _estimates_in(path: Path) -> tuple[np.ndarray | None, bool]:
    """Read the first estimates of a file, shape (isoforms,), and tell whether they are all."""
    if ".h5" in path.suffixes:
        with open_h5(path) as file:
            return file["est_counts"][:], True
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        content = file.read(_COMPARED)
        is_whole = not file.read(1)
    lines = BytesIO(content).readlines()
    header = lines[0].rstrip(b"\r\n").split(b"\t")
    column = next((place for place, name in enumerate(header) if name in _ESTIMATES), None)
    if column is None:
        return None, False
    rows = lines[1:] if is_whole else lines[1:-1]
    return np.array([float(row.split(b"\t")[column]) for row in rows]), is_whole
