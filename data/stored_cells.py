"""Cells that stay on disk, for those that do not fit in memory."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cell_matrices import MATRICES, CellMatrices
from .cell_tables import CellTable
from .cells import Cells
from .fingerprints import CellDigest
from .h5ad.gate import Gate
from .h5ad.reading import CellFile, open_cells
from .progress import progress_bar
from .row_blocks import blocks
from .windows import Key, WindowReader, WindowSizes, sizes_of

# Bytes of the cells in a window, of which two are in memory and a third may be on its way.
WINDOW = 1 << 28
# Bytes of an entry of a matrix in memory, and of the statistics.
_ENTRY, _STATISTICS = 8, 16
# Entries (cells x isoforms) that are read at once when all cells are read in their order.
_BLOCK = 1 << 21


class _Measures(NamedTuple):
    """Numbers that one pass over the cells gives.

    Attributes
    ----------
    sizes
        By name, see :meth:`~.cell_matrices.CellMatrices.sizes`.
    fingerprint
        Of the cells.
    """

    sizes: dict[str, np.ndarray]
    fingerprint: str


class _Owner:
    """Closes a file when nobody needs it any more."""

    def __init__(self, stack: ExitStack) -> None:
        weakref.finalize(self, stack.close)


@dataclass(frozen=True, eq=False, kw_only=True)
class StoredCells(CellTable):
    """Cells whose matrices stay in a file and are read when they are needed.

    Attributes
    ----------
    file
        The open file.
    owner
        Keeps the file open.
    columns
        Positions in the file of isoforms that were selected, shape (isoforms,); None for all.
    measures
        Numbers that a pass over all isoforms of the file gave.
    window
        Bytes of a window, see :mod:`~.windows`.
    """

    file: CellFile
    owner: _Owner
    columns: np.ndarray | None = None
    measures: _Measures | None = None
    window: int = WINDOW

    @property
    def num_layers(self) -> int:
        """Number of bootstraps that are kept, beside their statistics."""
        return len(self.file.bootstraps)

    @property
    def has_summary(self) -> bool:
        """Whether there are statistics of bootstraps."""
        return self.file.has_summary

    @property
    def has_reads(self) -> bool:
        """Whether there are reads by class."""
        return self.file.has_reads

    @property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of names, counts and sufficient statistics."""
        return self._measured.fingerprint

    def sizes(self, name: str) -> np.ndarray:
        """Count the isoforms with reads in each cell, see :meth:`CellTable.sizes`."""
        return self._measured.sizes[name]

    @cached_property
    def _measured(self) -> _Measures:
        if self.measures is not None:
            return self.measures
        meter = _Meter(self)
        for _, matrices in self.blocks(size=_BLOCK):
            meter.add(matrices)
        return meter.finish()

    def rows(
        self,
        rows: slice,
        names: Sequence[str] = MATRICES,
        layers: Sequence[int] | None = None,
    ) -> CellMatrices:
        """Read matrices of these names of some cells; ``layers`` are the bootstraps to read."""
        matrices = self.file.matrices(rows, names, layers)
        if self.columns is None:
            return matrices
        return matrices.of_isoforms(self.columns, len(self.file.isoforms))

    def reader(self, names: Sequence[str]) -> WindowReader:
        """Give access to matrices of these names by cell."""
        return WindowReader(lambda rows, _: self.rows(rows, names), self._window_sizes(names))

    def reader_of_few(self, names: Sequence[str], num_bootstraps: int) -> WindowReader | None:
        """Read so many bootstraps of each cell, see :meth:`CellTable.reader_of_few`."""
        everything = self.num_layers
        equal = self.num_bootstraps.min() >= everything
        if not (equal and self.file.has_statistics and num_bootstraps < everything):
            return None

        def read(rows: slice, key: Key) -> CellMatrices:
            chosen = np.random.default_rng(key).choice(everything, num_bootstraps, replace=False)
            return self.rows(rows, names, chosen)

        reader = WindowReader(read, self._window_sizes(names))
        return None if reader.is_whole else reader

    def _window_sizes(self, names: Sequence[str]) -> WindowSizes:
        """Choose the sizes of windows of matrices of these names."""
        places = places_of(self.file, names)
        chunk = max((self.file.layout(place).chunk for place in places), default=0.0)
        size = size_in_memory(self.file, names)
        return sizes_of(self.num_cells, size / self.num_cells, chunk, self.window)

    def read(self, names: Sequence[str]) -> CellMatrices:
        """Read matrices of these names of all cells."""
        return CellMatrices.joined([own for _, own in self.blocks(names, size=_BLOCK)])

    def in_memory(self, columns: np.ndarray | None = None) -> Cells:
        """Read all cells, or isoforms at these positions, shape (chosen,), of them."""
        chosen = self if columns is None else self.of_isoforms(columns)
        matrices = chosen.read(MATRICES)
        own = {name: getattr(matrices, name) for name in MATRICES}
        return Cells(**chosen.facts, **own)

    def of_isoforms(self, columns: np.ndarray) -> StoredCells:
        """Select isoforms at these positions, shape (chosen,), in order."""
        places = columns if self.columns is None else self.columns[columns]
        return replace(self, columns=places, measures=None, **self._of_isoforms(columns))


