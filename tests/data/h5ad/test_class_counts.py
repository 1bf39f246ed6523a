"""Counts of read classes, as an ``.h5ad`` holds them."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.reads.classes import ClassCounts

from ...small_data import NUM_CELLS, NUM_GENES, draw_cells


def classes_by_name(reads: ClassCounts, isoforms: np.ndarray) -> dict[tuple, tuple]:
    """Give counts and weights of each class by the names of its isoforms."""
    found = {}
    for number, (start, stop) in enumerate(zip(reads.starts[:-1], reads.starts[1:], strict=True)):
        names = tuple(isoforms[reads.members[start:stop]].tolist())
        counts = tuple(reads.counts[:, [number]].toarray().ravel().tolist())
        found[names] = (counts, tuple(reads.weights[start:stop]))
    return found


def test_reads_are_read_with_their_classes() -> None:
    adata = draw_cells()
    reads = read_cells(adata).reads
    assert (reads.counts != adata.obsm["reads"]).nnz == 0
    assert reads.counts.dtype == np.int32
    assert reads.members.tolist() == adata.uns["reads"]["members"].tolist()
    assert reads.weights.tolist() == adata.uns["reads"]["weights"].tolist()
    np.testing.assert_allclose(reads.counts.sum(1), adata.X.sum(1))


def test_some_rows_have_the_reads_of_their_cells() -> None:
    adata = draw_cells()
    with open_cells(adata) as file:
        part = file.read(rows=slice(5, 9))
    assert (part.reads.counts != adata.obsm["reads"][5:9]).nnz == 0


def test_isoforms_are_found_by_name() -> None:
    """Isoforms in another order, and without some of them."""
    adata = draw_cells()
    order = np.random.default_rng(0).permutation(adata.n_vars)[:17]
    chosen = adata[:, order].copy()
    whole, part = read_cells(adata), read_cells(chosen)
    before = classes_by_name(whole.reads, whole.isoforms)
    kept = set(part.isoforms.tolist())
    expected = {}
    for names, (counts, weights) in before.items():
        pairs = [pair for pair in zip(names, weights, strict=True) if pair[0] in kept]
        if pairs:
            expected.setdefault(frozenset(pairs), []).append(counts)
    found = {}
    for names, (counts, weights) in classes_by_name(part.reads, part.isoforms).items():
        found.setdefault(frozenset(zip(names, weights, strict=True)), []).append(counts)
    assert {frozenset(dict(own)) for own in found} == {frozenset(dict(own)) for own in expected}
    assert part.reads.counts.sum() == sum(
        sum(counts) for many in expected.values() for counts in many
    )
    starts, members = part.reads.starts, part.reads.members
    for start, stop in zip(starts[:-1], starts[1:], strict=True):
        assert (np.diff(members[start:stop]) > 0).all()
    selected = whole.selected(part.isoforms.tolist()).reads
    assert selected.members.tolist() == members.tolist()
    assert (selected.counts != part.reads.counts).nnz == 0


def test_files_without_classes_have_none() -> None:
    adata = draw_cells()
    del adata.uns["reads"]
    cells = read_cells(adata)
    assert cells.reads is None
    with pytest.raises(DataError, match="holds no reads by class .* import them"):
        cells.require_class_counts()


def test_every_cell_needs_reads() -> None:
    adata = draw_cells()
    adata.obsm["reads"] = csr_matrix(adata.obsm["reads"].toarray() * (np.arange(24) != 7)[:, None])
    with pytest.raises(DataError, match="cell cell7 has no reads in its classes"):
        read_cells(adata).require_class_counts()


def test_reads_belong_to_the_fingerprint() -> None:
    adata = draw_cells()
    before = read_cells(adata).fingerprint
    adata.obsm["reads"] = adata.obsm["reads"] * 2
    assert read_cells(adata).fingerprint != before


def _set(name: str, value: object) -> object:
    def change(adata: AnnData) -> None:
        adata.uns["reads"][name] = value

    return change


def _cut(adata: AnnData) -> None:
    adata.obsm["reads"] = adata.obsm["reads"][:, :-1]


def _halve(adata: AnnData) -> None:
    adata.obsm["reads"] = adata.obsm["reads"] / 2


_CLASSES = NUM_GENES * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("starts", np.arange(3.0)), "starts and members must be whole numbers"),
        (_set("starts", np.arange(5)), "starts must rise from 0 to 48"),
        (_set("starts", np.zeros(0, int)), "starts must rise"),
        (_set("starts", np.array([0, 40, 3, 48], np.uint64)), "starts must rise from 0 to 48"),
        (_set("starts", np.array([0, 1 << 63, 48], np.uint64)), "starts must rise from 0 to 48"),
        (_set("members", np.full(48, 24)), "members must be positions in its 24 isoforms"),
        (_set("members", np.full(48, -1)), "members must be positions in its 24 isoforms"),
        (_set("weights", np.ones(3)), "weights must be a number for each of members"),
        (_set("weights", np.full(48, np.nan)), "weights must be positive"),
        (_set("weights", np.zeros(48)), "weights must be positive"),
        (_set("isoforms", np.zeros((2, 2))), "its arrays are no lists"),
        (_cut, f"obsm/reads is no matrix of numbers, cells by {_CLASSES} columns"),
        (_halve, "obsm/reads holds [0-9]*.5; it must hold numbers of reads"),
    ],
)
def test_parts_that_do_not_fit(change: object, message: str) -> None:
    adata = draw_cells()
    change(adata)
    with pytest.raises(DataError, match=message):
        read_cells(adata)


def test_cells_are_as_many_as_their_reads() -> None:
    assert read_cells(draw_cells()).reads.counts.shape == (NUM_CELLS, _CLASSES)
