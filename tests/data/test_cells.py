"""Cells: what is read, what is refused, and the minibatches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cell_batches import CellTensors, CountTensors
from exvae.data.cells import STATISTICS, Cells, summarise
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.initial_values import expression_scales, input_scales, noise_variances
from exvae.data.row_blocks import blocks

CELLS, ISOFORMS, BOOTSTRAPS = 7, 5, 4
NUMBERS = np.array([4, 4, 1, 3, 2, 4, 2])  # bootstraps of each cell


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw counts (cells, isoforms) and bootstraps (bootstraps, cells, isoforms), some zero."""
    rng = np.random.default_rng(seed)
    mean = rng.gamma(1.0, 10.0, (CELLS, ISOFORMS))
    draws = rng.normal(mean, 3.0, (BOOTSTRAPS, CELLS, ISOFORMS))
    draws *= rng.random(draws.shape) < 0.7
    draws = np.where(draws > 0, draws, 0.0).astype(np.float32)
    draws[:, :, 0] += 1.0  # no cell and no bootstrap is empty
    return mean.astype(np.float32), draws


def table(
    convert: Callable[[np.ndarray], object] = scipy.sparse.csr_matrix,
    *,
    numbers: np.ndarray | None = None,
    statistics: bool = False,
    layers: int = BOOTSTRAPS,
) -> anndata.AnnData:
    """Make a table of cells; with ``numbers``, cells have different numbers of bootstraps."""
    counts, draws = draw()
    present = np.arange(BOOTSTRAPS)[:, None] < (BOOTSTRAPS if numbers is None else numbers)
    present = np.broadcast_to(present, (BOOTSTRAPS, CELLS))
    draws = draws * present[:, :, None]
    made = anndata.AnnData(
        convert(counts),
        obs=pd.DataFrame(
            {"batch": list("bababab"), "n_bootstraps": present.sum(0)},
            index=[f"cell{n}" for n in range(CELLS)],
        ),
        var=pd.DataFrame({"gene": list("ggghh")}, index=[f"iso{g}" for g in range(ISOFORMS)]),
    )
    for number in range(layers):
        made.layers[f"infRep{number + 1}"] = convert(draws[number])
    if statistics:
        positive = draws > 0
        positives = positive.sum(0)
        mean = draws.sum(0) / np.maximum(positives, 1)
        squares = (np.where(positive, draws - mean, 0.0) ** 2).sum(0)
        zeros = present.sum(0)[:, None] - positives
        for name, values in zip(STATISTICS, (mean, zeros, squares), strict=True):
            made.layers[name] = convert(values.astype(np.float32))
    return made


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Cells]:
    """Write a table and read it."""

    def write_and_read(made: anndata.AnnData, batch_key: str | None = None) -> Cells:
        made.write_h5ad(tmp_path / "cells.h5ad")
        return read_cells(tmp_path / "cells.h5ad", batch_key)

    return write_and_read


def dense_statistics(cells: Cells) -> list[np.ndarray]:
    names = ("positives", "mean", "sum_of_squares")
    return [cells.summary.matrix(name, ISOFORMS).toarray() for name in names]


KINDS = {
    "CSR": scipy.sparse.csr_matrix,
    "CSC": scipy.sparse.csc_matrix,
    "dense": np.asarray,
}


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


