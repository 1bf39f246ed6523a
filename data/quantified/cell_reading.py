"""A reader of cells, for this process or for others.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .cell_rows import CellRows, cell_rows
from .directories import read_quantification


class CellReader(NamedTuple):
    """Reads directories of cells.

    Attributes
    ----------
    transcripts
        Transcripts of every cell, in the order of the columns, shape (isoforms,), bytes.
    max_bootstraps
        Largest number of bootstraps to read; None reads all.
    num_layers
        Largest number of bootstraps to keep; None keeps all.
    """

    transcripts: np.ndarray
    max_bootstraps: int | None = None
    num_layers: int | None = None

    def __call__(self, directory: Path) -> CellRows:
        """Read one cell; DataError if anything is wrong with it."""
        cell = read_quantification(directory, self.max_bootstraps, self.transcripts)
        return cell_rows(cell, self.num_layers)
