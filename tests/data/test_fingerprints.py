"""Fingerprints of cells whose rows come in parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exvae.data.fingerprints import CellDigest
from exvae.data.h5ad.reading import read_cells

from ..small_data import NUM_CELLS, draw_cells


@pytest.mark.parametrize("parts", [1, 2, NUM_CELLS])
def test_parts_make_no_difference(parts: int) -> None:
    cells = read_cells(draw_cells())
    digest = CellDigest(cells)
    for rows in np.array_split(np.arange(NUM_CELLS), parts):
        digest.add(cells.matrices.take(rows))
    assert digest.hexdigest() == cells.fingerprint


def test_every_number_makes_a_difference() -> None:
    cells = read_cells(draw_cells())
    summary = cells.summary
    more, other = summary.mean.copy(), summary.sum_of_squares.copy()
    more[3] += 1
    other[-1] += 1
    counts = cells.counts.copy()
    counts.data[5] += 1
    names = cells.names.copy()
    names[0] = "other"
    changed = [
        replace(cells, summary=summary._replace(mean=more)),
        replace(cells, summary=summary._replace(sum_of_squares=other)),
        replace(cells, counts=counts),
        replace(cells, names=names),
        replace(cells, num_bootstraps=cells.num_bootstraps + 1),
        replace(cells, reads=None),
        replace(cells, summary=None, bootstraps=()),
    ]
    assert len({cells.fingerprint, *(own.fingerprint for own in changed)}) == 1 + len(changed)