class _Meter:
    """Measures cells, some at a time in their order."""

    def __init__(self, cells: CellTable) -> None:
        self._digest = CellDigest(cells)
        held = {"rounded": True, "summary": cells.has_summary, "reads": cells.has_reads}
        self._sizes: dict[str, list[np.ndarray]] = {name: [] for name in held if held[name]}

    def add(self, matrices: CellMatrices) -> None:
        self._digest.add(matrices)
        for name, sizes in self._sizes.items():
            sizes.append(matrices.sizes(name))

    def finish(self) -> _Measures:
        sizes = {name: np.concatenate(own) for name, own in self._sizes.items()}
        return _Measures(sizes, self._digest.hexdigest())


def store_cells(
    path: Path,
    batch_key: str | None = None,
    window: int = WINDOW,
    *,
    gene_key: str | None = None,
) -> StoredCells:
    """Open cells that stay on disk, and check all of them once.

    Parameters
    ----------
    path
        The file.
    batch_key
        Column of ``obs`` with the batch of each cell; None puts all cells in one.
    window
        Bytes of the cells that are in memory at once, see :mod:`~.windows`.
    gene_key
        As in :func:`~.h5ad.reading.read_cells`.

    Raises
    ------
    DataError
        As :func:`~.h5ad.reading.read_cells`, or if a matrix is stored by columns.
    """
    with ExitStack() as stack:
        file = stack.enter_context(open_cells(path, gene_key=gene_key))
        if place := column_wise(file):
            raise file.error(
                f"{place} is stored by columns (CSC), so that cells cannot be read one by one; "
                "store it by rows (tocsr), or read the cells into memory"
            )
        cells = StoredCells(
            **file.facts(batch_key), file=file, owner=_Owner(ExitStack()), window=window
        )
        cells = replace(cells, measures=_checked(cells))
        return replace(cells, owner=_Owner(stack.pop_all()))


def _checked(cells: StoredCells) -> _Measures:
    """Check all cells in one pass; DataError tells what is wrong."""
    gate, meter = Gate(cells.file), _Meter(cells)
    with progress_bar(cells.num_cells, "read", delay=1.0) as bar:
        for rows in blocks(cells.num_cells, cells.num_isoforms, _BLOCK):
            matrices = cells.rows(rows)
            gate.add(rows, matrices)
            meter.add(matrices)
            bar.update(rows.stop - rows.start)
    gate.finish()
    return meter.finish()


def column_wise(file: CellFile) -> str | None:
    """Place of a matrix that is stored by columns; None if all are stored by rows."""
    places = (place for place in places_of(file, MATRICES) if not file.layout(place).by_rows)
    return next(places, None)


def places_of(file: CellFile, names: Sequence[str]) -> list[str]:
    """Places in a file of the matrices of these names, but for reads by class."""
    places = ["X"] if "counts" in names else []
    if "bootstraps" in names or ("summary" in names and not file.has_statistics):
        places += [f"layers/{layer}" for layer in file.bootstraps]
    if "summary" in names and file.has_statistics:
        places.append("layers/bootstrap_mean")
    return places


def size_in_memory(file: CellFile, names: Sequence[str] = MATRICES) -> int:
    """Bytes that the matrices of these names take in memory, dense ones as if all were positive."""
    size = 0
    for place in places_of(file, [name for name in names if name != "summary"]):
        size += _ENTRY * file.layout(place).num_entries
    if "summary" in names and file.has_summary:
        first = "bootstrap_mean" if file.has_statistics else file.bootstraps[0]
        size += _STATISTICS * file.layout(f"layers/{first}").num_entries
    return size
