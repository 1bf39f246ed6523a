"""Halves of the reads of cells, and what is estimated from the first."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.reads.estimation import estimate_counts
from exvae.data.reads.halves import halve_reads

from ...small_data import NUM_BOOTSTRAPS, draw_cells

POSITIONS = np.array([17, 3, 4, 0])


@pytest.fixture
def cells() -> Cells:
    return read_cells(draw_cells(), "batch")


def with_reads(counts: np.ndarray) -> Cells:
    """Give the cells these reads of their first classes, shape (cells, some classes)."""
    adata: AnnData = draw_cells()
    reads = np.zeros(adata.obsm["reads"].shape, np.int32)
    reads[:, : counts.shape[1]] = counts
    adata.obsm["reads"] = csr_matrix(reads)
    return read_cells(adata)


def test_each_read_is_in_one_half(cells: Cells) -> None:
    halves = halve_reads(cells, POSITIONS, 0)
    first, second = halves.observed.reads.counts, halves.held_out.counts
    assert (first + second != cells.reads.counts[POSITIONS]).nnz == 0
    for part in (first, second):
        assert (part.data > 0).all() and part.dtype == np.int32 and part.has_sorted_indices
    sizes = [np.asarray(part.sum(1)).ravel() for part in (first, second)]
    whole = sizes[0] + sizes[1]
    assert set(whole % 2) == {0, 1}
    np.testing.assert_array_equal(sizes[0] - sizes[1], whole % 2)
    for part in (halves.observed.reads, halves.held_out):
        assert part.members.tolist() == cells.reads.members.tolist()
        assert part.starts.tolist() == cells.reads.starts.tolist()
        assert part.weights.tolist() == cells.reads.weights.tolist()


def test_all_halves_are_equally_probable() -> None:
    """Reads of three classes, as if each was marked and half of them were taken."""
    cells = with_reads(np.tile([7, 4, 1], (24, 1)))
    drawn = [
        halve_reads(cells, np.arange(24), seed).observed.reads.counts.toarray()[:, :3]
        for seed in range(40)
    ]
    drawn = np.concatenate(drawn)
    number = np.array([7, 4, 1])
    variance = number / 12 * (1 - number / 12) * 6 * (12 - 6) / 11  # hypergeometric
    np.testing.assert_allclose(drawn.mean(0), number / 2, atol=4 * np.sqrt(variance.max() / 960))
    np.testing.assert_allclose(drawn.var(0), variance, rtol=0.2)


def test_halves_of_a_cell_depend_on_the_cell_and_the_seed(cells: Cells) -> None:
    together, alone = halve_reads(cells, POSITIONS, 3), halve_reads(cells, POSITIONS[1:2], 3)
    for parts in (
        (together.held_out.counts[1], alone.held_out.counts[0]),
        (together.observed.counts[1], alone.observed.counts[0]),
        (together.observed.bootstraps[2][1], alone.observed.bootstraps[2][0]),
    ):
        assert (parts[0] != parts[1]).nnz == 0
    other = halve_reads(cells, POSITIONS, 4)
    assert (together.held_out.counts != other.held_out.counts).nnz > 0
    again = halve_reads(cells, POSITIONS, 3)
    assert (together.held_out.counts != again.held_out.counts).nnz == 0


def test_estimates_and_bootstraps_are_those_of_the_first_half(cells: Cells) -> None:
    halves = halve_reads(cells, POSITIONS, 0)
    observed, reads = halves.observed, cells.reads
    counts = observed.reads.counts.toarray()
    expected = estimate_counts(
        reads.starts, reads.members, reads.weights, counts, cells.num_isoforms
    ).counts
    np.testing.assert_allclose(observed.counts.toarray(), expected, rtol=1e-5, atol=1e-6)
    bootstraps = np.stack([part.toarray() for part in observed.bootstraps])
    np.testing.assert_allclose(
        bootstraps.sum(-1), np.tile(counts.sum(1), (NUM_BOOTSTRAPS, 1)), rtol=1e-5
    )
    assert (bootstraps[0] != bootstraps[1]).any()
    error = (bootstraps.mean(0) - expected) / np.sqrt((1 + expected) / NUM_BOOTSTRAPS)
    assert np.abs(error).mean() < 2
    for own, again in zip(observed.summary, summarise(observed.bootstraps), strict=True):
        np.testing.assert_array_equal(own, again)


def test_cells_keep_what_is_theirs(cells: Cells) -> None:
    observed = halve_reads(cells, POSITIONS, 0).observed
    assert observed.names.tolist() == cells.names[POSITIONS].tolist()
    assert observed.obs.index.tolist() == observed.names.tolist()
    assert observed.batches.tolist() == cells.batches[POSITIONS].tolist()
    assert observed.num_bootstraps.tolist() == [NUM_BOOTSTRAPS] * 4
    assert observed.genes.tolist() == cells.genes.tolist()


def test_as_many_bootstraps_are_kept() -> None:
    adata = draw_cells()
    cells = read_cells(adata)
    names = ("positives", "mean", "sum_of_squares")
    sums = [cells.summary.matrix(name, cells.num_isoforms) for name in names]
    adata.layers["bootstrap_zeros"] = NUM_BOOTSTRAPS - sums[0].toarray()
    adata.layers["bootstrap_mean"], adata.layers["bootstrap_ss"] = sums[1:]
    adata.obs["n_bootstraps"] = NUM_BOOTSTRAPS
    for number in range(2, NUM_BOOTSTRAPS + 1):
        del adata.layers[f"infRep{number}"]
    observed = halve_reads(read_cells(adata), POSITIONS, 0).observed
    every = halve_reads(cells, POSITIONS, 0).observed
    assert len(observed.bootstraps) == 1 and len(every.bootstraps) == NUM_BOOTSTRAPS
    assert observed.num_bootstraps.tolist() == [NUM_BOOTSTRAPS] * 4
    for own, again in zip(observed.summary, every.summary, strict=True):
        np.testing.assert_array_equal(own, again)


def test_cells_without_bootstraps_get_none() -> None:
    adata = draw_cells()
    adata.layers.clear()
    observed = halve_reads(read_cells(adata), POSITIONS, 0).observed
    assert observed.summary is None and observed.bootstraps == ()
    assert observed.counts.sum() == pytest.approx(observed.reads.counts.sum())


def test_a_single_read_is_in_the_first_half() -> None:
    counts = np.ones((24, 2), int)
    counts[5, 1] = 0
    halves = halve_reads(with_reads(counts), np.arange(24), 0)
    sizes = np.asarray(halves.held_out.counts.sum(1)).ravel()
    assert sizes.tolist() == [1] * 5 + [0] + [1] * 18


def test_cells_without_reads_cannot_be_halved() -> None:
    adata = draw_cells()
    del adata.obsm["reads"]
    with pytest.raises(DataError, match=r"holds no reads by class .* or leave out completion$"):
        halve_reads(read_cells(adata), POSITIONS, 0)
