"""Corpora as AnnData: names, splits, and everything that can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from exvae.data.corpus_formats import read_corpus

from .fruit import (
    COUNTS,
    SPLITS,
    assert_error,
    table_of,
)


def test_h5ad_has_names_and_splits(tmp_path: Path) -> None:
    path = tmp_path / "corpus.h5ad"
    table_of(COUNTS, split=SPLITS).write_h5ad(path)
    corpus = read_corpus(path)
    assert corpus.names.tolist() == ["one", "two", "three"]
    assert corpus.splits.tolist() == SPLITS
    assert corpus.labels is None


@pytest.mark.parametrize(
    ("value", "part"),
    [(-1, "-1.0"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (1e30, "1e+30")],
)
@pytest.mark.parametrize("convert", [scipy.sparse.csr_matrix, scipy.sparse.csc_matrix, np.asarray])
def test_h5ad_that_does_not_hold_counts(
    tmp_path: Path, value: float, part: str, convert: Callable[[np.ndarray], object]
) -> None:
    counts = COUNTS.astype(np.float64)
    counts[1, 1] = value
    path = tmp_path / "corpus.h5ad"
    table_of(convert(counts)).write_h5ad(path)
    assert_error(path, part, "'two'", "raw counts")


def test_h5ad_that_is_not_a_corpus(tmp_path: Path) -> None:
    path = tmp_path / "corpus.h5ad"
    table_of(None).write_h5ad(path)
    assert_error(path, "no numbers in X")
    table_of(COUNTS, split=["train", "deve", "test"]).write_h5ad(path)
    assert_error(path, "document 2 has the split 'deve'")
    table_of(COUNTS)[[]].write_h5ad(path)
    assert_error(path, "no documents")
    repeated = pd.DataFrame(index=["apple", "fig", "apple", "pear"])
    with pytest.warns(UserWarning, match="not unique"):
        anndata.AnnData(COUNTS, var=repeated).write_h5ad(path)
    assert_error(path, "'apple' more than once")
