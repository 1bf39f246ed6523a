"""A filtered file is what anndata's own subsetting gives; what is wrong is one clear line."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from exvae.data.cells import STATISTICS
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.quantified import filtering
from exvae.data.quantified.filtering import filter_isoforms

from ..cell_table import table

CELLS, ISOFORMS, BOOTSTRAPS = 9, 12, 3
NUMBERS = np.array([3, 3, 2, 3, 1, 3, 3, 3, 3])  # bootstraps of each cell


def draw() -> np.ndarray:
    """Draw bootstraps (bootstraps, cells, isoforms); later isoforms are in fewer cells."""
    rng = np.random.default_rng(0)
    present = rng.random((CELLS, ISOFORMS)) < np.linspace(1.0, 0.0, ISOFORMS)
    present[3, 4:] = False
    rates = present * rng.gamma(1.0, 6.0, (CELLS, ISOFORMS))
    draws = rng.poisson(rates, (BOOTSTRAPS, CELLS, ISOFORMS)).astype(np.float32) * 1.25
    draws[:, :, 0] += 1.0
    return draws * (np.arange(BOOTSTRAPS)[:, None] < NUMBERS)[:, :, None]


def cells(*, statistics: bool = True, layers: int = BOOTSTRAPS) -> anndata.AnnData:
    """Make cells as import writes them, with something in every other part of the file."""
    draws = draw()
    made = anndata.AnnData(
        scipy.sparse.csr_matrix(draws[0]),
        obs=pd.DataFrame(
            {"n_bootstraps": NUMBERS, "plate": pd.Categorical(list("aabbaabba"))},
            index=[f"cell{n}" for n in range(CELLS)],
        ),
        var=pd.DataFrame(
            {"gene": pd.Categorical([f"gene{g // 2}" for g in range(ISOFORMS)])},
            index=[f"iso{g}" for g in range(ISOFORMS)],
        ),
        uns={"exvae_import": {"exvae_version": "1"}},
        obsm={"X_pca": np.arange(2.0 * CELLS).reshape(CELLS, 2)},
        varm={"loadings": np.arange(2.0 * ISOFORMS).reshape(ISOFORMS, 2)},
        varp={"similar": scipy.sparse.eye(ISOFORMS, format="csr")},
    )
    made.layers["expected_counts"] = draws.mean(0).astype(np.float64)  # dense
    for number in range(layers):
        made.layers[f"infRep{number + 1}"] = scipy.sparse.csr_matrix(draws[number])
    if statistics:
        positives = (draws > 0).sum(0)
        mean = draws.sum(0) / np.maximum(positives, 1)
        squares = (np.where(draws > 0, draws - mean, 0.0) ** 2).sum(0)
        made.layers["bootstrap_mean"] = scipy.sparse.csr_matrix(mean.astype(np.float32))
        made.layers["bootstrap_ss"] = scipy.sparse.csr_matrix(squares.astype(np.float32))
        made.layers["bootstrap_zeros"] = (NUMBERS[:, None] - positives).astype(np.int16)
    return made


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch) -> None:
    """Take two cells at a time."""
    monkeypatch.setattr(filtering, "_BLOCK", 2 * ISOFORMS)


def dense(matrix: object) -> np.ndarray:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)


def assert_equal(found: anndata.AnnData, expected: anndata.AnnData) -> None:
    pd.testing.assert_frame_equal(found.obs, expected.obs)
    pd.testing.assert_frame_equal(found.var, expected.var)
    assert set(found.layers) == set(expected.layers)
    pairs = [(found.X, expected.X), *((found.layers[n], expected.layers[n]) for n in found.layers)]
    for part in ("obsm", "varm", "varp"):
        mappings = getattr(found, part), getattr(expected, part)
        assert set(mappings[0]) == set(mappings[1])
        pairs += [(mappings[0][name], mappings[1][name]) for name in mappings[0]]
    for one, two in pairs:
        assert scipy.sparse.issparse(one) == scipy.sparse.issparse(two)
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(dense(one), dense(two))


@pytest.mark.parametrize("kind", [{}, {"statistics": False}, {"layers": 1}, {"layers": 0}], ids=str)
@pytest.mark.parametrize(("min_cells", "min_reads"), [(1, 0.0), (5, 0.0), (3, 4.0)])
def test_the_file_is_what_anndata_gives(
    kind: dict, min_cells: int, min_reads: float, tmp_path: Path
) -> None:
    source, out = tmp_path / "cells.h5ad", tmp_path / "few.h5ad"
    made = cells(**kind)
    made.write_h5ad(source)
    summary = filter_isoforms(source, out, min_cells, min_reads)
    mean = draw().sum(0) / NUMBERS[:, None]
    kept = ((mean > 0) & (mean >= min_reads)).sum(0) >= min_cells
    assert 1 < kept.sum() < ISOFORMS
    assert summary == (CELLS, kept.sum(), ISOFORMS, pytest.approx(mean[:, kept].sum() / mean.sum()))
    found = anndata.read_h5ad(out)
    assert_equal(found, made[:, kept].copy())
    assert found.uns["exvae_import"] == {"exvae_version": "1"}
    about = {"min_cells": min_cells, "min_reads": min_reads, "isoforms_before": ISOFORMS}
    assert about.items() <= found.uns["exvae_filter"].items()
    # What a fit reads of it is what it reads of anndata's.
    made[:, kept].copy().write_h5ad(source)
    assert read_cells(out).fingerprint == read_cells(source).fingerprint


def test_without_bootstraps_estimates_count(tmp_path: Path) -> None:
    made = cells(statistics=False, layers=0)
    made.write_h5ad(tmp_path / "cells.h5ad")
    filter_isoforms(tmp_path / "cells.h5ad", tmp_path / "few.h5ad", 5)
    kept = (draw()[0] > 0).sum(0) >= 5
    assert_equal(anndata.read_h5ad(tmp_path / "few.h5ad"), made[:, kept].copy())


def lacking(name: str) -> anndata.AnnData:
    """Make cells of which one thing is wrong."""
    made = cells()
    if name == "n_bootstraps":
        del made.obs["n_bootstraps"]
    elif name == "reads":
        for matrix in (made.X, *(made.layers[name] for name in STATISTICS[:1])):
            matrix.data[:] = 0
    elif name == "a cell":
        made.X = scipy.sparse.csr_matrix(made.X.toarray() * (np.arange(CELLS) != 4)[:, None])
    return made


@pytest.mark.parametrize(
    ("name", "min_cells", "message"),
    [
        ("nothing", CELLS + 1, r"cells\.h5ad: has 9 cells, min_cells is 10"),
        ("reads", 2, "no isoform has reads in 2 cells"),
        ("n_bootstraps", 2, "n_bootstraps"),
        ("a cell", 2, "cell cell4 has no reads in the isoforms that are kept"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(
    name: str, min_cells: int, message: str, tmp_path: Path
) -> None:
    source = tmp_path / "cells.h5ad"
    lacking(name).write_h5ad(source)
    with pytest.raises(DataError, match=message):
        filter_isoforms(source, tmp_path / "few.h5ad", min_cells)
    assert list(tmp_path.iterdir()) == [source]


def test_files_that_are_none_of_ours(tmp_path: Path) -> None:
    source = tmp_path / "cells.h5ad"
    for out, message in (
        (source, "is the file that is read"),
        (tmp_path / "few.csv", "ends in .h5ad"),
        (tmp_path / "no" / "few.h5ad", "folder does not exist"),
        (tmp_path / "few.h5ad", "no such file"),
    ):
        with pytest.raises(DataError, match=message):
            filter_isoforms(source, out, 2)
    source.write_text("text")
    with pytest.raises(DataError, match="not a readable"):
        filter_isoforms(source, tmp_path / "few.h5ad", 2)
    anndata.AnnData(obs=pd.DataFrame(index=["a"])).write_h5ad(source)
    with pytest.raises(DataError, match=r"cells\.h5ad: "):
        filter_isoforms(source, tmp_path / "few.h5ad", 1)
    assert list(tmp_path.iterdir()) == [source]


def test_missing_numbers_are_refused(tmp_path: Path) -> None:
    cells = tmp_path / "cells.h5ad"
    made = table()
    made.layers["infRep2"] = made.layers["infRep2"].copy()
    made.layers["infRep2"].data[0] = np.nan
    made.write_h5ad(cells)
    with pytest.raises(DataError, match="layers/infRep2 holds numbers that are negative or missin"):
        filter_isoforms(cells, tmp_path / "out.h5ad", min_cells=1)
    assert not (tmp_path / "out.h5ad").exists()
