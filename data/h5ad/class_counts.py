"""Counts of read classes in an ``.h5ad``: ``obsm["reads"]``, and ``uns["reads"]`` for the classes.

``exvae isoforms import --reads`` writes both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..reads.classes import ISOFORMS, MEMBERS, STARTS, WEIGHTS, ClassCounts
from .parts import CellParts

_PLACE = "uns/reads"
_REMEDY = "import the cells again (exvae isoforms import --reads)"


class StoredClasses(NamedTuple):
    """Classes of a file.

    Attributes
    ----------
    starts, members, weights
        As in :class:`~exvae.data.reads.classes.ClassCounts`, of the isoforms stored with them.
    places
        Position of each of these isoforms in the file, -1 for others, shape (isoforms,).
    """

    starts: np.ndarray
    members: np.ndarray
    weights: np.ndarray
    places: np.ndarray


def read_classes(file: CellParts) -> StoredClasses | None:
    """Read and check the classes of a file; None if it has no reads.

    Raises
    ------
    DataError
        If classes and isoforms do not fit each other.
    """
    if not (file.has("obsm/reads") and file.has(f"{_PLACE}/{STARTS}")):
        return None
    starts, members, weights, isoforms = (
        np.asarray(file.element(f"{_PLACE}/{name}"))
        for name in (STARTS, MEMBERS, WEIGHTS, ISOFORMS)
    )
    fault = _fault(starts, members, weights, isoforms)
    if fault:
        raise file.error(f"{_PLACE}: {fault}; {_REMEDY}")
    places = pd.Index(file.isoforms).get_indexer([str(name) for name in isoforms])
    own = (starts.astype(np.int64), members.astype(np.int32), weights.astype(np.float64))
    return StoredClasses(*own, places)


def read_class_counts(file: CellParts, stored: StoredClasses, rows: slice) -> ClassCounts:
    """Read the reads of some cells by class, of isoforms in the order of the file.

    Raises
    ------
    DataError
        If the counts do not fit the classes, or are none.
    """
    classes = ClassCounts(_counts(file, rows, len(stored.starts) - 1), *stored[:3])
    if np.array_equal(stored.places, np.arange(len(file.isoforms))):
        return classes
    return classes.of_isoforms(stored.places)


def _fault(
    starts: np.ndarray, members: np.ndarray, weights: np.ndarray, isoforms: np.ndarray
) -> str | None:
    """Tell why the arrays describe no classes; None if they do."""
    if any(array.ndim != 1 for array in (starts, members, weights, isoforms)):
        return "its arrays are no lists"
    if starts.dtype.kind not in "iu" or members.dtype.kind not in "iu":
        return f"{STARTS} and {MEMBERS} must be whole numbers"
    if (
        not len(starts)
        or starts[0] != 0
        or starts[-1] != len(members)
        or (np.diff(starts.astype(np.int64)) < 1).any()  # differences without a sign never are
    ):
        return f"{STARTS} must rise from 0 to {len(members)}, the number of {MEMBERS}"
    if len(members) and not (members.min() >= 0 and members.max() < len(isoforms)):
        return f"{MEMBERS} must be positions in its {len(isoforms)} {ISOFORMS}"
    if weights.shape != members.shape or weights.dtype.kind not in "fiu":
        return f"{WEIGHTS} must be a number for each of {MEMBERS}"
    if not (np.isfinite(weights) & (weights > 0)).all():
        return f"{WEIGHTS} must be positive"
    return None


def _counts(file: CellParts, rows: slice, num_classes: int) -> csr_matrix:
    """Read the counts, shape (rows, classes), int32 without zeros."""
    counts = csr_matrix(file.read_rows("obsm/reads", rows, num_classes))
    wrong = ~((counts.data >= 0) & (counts.data % 1 == 0) & (counts.data < 1 << 31))
    if wrong.any():
        raise file.error(
            f"obsm/reads holds {counts.data[wrong][0]}; it must hold numbers of reads of each class"
        )
    counts = counts.astype(np.int32)
    counts.eliminate_zeros()
    return counts
