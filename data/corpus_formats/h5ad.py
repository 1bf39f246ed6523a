"""Corpora as AnnData: counts in ``X``, splits in ``obs["split"]``."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse

from ..corpora import Corpus
from ..errors import DataError
from ..h5ad.opening import open_h5ad
from ..h5ad.stored_rows import StoredRows
from ..texts import warn_of_repeated
from .checks import checked_splits, require_distinct
from .counts import corpus_of_csr

if TYPE_CHECKING:
    from anndata import AnnData


def read_h5ad(path: Path) -> Corpus:
    """Read a corpus; DataError unless ``X`` holds whole counts of words."""
    table = _read_table(path)
    if table.X is None or table.X.dtype.kind not in "biuf":
        raise DataError(f"{path}: has no numbers in X; put the counts there")
    names = table.obs_names.to_numpy().astype(np.str_)
    warn_of_repeated(names, str(path))
    vocabulary = table.var_names.to_numpy().astype(np.str_)
    require_distinct(path, vocabulary)
    counts = scipy.sparse.csr_matrix(table.X)
    corpus = corpus_of_csr(path, vocabulary, counts, "X", names)
    if "split" not in table.obs:
        return corpus
    splits = table.obs["split"].astype(str).to_numpy()
    return replace(corpus, splits=checked_splits(path, splits, "document"))


def _read_table(path: Path) -> AnnData:
    """Read the tables of documents and of words, and ``X``, whose arrays are checked."""
    from anndata import AnnData  # slow to import, and no other format needs it

    from ..h5ad.elements import read_table

    with open_h5ad(path, "write it again") as file:
        try:
            documents, words = (read_table(file[name], file.get("uns")) for name in ("obs", "var"))
            stored = StoredRows(file["X"]) if "X" in file else None
            values = None if stored is None else stored[: stored.shape[0]]
            with warnings.catch_warnings():
                # Warnings, as of names that are not distinct, become errors of the reader.
                warnings.simplefilter("ignore")
                return AnnData(values, obs=documents, var=words)
        except Exception as error:  # of many kinds, as anndata and h5py find their way in the file
            raise DataError(
                f"{path}: not a readable .h5ad file ({error}); write it again"
            ) from error
