"""HDF5 files that are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py

from ..memory import FOR_HDF5, require_memory
from ..steady_files import SteadyFile


class NewFile(h5py.File):
    """An HDF5 file to write; a full disk is an OSError of :meth:`check` or :meth:`close`.

    Parameters
    ----------
    path
        The file.
    mode
        ``w`` makes it, ``r+`` goes on.
    **options
        Options of :class:`h5py.File`.
    """

    def __init__(self, path: Path, mode: str = "w", **options: Any) -> None:
        require_memory(FOR_HDF5)
        self._steady = SteadyFile(path, new=mode == "w")
        super().__init__(self._steady, mode, **options)

    def check(self) -> None:
        """Raise the OSError of a write that failed."""
        self._steady.check()

    def close(self) -> None:
        """Close the file and raise the OSError of a write that failed."""
        super().close()
        self._steady.close()
