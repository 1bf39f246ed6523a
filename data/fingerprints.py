"""Fingerprints of cells, computed from some rows at a time."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from .cell_matrices import CellMatrices
    from .cell_tables import CellTable

# Values hashed at once; bounds the memory that a fingerprint takes.
_HASHED = 1 << 22


class CellDigest:
    """Fingerprint of cells, whose rows are added in order.

    It does not depend on how many rows are added at once.

    Parameters
    ----------
    cells
        The cells.
    """

    def __init__(self, cells: CellTable) -> None:
        self._cells = cells
        self._digests: dict[str, hashlib._Hash] = {}

    def add(self, matrices: CellMatrices) -> None:
        """Add the matrices of the next cells."""
        self._add_matrix("counts", matrices.counts)
        if matrices.reads is not None:
            reads = matrices.reads
            self._add_matrix("reads", reads.counts)
            if "starts" not in self._digests:
                for name in ("starts", "members", "weights"):
                    self._add(name, getattr(reads, name))
        if matrices.summary is not None:
            self._add("summary sizes", np.diff(matrices.summary.indptr))
            for name, values in matrices.summary._asdict().items():
                if name != "indptr":
                    self._add(f"summary {name}", values)

    def hexdigest(self) -> str:
        """Give the fingerprint, hexadecimal."""
        self._add("bootstraps", self._cells.num_bootstraps)
        names = [*self._cells.names, "", *self._cells.isoforms]
        parts = [f"{name} {own.hexdigest()}" for name, own in sorted(self._digests.items())]
        return hashlib.sha256("\n".join([*names, "", *parts]).encode()).hexdigest()

    def _add_matrix(self, name: str, matrix: csr_matrix) -> None:
        self._add(f"{name} sizes", np.diff(matrix.indptr))
        self._add(f"{name} places", matrix.indices)
        self._add(f"{name} values", matrix.data)

    def _add(self, name: str, values: np.ndarray) -> None:
        digest = self._digests.setdefault(name, hashlib.sha256())
        kind = "<f4" if values.dtype.kind == "f" else "<i8"
        for start in range(0, len(values), _HASHED):
            digest.update(values[start : start + _HASHED].astype(kind).tobytes())
