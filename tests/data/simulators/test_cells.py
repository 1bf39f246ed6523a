"""Simulated cells in a file."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from exvae.data.cells import summarise
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth
from exvae.data.reads.transcripts import Transcripts
from exvae.data.simulators import cells as isoform_simulator
from exvae.data.simulators.cells import SimulationOptions, SimulationSummary, simulate_cells
from exvae.data.simulators.gene_structures import draw_transcripts
from exvae.data.simulators.usage import sums_of_genes

TYPES = np.array(["b", "a", "a", "b", "c"] * 30)


@pytest.fixture(scope="module")
def transcripts() -> Transcripts:
    return draw_transcripts(40, np.random.default_rng(0))


def expression_of(transcripts: Transcripts, num_cells: int, seed: int = 1) -> np.ndarray:
    num_genes = len(set(transcripts.genes))
    return np.random.default_rng(seed).gamma(1.0, 30.0, (num_cells, num_genes))


def simulate(
    out: Path, transcripts: Transcripts, options: SimulationOptions, types: np.ndarray = TYPES
) -> SimulationSummary:
    expression = expression_of(transcripts, len(types))
    generator = np.random.default_rng(2)
    return simulate_cells(out, transcripts, expression, types, generator, options)


@pytest.fixture(scope="module")
def simulated(transcripts: Transcripts, tmp_path_factory) -> tuple[Path, SimulationSummary]:
    out = tmp_path_factory.mktemp("simulated") / "cells.h5ad"
    return out, simulate(out, transcripts, SimulationOptions(4))


def test_the_schema(simulated, transcripts: Transcripts) -> None:
    out, summary = simulated
    data = anndata.read_h5ad(out)
    assert data.shape == (150, 40)
    assert data.var_names.tolist() == transcripts.names.tolist()
    assert data.var["gene"].tolist() == transcripts.genes.tolist()
    assert data.var["length"].tolist() == transcripts.lengths.tolist()
    assert (data.var["effective_length"] < data.var["length"]).all()
    assert data.obs["cell_type"].tolist() == TYPES.tolist()
    assert (data.obs["n_bootstraps"] == 4).all()
    assert sum(name.startswith("infRep") for name in data.layers) == 4
    assert data.uns["exvae_simulation"]["fragments"]["k"] == 31
    several = np.bincount(pd.factorize(transcripts.genes)[0]) > 1
    assert summary == SimulationSummary(
        cells=150,
        isoforms=40,
        genes=len(several),
        bootstraps=4,
        switching_genes=round(0.35 * several.sum()),
        classes=summary.classes,
        reads=pytest.approx(data.X.sum(), rel=1e-6),
    )
    assert summary.classes > 40
    cells = read_cells(out)
    computed = summarise(cells.bootstraps)
    for stored, again in zip(cells.summary, computed, strict=True):
        np.testing.assert_allclose(stored, again, rtol=1e-4, atol=1e-4)


def test_the_truth(simulated, transcripts: Transcripts) -> None:
    data = anndata.read_h5ad(simulated[0])
    expected, drawn = data.layers["expected_counts"], data.layers["true_counts"].toarray()
    genes = np.unique(transcripts.genes, return_inverse=True)[1]
    expression = expression_of(transcripts, 150)
    np.testing.assert_allclose(expected.sum(1), expression.sum(1), rtol=1e-4)
    # Fragments are in proportion to molecules and effective length.
    molecules = expected / data.var["effective_length"].to_numpy()
    np.testing.assert_allclose(
        sums_of_genes(molecules, genes) / molecules.sum(1, keepdims=True),
        expression / expression.sum(1, keepdims=True),
        rtol=1e-4,
    )
    # Types share usage, and differ in it in the genes that switch.
    usage = molecules / sums_of_genes(molecules, genes)[:, genes]
    of_types = [usage[each == TYPES] for each in "abc"]
    assert all(np.allclose(each, each[0], rtol=1e-3) for each in of_types)
    differs = ~np.isclose(of_types[0][0], of_types[1][0], rtol=1e-3)
    assert differs.tolist() == data.var["switching"].tolist()
    # Poisson counts, all of which fit something.
    assert (drawn == drawn.round()).all()
    z_scores = (drawn.sum(0) - expected.sum(0)) / np.sqrt(expected.sum(0))
    assert np.abs(z_scores).max() < 4.5
    dispersion = ((drawn - expected) ** 2).sum() / expected.sum()
    assert abs(dispersion - 1) < 0.1
    np.testing.assert_allclose(data.X.toarray().sum(1), drawn.sum(1), rtol=1e-5)


def test_the_truth_is_read_from_the_file(simulated) -> None:
    cells = read_cells(simulated[0])
    truth = read_truth(simulated[0], cells)
    data = anndata.read_h5ad(simulated[0])
    np.testing.assert_array_equal(truth.expected, data.layers["expected_counts"])
    assert truth.cell_types.tolist() == TYPES.tolist()


def test_bootstraps_scatter_around_the_estimate_as_it_does_around_the_truth(
    transcripts: Transcripts, tmp_path: Path
) -> None:
    # The same cell many times over: what the estimate does then, one cell's bootstraps foretell.
    out, num_cells = tmp_path / "cells.h5ad", 200
    expression = np.tile(expression_of(transcripts, 1), (num_cells, 1))
    simulate_cells(
        out,
        transcripts,
        expression,
        np.full(num_cells, "a"),
        np.random.default_rng(3),
        SimulationOptions(10),
    )
    cells = read_cells(out)
    truth = read_truth(out, cells).expected[0]
    estimates = cells.counts.toarray()
    bootstraps = np.stack([layer.toarray() for layer in cells.bootstraps])
    abundant = truth > 20
    of_bootstraps = bootstraps.var(0, ddof=1).mean(0)[abundant]
    of_estimates = estimates.var(0, ddof=1)[abundant]
    # A bootstrap keeps the number of reads of its cell, Poisson counts do not.
    poisson = truth[abundant] ** 2 / truth.sum()
    assert np.median(of_bootstraps / (of_estimates - poisson)) == pytest.approx(1.0, abs=0.2)


def test_the_file_does_not_depend_on_processes_or_batches(
    simulated, transcripts: Transcripts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isoform_simulator, "_ESTIMATES", 2000)
    out = tmp_path / "cells.h5ad"
    simulate(out, transcripts, SimulationOptions(4, num_processes=2))
    one, other = anndata.read_h5ad(simulated[0]), anndata.read_h5ad(out)
    for name in ("true_counts", "bootstrap_mean", "infRep4"):
        np.testing.assert_allclose(
            one.layers[name].toarray(), other.layers[name].toarray(), rtol=1e-5, atol=1e-6
        )


def test_few_layers_and_noisy_usage(transcripts: Transcripts, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    options = SimulationOptions(5, num_layers=2, switching_share=0.0, usage_noise=0.3)
    simulate(out, transcripts, options)
    data = anndata.read_h5ad(out)
    assert "infRep2" in data.layers
    assert "infRep3" not in data.layers
    assert not data.var["switching"].any()
    assert data.layers["bootstrap_zeros"].max() == 5
    genes = np.unique(transcripts.genes, return_inverse=True)[1]
    molecules = data.layers["expected_counts"] / data.var["effective_length"].to_numpy()
    usage = molecules / sums_of_genes(molecules, genes)[:, genes]
    several = np.bincount(genes)[genes] > 1
    mean = usage.mean(0)[several]
    found = usage.var(0)[several].sum() / (mean * (1 - mean)).sum()
    assert found == pytest.approx(0.3, rel=0.2)


def test_what_else_is_known_of_cells(transcripts: Transcripts, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    batches = np.array(["one", "two", "one", "two", "two"])
    simulate_cells(
        out,
        transcripts,
        expression_of(transcripts, 5),
        TYPES[:5],
        np.random.default_rng(0),
        SimulationOptions(2),
        obs={"batch": batches, "molecules": np.arange(5)},
        provenance={"tree": "(a:1);"},
    )
    data = anndata.read_h5ad(out)
    assert data.obs["batch"].tolist() == batches.tolist()
    assert data.obs["molecules"].tolist() == [0, 1, 2, 3, 4]
    assert data.uns["exvae_simulation"]["tree"] == "(a:1);"
    assert data.uns["exvae_simulation"]["usage_noise"] == 0.0
    assert read_cells(out, "batch").batch_names == ("one", "two")


def test_cells_without_reads(transcripts: Transcripts, tmp_path: Path) -> None:
    expression = expression_of(transcripts, 5)
    expression[3] = 0.0
    with pytest.raises(DataError, match="cell_3: has no reads"):
        simulate_cells(
            tmp_path / "cells.h5ad", transcripts, expression, TYPES[:5], np.random.default_rng(0)
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("expression", "reason"),
    [(np.ones((5, 3)), "has shape"), (np.full((5, 0), 1.0), "has shape"), (None, "negative")],
)
def test_expression_that_does_not_fit(
    transcripts: Transcripts, tmp_path: Path, expression: np.ndarray | None, reason: str
) -> None:
    if expression is None:
        expression = -expression_of(transcripts, 5)
    with pytest.raises(ValueError, match=reason):
        simulate_cells(
            tmp_path / "cells.h5ad", transcripts, expression, TYPES[:5], np.random.default_rng(0)
        )


def test_no_bootstraps(transcripts: Transcripts, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_bootstraps"):
        simulate(tmp_path / "cells.h5ad", transcripts, SimulationOptions(0))


@pytest.mark.parametrize("name", ["cells.csv", "no/cells.h5ad"])
def test_places_that_cannot_be_written(transcripts: Transcripts, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=name.split("/")[-1]):
        simulate(tmp_path / name, transcripts, SimulationOptions(2))
