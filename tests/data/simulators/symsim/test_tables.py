"""The tables shipped with the package, and draws from them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from exvae.data.simulators.symsim import tables as symsim_tables
from exvae.data.simulators.symsim.tables import (
    KINETIC_PARAMETERS,
    draw_gene_lengths,
    draw_sorted_kinetics,
)

FOLDER = Path(symsim_tables.__file__).parent


@pytest.mark.parametrize("parameter", KINETIC_PARAMETERS)
def test_kinetics_are_points_of_the_grid_moved_within_half_a_step(parameter: str) -> None:
    generator = np.random.default_rng(0)
    drawn = draw_sorted_kinetics(parameter, 200_000, generator)
    assert (np.diff(drawn) >= 0).all()
    row = KINETIC_PARAMETERS.index(parameter)
    with np.load(FOLDER / "tables.npz") as tables:
        density, (first, last) = tables["kinetic_density"][row], tables["kinetic_range"][row]
    step = (last - first) / (len(density) - 1)
    points = generator.choice(len(density), 200_000, p=density / density.sum(dtype=np.float64))
    moved = first + step * (points + generator.uniform(-0.5, 0.5, 200_000))
    assert stats.ks_2samp(drawn, moved).pvalue > 1e-3


def test_log10_medians_are_those_of_the_cortex() -> None:
    """Bursts are short, and some hundred molecules would be there if they were not."""
    generator = np.random.default_rng(0)
    kon, koff, s = (np.median(draw_sorted_kinetics(p, 9999, generator)) for p in KINETIC_PARAMETERS)
    assert kon < koff
    assert 1.5 < s < 3.0


def test_lengths_are_drawn_without_replacement() -> None:
    generator = np.random.default_rng(0)
    pool = draw_gene_lengths(59371, generator)
    assert (pool.min(), np.median(pool), pool.max()) == (101, 960, 267372)
    assert np.count_nonzero(pool == 101) == 162
    np.testing.assert_array_equal(np.sort(pool), np.sort(draw_gene_lengths(59371, generator)))
    assert stats.ks_2samp(draw_gene_lengths(5000, generator), pool).pvalue > 1e-3
    with pytest.raises(ValueError, match="59371 lengths"):
        draw_gene_lengths(59372, generator)


def test_the_tables_are_symsims(shared_data: Path) -> None:
    folder = shared_data / "symsim"
    with (
        np.load(FOLDER / "tables.npz") as ours,
        np.load(folder / "kinetic_density.npz") as density,
        np.load(folder / "gene_len_pool.npz") as pool,
    ):
        np.testing.assert_array_equal(ours["kinetic_density"], density["y"])
        np.testing.assert_array_equal(ours["kinetic_range"].T, [density["x0"], density["x1"]])
        expanded = np.repeat(ours["gene_lengths"], ours["gene_length_counts"])
        np.testing.assert_array_equal(expanded, np.sort(pool["gene_len_pool"]))


def test_source_and_licence_lie_beside_the_tables() -> None:
    told = (FOLDER / "tables.LICENSE").read_text()
    assert "YosefLab/SymSim" in told
    assert "The Artistic License 2.0" in told
    with np.load(FOLDER / "tables.npz") as tables:
        assert all(name in told for name in tables)


def test_simulators_load_neither_torch_nor_pandas() -> None:
    code = (
        "import sys, exvae.data.simulators.symsim.cells; "
        "print([name for name in ('torch', 'pandas') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout.strip() == "[]", finished.stderr
