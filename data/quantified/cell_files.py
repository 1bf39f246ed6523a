"""Files that quantifiers write about a cell: tables and JSON, and errors that name the file.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
import json
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..files import reading
from .quantifications import AGAIN

if TYPE_CHECKING:
    import pandas as pd

# Signs of damage in JSON, tables and HDF5.
_DAMAGE = (OSError, LookupError, RuntimeError, TypeError, ValueError)


def reading_cell(path: Path) -> AbstractContextManager[None]:
    """Turn failures to read a file of a cell into a DataError that names it."""
    return reading(path, f"is missing; {AGAIN}", AGAIN, _DAMAGE)


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Read a JSON object; one that is ``optional`` is empty where there is no file.

    Raises
    ------
    DataError
        If the file is missing or holds something else.
    """
    if optional and not path.exists():
        return {}
    with reading_cell(path):
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        return values


def read_table(path: Path, identifier: str, columns: dict[str, type]) -> pd.DataFrame:
    """Read columns of a tab-separated table with a header.

    Parameters
    ----------
    path
        The table, compressed if its name ends in ``.gz``.
    identifier
        Column of names, read as strings.
    columns
        Further columns and their types.

    Raises
    ------
    DataError
        If the file is missing, truncated or lacks a column or any row.
    """
    import pandas as pd  # slow to load, and not needed for HDF5

    with reading_cell(path):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        if not content.endswith(b"\n"):
            raise ValueError("its last line has no end")
        table = pd.read_csv(
            BytesIO(content),
            sep="\t",
            usecols=[identifier, *columns],
            dtype={identifier: str, **columns},
            na_values=dict.fromkeys(columns, ["nan", "-nan", "NaN"]),
            keep_default_na=False,  # a name may be NA
            index_col=False,
            quoting=3,  # names may hold quotation marks
        )
        if table.empty:
            raise ValueError("no rows")
        return table


def read_tpm(path: Path, identifier: str, column: str) -> np.ndarray:
    """Read transcripts per million from a column of a table, shape (isoforms,), float64."""
    return read_table(path, identifier, {column: np.float64})[column].to_numpy()


def as_bytes(names: pd.Series) -> np.ndarray:
    """Names of transcripts as bytes, shape (isoforms,)."""
    return np.array([name.encode() for name in names], dtype=np.bytes_)
