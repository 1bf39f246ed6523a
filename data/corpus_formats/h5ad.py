"""Corpora as AnnData: counts in ``X``, splits in ``obs["split"]``."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse

from ..corpora import Corpus
from ..errors import DataError
from ..texts import warn_of_repeated
from .checks import checked_splits, require_distinct
from .counts import corpus_of_csr


def read_h5ad(path: Path) -> Corpus:
    """Read a corpus; DataError unless ``X`` holds whole counts of words."""
    import anndata  # slow to import, and no other format needs it

    try:
        with warnings.catch_warnings():
            # Warnings, as of names that are not distinct, become errors below.
            warnings.simplefilter("ignore")
            table = anndata.read_h5ad(path)
    except Exception as error:  # of many kinds, as anndata and h5py find their way in the file
        raise DataError(f"{path}: not a readable .h5ad file ({error}); write it again") from error
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
