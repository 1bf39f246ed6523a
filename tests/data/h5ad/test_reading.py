"""Cells from an `.h5ad`: what is read, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from exvae.data.any_cells import get_cells
from exvae.data.bootstraps import BootstrapSummary
from exvae.data.errors import DataError, DataWarning
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.row_blocks import blocks

from ..cell_table import BOOTSTRAPS, CELLS, ISOFORMS, KINDS, NUMBERS, dense_statistics, draw, table


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("statistics", [False, True])
def test_what_is_read_is_what_was_written(read, kind: str, statistics: bool) -> None:
    counts, draws = draw()
    cells = read(table(KINDS[kind], statistics=statistics), "batch")
    np.testing.assert_array_equal(cells.counts.toarray(), counts)
    assert [matrix.dtype for matrix in cells.bootstraps] == [np.float32] * BOOTSTRAPS
    for matrix, expected in zip(cells.bootstraps, draws, strict=True):
        np.testing.assert_array_equal(matrix.toarray(), expected)
    expected = BootstrapSummary.of(torch.from_numpy(draws).permute(1, 2, 0).double())
    for found, wanted in zip(dense_statistics(cells), expected[1:], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(cells.mean_bootstraps.toarray(), draws.mean(0), rtol=1e-5)
    assert cells.names.tolist() == [f"cell{n}" for n in range(CELLS)]
    assert cells.isoforms.tolist() == [f"iso{g}" for g in range(ISOFORMS)]
    assert cells.genes.tolist() == list("ggghh")
    assert cells.batch_names == ("a", "b")
    assert cells.batches.tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert cells.num_bootstraps.tolist() == [BOOTSTRAPS] * CELLS


def test_layers_are_taken_by_number_and_not_by_name(read) -> None:
    made = table()
    _, draws = draw()
    for number in range(BOOTSTRAPS):
        del made.layers[f"infRep{number + 1}"]
    for name, values in zip((10, 9, 2, 1), draws[::-1], strict=True):
        made.layers[f"infRep{name}"] = scipy.sparse.csr_matrix(values)
    for matrix, expected in zip(read(made).bootstraps, draws, strict=True):
        np.testing.assert_array_equal(matrix.toarray(), expected)


def test_cells_may_have_different_numbers_of_bootstraps(read) -> None:
    cells = read(table(numbers=NUMBERS))
    _, draws = draw()
    assert cells.num_bootstraps.tolist() == NUMBERS.tolist()
    for n, number in enumerate(NUMBERS):
        own = BootstrapSummary.of(torch.from_numpy(draws[:number, n]).T.double())
        for found, wanted in zip(dense_statistics(cells), own[1:], strict=True):
            np.testing.assert_allclose(found[n], wanted, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(
            cells.mean_bootstraps[[n]].toarray()[0], draws[:number, n].mean(0), rtol=1e-5
        )


def broken(change: str) -> anndata.AnnData:
    """Make a table with one thing wrong."""
    made = table(np.asarray, statistics=change.startswith("statistics"))
    layer = made.layers["infRep2"]
    if change == "negative":
        layer[3, 1] = -2.0
    elif change == "missing":
        made.X[3, 1] = np.nan
    elif change == "infinite":
        layer[3, 1] = np.inf
    elif change == "TPM in X":
        made.X = made.X * (1e6 / made.X.sum(1, keepdims=True))
    elif change == "TPM in a bootstrap":
        made.layers["infRep2"] = layer * (1e6 / layer.sum(1, keepdims=True))
    elif change == "empty cell":
        made.X[3] = 0.0
    elif change == "empty bootstrap":
        del made.obs["n_bootstraps"]
        layer[3] = 0.0
    elif change == "too many bootstraps":
        made.obs["n_bootstraps"] = 1
    elif change == "too few layers":
        made.obs.loc["cell3", "n_bootstraps"] = 9
    elif change == "half a bootstrap":
        made.obs["n_bootstraps"] = 1.5
    elif change == "cells alike":
        made.obs_names = ["twin", "twin", *made.obs_names[2:]]
    elif change == "isoforms alike":
        made.var_names = ["twin", "twin", *made.var_names[2:]]
    elif change == "no numbers":
        made.X = None
    elif change == "no cells":
        made = made[[]].copy()
    elif change == "statistics without numbers":
        del made.obs["n_bootstraps"]
    elif change == "statistics that disagree":
        made.layers["bootstrap_zeros"][3, 1] = 99
    elif change == "statistics that are negative":
        made.layers["bootstrap_ss"][3, 1] = -1
    elif change == "no batch":
        made.obs["batch"] = [None, *made.obs["batch"][1:]]
    return made


@pytest.mark.filterwarnings("ignore:(Observation|Variable) names are not unique")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("negative", r"infRep2.*-2.0 in cell cell3"),
        ("missing", r"X holds nan in cell cell3"),
        ("infinite", r"infRep2.*inf in cell cell3"),
        ("TPM in X", r"X sums to a million .* transcripts per million"),
        ("TPM in a bootstrap", r"infRep2.* sums to a million"),
        ("empty cell", r"cell cell3 has no reads in X"),
        ("empty bootstrap", r"cell cell3 has no reads in infRep2.*n_bootstraps"),
        ("too many bootstraps", r"cell cell0 has reads in infRep2.*n_bootstraps"),
        ("too few layers", r"cell cell3 has 9 bootstraps, but there are 4 layers"),
        ("half a bootstrap", r"n_bootstraps.* is 1.5 in cell cell0"),
        ("cells alike", r"cell twin occurs 2 times"),
        ("isoforms alike", r"isoform twin occurs 2 times"),
        ("no numbers", r"X is no matrix|has no X"),
        ("no cells", r"has 0 cells"),
        ("statistics without numbers", r"n_bootstraps"),
        ("statistics that disagree", r"99.* for iso1 in cell cell3"),
        ("statistics that are negative", r"-1 for iso1 in cell cell3"),
        ("no batch", r"obs\['batch'\] lacks the batch of some cells"),
    ],
)
def test_bad_cells_are_refused_in_one_line(read, change: str, named: str) -> None:
    with pytest.raises(DataError, match=named) as raised:
        read(broken(change), "batch")
    assert "cells.h5ad: " in str(raised.value)
    assert "\n" not in str(raised.value)


def test_unknown_batch_keys_and_files_are_refused(read, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'donor'; batch_key must be one of batch"):
        read(table(), "donor")
    with pytest.raises(DataError, match="missing.h5ad: no such file"):
        read_cells(tmp_path / "missing.h5ad")
    (tmp_path / "text.h5ad").write_text("no cells")
    with pytest.raises(DataError, match="text.h5ad: not a readable"):
        read_cells(tmp_path / "text.h5ad")
    with h5py.File(tmp_path / "other.h5ad", "w"):
        pass
    with pytest.raises(DataError, match="other.h5ad: has no obs"):
        read_cells(tmp_path / "other.h5ad")


def test_genes_may_have_a_column_of_any_name(tmp_path: Path) -> None:
    made, path = table(), tmp_path / "cells.h5ad"
    made.var["symbol"] = ["A", np.nan, "A", "B", "B"]
    made.write_h5ad(path)
    for source in (made, path):
        cells = read_cells(source, gene_key="symbol")
        assert cells.genes.tolist() == ["A", "iso1", "A", "B", "B"]
        assert cells.gene_key == "symbol"
        assert read_cells(source).genes.tolist() == list("ggghh")
        stored = get_cells(path, gene_key="symbol", backed=True)
        assert stored.genes.tolist() == cells.genes.tolist()
    told = f"{path}: var has no column 'name', which gene_key names; choose one of gene, symbol, or"
    for backed in (False, True):
        with pytest.raises(DataError, match=f"^{re.escape(told)} rename one$"):
            get_cells(path, gene_key="name", backed=backed)
    made.var["symbol"] = ["A", np.nan, "", "B", "B"]
    with pytest.warns(DataWarning, match=r'var\["symbol"\] lacks the gene of 2 of 5 isoforms'):
        read_cells(made, gene_key="symbol")


@pytest.mark.parametrize("kind", [int, float, "Int64", "category"])
def test_numbers_that_name_genes_and_batches_have_no_decimals(read, kind: type | str) -> None:
    made = table()
    made.var["gene"] = pd.Series([1.0, 1.0, 1.0, 2.0, 2.0], made.var_names).astype(kind)
    made.obs["plate"] = pd.Series([7.0, 8.0, 7.0, 8.0, 7.0, 8.0, 7.0], made.obs_names).astype(kind)
    cells = read(made, "plate")
    assert cells.genes.tolist() == ["1", "1", "1", "2", "2"]
    assert cells.batch_names == ("7", "8")


def test_large_numbers_keep_their_digits(read) -> None:
    made = table()
    made.obs["plate"] = 2**60 + 1
    assert read(made, "plate").batch_names == (str(2**60 + 1),)
    made.var["gene"] = 1.0
    made.var_names = ["twice"] * 2 + list(made.var_names[2:])
    with pytest.raises(DataError, match="isoform twice occurs 2 times"):
        read(made)


def test_genes_that_are_numbers_or_missing(read) -> None:
    made = table()
    made.var["gene"] = [1.0, np.nan, 1.0, 2.0, 2.0]
    assert read(made).genes.tolist() == ["1", "iso1", "1", "2", "2"]
    made.obs["plate"] = [0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5]
    assert read(made, "plate").batch_names == ("0.5", "1.0")


@pytest.mark.parametrize("missing", ["", np.nan, None])
def test_an_isoform_without_a_gene_is_a_gene_of_its_own(read, missing: object) -> None:
    made = table()
    made.var["gene"] = ["g", missing, "g", "h", "h"]
    assert read(made).genes.tolist() == ["g", "iso1", "g", "h", "h"]


def test_some_cells_have_the_statistics_of_their_rows(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "cells.h5ad"
    table(statistics=True).write_h5ad(path)
    whole = read_cells(path)
    # One cell at a time.
    monkeypatch.setattr("exvae.data.h5ad.reading.blocks", lambda cells, *_: blocks(cells, 1))
    with open_cells(path) as file:
        some = file.read(rows=slice(2, 6))
    for name in ("positives", "mean", "sum_of_squares"):
        found = some.summary.matrix(name, ISOFORMS).toarray()
        np.testing.assert_array_equal(found, whole.summary.matrix(name, ISOFORMS).toarray()[2:6])


def test_cells_of_one_depth_are_told(read) -> None:
    made = table()
    depths = np.asarray(made.X.sum(1)).reshape(-1, 1)
    made.X = np.asarray(made.X.todense() if scipy.sparse.issparse(made.X) else made.X) / depths
    made.X = (1e4 * made.X).astype(np.float32)
    for name in list(made.layers):
        del made.layers[name]
    del made.obs["n_bootstraps"]
    with pytest.warns(DataWarning, match="X sums to 10000 in every cell, as after normalisation"):
        read(made)


def test_transposed_cells_are_refused(read) -> None:
    made = table()
    made.var["gene"], made.var["length"] = "gene", 1000
    with pytest.raises(DataError, match="its rows are isoforms .*; transpose it"):
        read(anndata.AnnData(made.X.T, obs=made.var, var=made.obs[[]]))


def test_counts_in_raw_are_told(read) -> None:
    made = table()
    made.raw = made.copy()
    made.X = scipy.sparse.csr_matrix(made.shape, dtype=np.float32)
    with pytest.raises(DataError, match="X is empty, and raw.X holds numbers"):
        read(made)


def test_isoforms_without_a_gene_are_told(read) -> None:
    made = table()
    made.var["gene"] = [None, None, *["gene"] * (made.n_vars - 2)]
    with pytest.warns(DataWarning, match=r"lacks the gene of 2 of \d+ isoforms; each is taken"):
        assert read(made).genes[0] == made.var_names[0]
