"""A reader of cells, for this process or for others.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .cell_rows import CellRows, cell_rows
from .directories import read_quantification
from .quantifications import NeedsPackage


class CellReader(NamedTuple):
    """Reads cells.

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

    def __call__(self, place: Path) -> CellRows | DataError:
        """Read one cell; give the error if anything is wrong with it, so that others are read.

        NeedsPackage is raised, as no cell of that format could be read.
        """
        try:
            cell = read_quantification(place, self.max_bootstraps, self.transcripts)
        except NeedsPackage:
            raise
        except DataError as error:
            return DataError(str(error))  # without what a process could not send
        return cell_rows(cell, self.num_layers)