def test_blocks_change_nothing(read, monkeypatch) -> None:
    whole = [read(table(statistics=flag)) for flag in (False, True)]
    monkeypatch.setattr(blocks, "__defaults__", (2 * ISOFORMS,))
    for flag, expected in zip((False, True), whole, strict=True):
        for found, wanted in zip(
            read(table(statistics=flag)).summary, expected.summary, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
    assert [(b.start, b.stop) for b in blocks(CELLS, ISOFORMS)] == [(0, 2), (2, 4), (4, 6), (6, 7)]


def test_statistics_do_without_bootstraps(read) -> None:
    cells = read(table(statistics=True, layers=0))
    assert cells.bootstraps == ()
    batch = CellTensors(cells).batch([2, 0])
    assert batch.offsets.tolist() == [0, 1, 2]
    _, draws = draw()
    np.testing.assert_allclose(batch.bootstraps, draws.mean(0)[[2, 0]], rtol=1e-5)


def test_few_layers_beside_the_statistics_of_all(read) -> None:
    cells = read(table(statistics=True, layers=2, numbers=NUMBERS))
    batch = CellTensors(cells).batch(np.arange(CELLS))
    assert batch.offsets.diff().tolist() == np.minimum(NUMBERS, 2).tolist()
    assert (batch.obs.zeros + batch.obs.positives)[:, 0].tolist() == NUMBERS.tolist()


def test_tables_without_bootstraps_are_for_scvi(read) -> None:
    cells = read(table(layers=0))
    assert cells.summary is None
    with pytest.raises(DataError, match="kallisto quant -b 30.*choose scvi"):
        CellTensors(cells)
    assert CountTensors(cells).batch([0]).obs.shape == (1, ISOFORMS)


def test_the_fingerprint_knows_the_data(read) -> None:
    one = read(table()).fingerprint
    assert one == read(table(KINDS["dense"])).fingerprint
    others = []
    for change in ("name", "isoform", "count", "bootstrap", "number"):
        made = table()
        if change == "name":
            made.obs_names = ["other", *made.obs_names[1:]]
        elif change == "isoform":
            made.var_names = ["other", *made.var_names[1:]]
        elif change == "count":
            made.X[0, 0] += 1
        elif change == "bootstrap":
            made.layers["infRep1"][0, 0] += 1
        else:
            made = table(numbers=NUMBERS)
        others.append(read(made).fingerprint)
    assert len({one, *others}) == 6


# Bad input


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
        ("no batch", r"obs\['batch'\] does not tell"),
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


def test_cells_without_bootstraps_are_named(read) -> None:
    made = table(numbers=np.array([4, 4, 4, 0, 4, 0, 4]))
    with pytest.raises(DataError, match=r"cell cell3 has no bootstraps \(2 such cells\)"):
        CellTensors(read(made))


def test_cells_are_given_the_batches_of_a_fit(read) -> None:
    cells = read(table(), "batch")
    known = cells.recoded(cells.isoforms.tolist(), ["c", "b", "a"])
    assert known.batches.tolist() == [1, 2, 1, 2, 1, 2, 1]
    assert known.batch_names == ("c", "b", "a")
    with pytest.raises(DataError, match="batch 'b' is not in the fit, which knows 'a'"):
        cells.recoded(cells.isoforms.tolist(), ["a"])
    with pytest.raises(DataError, match="has 5 isoforms, but the fit has 4"):
        cells.recoded(cells.isoforms.tolist()[:4], ["a", "b"])
    with pytest.raises(DataError, match="isoform 2 is iso1, but iso2 in the fit"):
        cells.recoded(["iso0", "iso2", "iso1", "iso3", "iso4"], ["a", "b"])


# Minibatches


def test_a_minibatch_holds_its_cells_in_order(read) -> None:
    cells = read(table(numbers=NUMBERS), "batch")
    _, draws = draw()
    positions = [5, 2, 3]
    batch = CellTensors(cells).batch(positions, 100)
    assert batch.indices.tolist() == positions
    assert batch.num_cells == 100
    assert batch.batches.tolist() == [0, 1, 0]
    assert batch.offsets.tolist() == [0, 4, 5, 8]
    read_by_guide = np.concatenate([draws[: NUMBERS[n], n] for n in positions])
    np.testing.assert_array_equal(batch.bootstraps, read_by_guide)
    for row, n in enumerate(positions):
        expected = BootstrapSummary.of(torch.from_numpy(draws[: NUMBERS[n], n]).T.double())
        for found, wanted in zip(batch.obs, expected, strict=True):
            np.testing.assert_allclose(found[row], wanted, rtol=1e-5, atol=1e-5)


def test_a_subset_of_bootstraps_is_drawn_anew(read) -> None:
    cells = read(table(numbers=NUMBERS))
    tensors, everything = CellTensors(cells), np.arange(CELLS)
    whole = tensors.batch(everything)
    seen = set()
    for _ in range(60):
        batch = tensors.batch(everything, num_bootstraps=2)
        assert batch.offsets.diff().tolist() == np.minimum(NUMBERS, 2).tolist()
        assert all(map(torch.equal, batch.obs, whole.obs))
        for n in range(CELLS):
            own = batch.bootstraps[batch.offsets[n] : batch.offsets[n + 1]]
            all_own = whole.bootstraps[whole.offsets[n] : whole.offsets[n + 1]]
            found = (own[:, None] == all_own[None]).all(-1).nonzero()[:, 1].tolist()
            assert len(set(found)) == len(own)
            seen |= {(n, number) for number in found}
    assert len(seen) == NUMBERS.sum()  # each bootstrap in its turn


def test_subsets_follow_the_generator_of_torch(read) -> None:
    tensors = CellTensors(read(table()))
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(tensors.batch(np.arange(CELLS), num_bootstraps=2).bootstraps)
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])


