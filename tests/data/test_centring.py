"""Bootstraps that scatter around something else than the counts."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse

from exvae.data.cells import summarise
from exvae.data.centring import allowed_offset, is_centred, told_off_centre
from exvae.data.errors import DataWarning
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.quantified.cell_rows import displaced_share

CELLS, ISOFORMS, BOOTSTRAPS = 40, 30, 10
LENGTHS = np.linspace(200.0, 4000.0, ISOFORMS)


def draw(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw estimates (cells, isoforms), and bootstraps of as many reads."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.gamma(0.5, 60.0, (CELLS, ISOFORMS))).astype(float)
    counts[:, 0] += 1
    drawn = [[rng.multinomial(int(own.sum()), own / own.sum()) for own in counts]
             for _ in range(BOOTSTRAPS)]  # fmt: skip
    return counts, np.array(drawn, dtype=float)


def scaled(counts: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale bootstraps by length and to one depth, as fishpond's scaleInfReps does."""
    rates = drawn / (LENGTHS / LENGTHS.mean())
    return counts, rates / rates.sum(2, keepdims=True) * counts.sum(1).mean()


def abundances(counts: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put transcripts per million in X, without one isoform, so that they sum to less."""
    rates = counts / LENGTHS
    return (1e6 * rates / rates.sum(1, keepdims=True))[:, 1:], drawn[:, :, 1:]


def some(counts: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    drawn = drawn.copy()
    drawn[:, 10:16] *= 0.5
    return counts, drawn


def cells_of(counts: np.ndarray, drawn: np.ndarray) -> anndata.AnnData:
    layers = {f"infRep{n + 1}": scipy.sparse.csr_matrix(own) for n, own in enumerate(drawn)}
    made = anndata.AnnData(scipy.sparse.csr_matrix(counts), layers=layers)
    made.obs_names = [f"cell{n}" for n in range(CELLS)]
    return made


WRONG = {
    "scaled": (scaled, CELLS, None),
    "abundances": (abundances, CELLS, None),
    "some": (some, 6, 0.5),
}


@pytest.mark.parametrize(("change", "number", "ratio"), WRONG.values(), ids=list(WRONG))
def test_cells_and_their_ratio_are_told(
    change: Callable, number: int, ratio: float | None, tmp_path: Path
) -> None:
    counts, drawn = change(*draw())
    cells_of(counts, drawn).write_h5ad(tmp_path / "cells.h5ad")
    with pytest.warns(DataWarning, match="not centred on X") as told:
        read_cells(tmp_path / "cells.h5ad")
    assert len(told) == 1
    found = re.search(r"in (\d+) of (\d+) cells.*hold ([\d.e-]+) times", str(told[0].message))
    assert [int(found[1]), int(found[2])] == [number, CELLS]
    expected = np.median(drawn.mean(0).sum(1) / counts.sum(1)) if ratio is None else ratio
    assert float(found[3]) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda counts, drawn: 0 * drawn, "most in cell[0-9]+, the bootstraps are all zero"),
        (
            lambda counts, drawn: np.repeat(drawn[:1], BOOTSTRAPS, 0),
            "in 40 of 40 cells, the first cell0, the bootstraps are all the same",
        ),
        (
            lambda counts, drawn: np.repeat(counts[None], BOOTSTRAPS, 0),
            "in 40 of 40 cells, the first cell0, the bootstraps are all the same",
        ),
    ],
    ids=["zero", "the same", "copies"],
)
def test_bootstraps_that_do_not_scatter_are_told(change: Callable, message: str) -> None:
    counts, drawn = draw()
    cells = cells_of(counts, change(counts, drawn))
    cells.obs["n_bootstraps"] = BOOTSTRAPS
    with pytest.warns(DataWarning, match=message) as told:
        read_cells(cells)
    assert len(told) == 1
    assert "--bias" not in str(told[0].message)


def test_a_file_that_is_read_in_parts_is_told_of_once(tmp_path: Path) -> None:
    cells_of(*scaled(*draw())).write_h5ad(tmp_path / "cells.h5ad")
    with open_cells(tmp_path / "cells.h5ad") as file, pytest.warns(DataWarning) as told:
        for start in range(0, CELLS, 10):
            file.read(rows=slice(start, start + 10))
    assert len(told) == 1


@pytest.mark.parametrize("seed", range(3))
def test_bootstraps_of_as_many_reads_pass(seed: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_cells(cells_of(*draw(seed)))


def test_one_bootstrap_tells_of_no_scatter() -> None:
    counts, drawn = scaled(*draw())
    read_cells(cells_of(counts, drawn[:1]))


def test_the_share_is_that_of_an_import() -> None:
    counts, drawn = some(*draw())
    summary = summarise([scipy.sparse.csr_matrix(own) for own in drawn])
    shares = np.array([displaced_share(own, drawn[:, n]) for n, own in enumerate(counts)])
    off = ~is_centred(shares, BOOTSTRAPS)
    told = told_off_centre(
        scipy.sparse.csr_matrix(counts), summary, np.full(CELLS, BOOTSTRAPS), np.arange(CELLS)
    )
    assert f"in {off.sum()} of {CELLS} cells, most in {shares.argmax()}," in told


def test_few_bootstraps_may_miss_by_more() -> None:
    assert is_centred(np.array([0.03, 0.05, 0.0009, 0.002]), np.array([5, 5, 50, 50])).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert allowed_offset(np.array([1e6, 0.0]), np.array([0.0, 2.0])).tolist() == [10.0, 6.0]
