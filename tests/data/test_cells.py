"""Cells in memory, and statistics of their bootstraps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exvae.data.cells import summarise
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.row_blocks import blocks

from .cell_table import CELLS, ISOFORMS, KINDS, NUMBERS, table


def test_blocks_change_nothing(read, monkeypatch) -> None:
    whole = [read(table(statistics=flag)) for flag in (False, True)]
    monkeypatch.setattr(blocks, "__defaults__", (2 * ISOFORMS,))
    for flag, expected in zip((False, True), whole, strict=True):
        for found, wanted in zip(
            read(table(statistics=flag)).summary, expected.summary, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)
    assert [(b.start, b.stop) for b in blocks(CELLS, ISOFORMS)] == [(0, 2), (2, 4), (4, 6), (6, 7)]


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


def test_cells_are_given_the_batches_of_a_fit(read) -> None:
    cells = read(table(), "batch")
    known = cells.recoded(["c", "b", "a"])
    assert known.batches.tolist() == [1, 2, 1, 2, 1, 2, 1]
    assert known.batch_names == ("c", "b", "a")
    with pytest.raises(DataError, match="batch 'b' is not in the fit, which knows 'a'"):
        cells.recoded(["a"])
    averaged = cells.recoded(["a", "c"], average=True)
    assert averaged.batches.tolist() == [-1, 0, -1, 0, -1, 0, -1]


def test_isoforms_are_selected_by_name(read) -> None:
    cells = read(table())
    chosen = cells.selected(["iso3", "iso0"])
    assert chosen.isoforms.tolist() == ["iso3", "iso0"]
    pairs = [(cells.counts, chosen.counts), (cells.mean_bootstraps, chosen.mean_bootstraps)]
    pairs += zip(cells.bootstraps, chosen.bootstraps, strict=True)
    for whole, part in pairs:
        assert whole.nnz
        np.testing.assert_array_equal(part.toarray(), whole.toarray()[:, [3, 0]])
        assert part.has_canonical_format
    for name in ("positives", "sum_of_squares"):
        whole = cells.summary.matrix(name, ISOFORMS)
        part = chosen.summary.matrix(name, 2)
        np.testing.assert_array_equal(part.toarray(), whole.toarray()[:, [3, 0]])
    assert cells.selected(cells.isoforms.tolist()) is cells
    backwards = cells.selected(cells.isoforms[::-1].tolist())
    assert backwards.selected(cells.isoforms.tolist()).fingerprint == cells.fingerprint
    with pytest.raises(DataError, match="lacks 1 of the 3 isoforms of the fit, among them other"):
        cells.selected(["iso0", "iso1", "other"])
    with pytest.raises(DataError, match="iso1 differs in its version alone: give its isoforms the"):
        cells.selected(["iso0", "iso1.2"])


def test_bootstraps_of_real_quantifications(shared_data: Path) -> None:
    cells = read_cells(shared_data / "cells_kallisto_shallow" / "cells.h5ad")
    assert (cells.num_cells, cells.num_isoforms, len(cells.bootstraps)) == (1500, 879, 20)
    computed = summarise(cells.bootstraps)
    np.testing.assert_array_equal(computed.indices, cells.summary.indices)
    for found, wanted in zip(computed[2:], cells.summary[2:], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-3)


def test_the_fingerprint_knows_the_number_of_bootstraps(read) -> None:
    cells = read(table(statistics=True))
    more = replace(cells, num_bootstraps=cells.num_bootstraps + 1)
    assert more.fingerprint != cells.fingerprint