def test_counts_are_rounded_for_scvi(read) -> None:
    cells = read(table())
    batch = CountTensors(cells).batch([1, 4], num_bootstraps=3)
    np.testing.assert_array_equal(batch.obs, np.round(cells.counts[[1, 4]].toarray()))
    assert torch.equal(batch.bootstraps, batch.obs)
    assert batch.offsets.tolist() == [0, 1, 2]
    assert batch.num_cells == CELLS
    assert (cells.counts.data % 1).any()  # the cells themselves stay as they are
    made = table()
    made.X[2] = 0.2
    with pytest.raises(DataError, match="cell cell2 has no reads in X after rounding"):
        CountTensors(read(made))


# Scales


def test_expression_scales() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(5.0, (6, 3)).astype(np.float32) + 1
    batches = np.array([0, 0, 0, 1, 1, 2])
    scales = expression_scales(scipy.sparse.csr_matrix(counts), batches, 4)
    log_library = np.log(counts.sum(1))
    means = [log_library[:3].mean(), log_library[3:5].mean(), *[log_library.mean()] * 2]
    np.testing.assert_allclose(scales.log_library_mean, means, rtol=1e-6)
    np.testing.assert_allclose(scales.log_library_sd[3], log_library.std(), rtol=1e-5)
    totals = counts.sum(0) + 0.5
    np.testing.assert_allclose(scales.fractions, totals / totals.sum(), rtol=1e-6)


def test_input_scales() -> None:
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (5, 4)).astype(np.float32)
    counts[:, 0] += 1
    counts[3] *= 7  # as if it were sequenced more deeply
    scales = input_scales(scipy.sparse.csr_matrix(counts))
    library = counts.sum(1)
    assert scales.reads == np.median(library)
    scaled = counts / library[:, None] * np.median(library)
    np.testing.assert_allclose(scales.log1p_means, np.log1p(scaled).mean(0), rtol=1e-5)


def test_noise_variances(read) -> None:
    cells = read(table(numbers=NUMBERS))
    chosen = np.array([0, 3, 6, 2])
    _, draws = draw()
    for relative in (False, True):
        found = noise_variances(cells, chosen, relative=relative)
        for g in range(ISOFORMS):
            variances = [1.0]  # as if one had been measured
            for n in chosen:
                own = draws[: NUMBERS[n], n, g]
                own = own[own > 0]
                if len(own) > 1:
                    variances.append(own.var(ddof=1) / (1 + own.mean() if relative else 1.0))
            assert float(found[g]) == pytest.approx(np.mean(variances), rel=1e-4)


def test_bootstraps_of_real_quantifications(shared_data: Path) -> None:
    cells = read_cells(shared_data / "cells_kallisto_shallow" / "cells.h5ad")
    assert (cells.num_cells, cells.num_isoforms, len(cells.bootstraps)) == (1500, 879, 20)
    computed = summarise(cells.bootstraps)
    np.testing.assert_array_equal(computed.indices, cells.summary.indices)
    for found, wanted in zip(computed[2:], cells.summary[2:], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)
