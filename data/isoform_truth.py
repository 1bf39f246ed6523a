"""The truth behind simulated cells, to measure a fit by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import issparse

from .cells import Cells
from .errors import DataError
from .npz import read_npz

_SIMULATED = 'simulated cells, with layers["expected_counts"] and obs["cell_type"]'


@dataclass(frozen=True, eq=False)
class IsoformTruth:
    """Expected counts and types of simulated cells.

    Attributes
    ----------
    expected
        Expected counts (reads), shape (cells, isoforms).
    cell_types
        Cell type of each cell, shape (cells,), strings.
    isoforms
        Names of the isoforms, shape (isoforms,); None for those of the fit that is measured.
    """

    expected: np.ndarray
    cell_types: np.ndarray
    isoforms: np.ndarray | None = None

    def select(self, positions: np.ndarray) -> IsoformTruth:
        """Take the cells at these positions, shape (cells,)."""
        return IsoformTruth(self.expected[positions], self.cell_types[positions], self.isoforms)

    def reordered(self, isoforms: np.ndarray) -> IsoformTruth:
        """Take these isoforms, by name and in their order, shape (isoforms,).

        Raises
        ------
        DataError
            If one of them is missing.
        """
        if self.isoforms is None or np.array_equal(self.isoforms, isoforms):
            return self
        columns = _positions("the truth", "isoform", self.isoforms, isoforms)
        return IsoformTruth(self.expected[:, columns], self.cell_types, isoforms)


def read_truth(path: str | Path, cells: Cells) -> IsoformTruth:
    """Read the truth of cells from an ``.npz``, or from the ``.h5ad`` of simulated cells.

    An ``.npz`` holds the arrays ``expected`` (cells, transcripts), ``cell_type`` and
    ``transcripts``. Columns are matched by transcript, rows by the names in ``cells`` or, without
    that array, by their order. An ``.h5ad`` holds ``layers["expected_counts"]`` and
    ``obs["cell_type"]``.

    Raises
    ------
    DataError
        If the file cannot be read or does not hold the truth of these cells and isoforms.
    """
    path = Path(path)
    read = _read_h5ad if path.suffix == ".h5ad" else _read_npz
    expected, cell_types, transcripts, names = read(path)
    if expected.shape != (len(cell_types), len(transcripts)):
        raise DataError(
            f"{path}: expected has shape {expected.shape}, but there are {len(cell_types)} "
            f"cell types and {len(transcripts)} transcripts"
        )
    columns = _positions(path, "isoform", transcripts.astype(np.str_), cells.isoforms)
    if names is not None:
        rows = _positions(path, "cell", names.astype(np.str_), cells.names)
    elif len(expected) == cells.num_cells:
        rows = np.arange(cells.num_cells)
    else:
        raise DataError(
            f"{path}: has {len(expected)} cells without names, but {cells.source} has "
            f"{cells.num_cells}; give the truth of these cells"
        )
    cell_types = cell_types[rows].astype(np.str_)
    return IsoformTruth(expected[np.ix_(rows, columns)], cell_types, cells.isoforms)


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Read expected counts, cell types, transcripts and, if they are there, names of cells."""
    arrays = read_npz(path, "the truth", ("expected", "cell_type", "transcripts"), ("cells",))
    return arrays["expected"], arrays["cell_type"], arrays["transcripts"], arrays.get("cells")


def _read_h5ad(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read expected counts, cell types, transcripts and names of cells."""
    from .h5ad.reading import open_cells  # slow to import, not needed for an .npz

    with open_cells(path, f"give {_SIMULATED}") as file:
        if "expected_counts" not in file.layers or "cell_type" not in file.obs:
            raise file.error(f"cannot be read as the truth; give {_SIMULATED}")
        expected = file.read_rows("layers/expected_counts", slice(0, file.shape[0]))
        if issparse(expected):
            expected = expected.toarray()
        return expected, file.obs["cell_type"].to_numpy(), file.isoforms, file.names


def _positions(path: Path | str, what: str, found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Positions of the wanted names among those found."""
    places = {name: place for place, name in enumerate(found.tolist())}
    missing = [name for name in wanted.tolist() if name not in places]
    if missing:
        raise DataError(
            f"{path}: does not have {what} {missing[0]} ({len(missing)} such); give the truth of "
            "these cells"
        )
    return np.array([places[name] for name in wanted.tolist()])
