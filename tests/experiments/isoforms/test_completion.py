"""Completion of reads, against sums over single reads, and on cells whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix
from torch import Tensor

from exvae.data.cell_matrices import CellMatrices
from exvae.data.cells import Cells
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import IsoformTruth, read_truth
from exvae.data.reads.classes import ClassCounts
from exvae.data.reads.halves import Halves, halve_reads
from exvae.data.simulators.cells import SimulationOptions, simulate_cells
from exvae.data.simulators.gene_structures import draw_transcripts
from exvae.data.stored_cells import StoredCells, store_cells
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoform_model import IsoformModel
from exvae.experiments.isoforms import completion, fitting
from exvae.experiments.isoforms.completion import Completion, score_completion, score_of
from exvae.experiments.isoforms.evaluation import evaluate
from exvae.experiments.isoforms.fitting import IsoformFit
from exvae.experiments.isoforms.settings import IsoformConfig

from ...small_data import NUM_CELLS, draw_cells

FIGURES = {
    "completion",
    "completion_se",
    "completion_gain",
    "completion_gain_se",
    "completion_quantifier",
    "completion_bootstraps",
}


def quick_fit(cells: Cells, model: str, epochs: int = 1, **options: object) -> IsoformFit:
    config = IsoformConfig(model=model, options=options)
    training = TrainingConfig(epochs, 16, 5e-3, 0, "cpu")
    trainer, fit = fitting.set_up(cells, config, training, train_fraction=0.8, progress=False)
    trainer.train()
    for module in trainer.modules.values():
        module.eval()
    return fit


@pytest.fixture(scope="module")
def cells() -> Cells:
    return read_cells(draw_cells())


@pytest.fixture
def fit(cells: Cells) -> IsoformFit:
    return quick_fit(cells, "effective-reads")


# Against sums over single reads


def log_probs_of_reads(reads: ClassCounts, place: int, shares: np.ndarray) -> list[float]:
    """Log probability of every single read of a cell."""
    found = []
    for number, count in enumerate(reads.counts[place].toarray()[0]):
        entries = range(reads.starts[number], reads.starts[number + 1])
        probability = sum(shares[reads.members[e]] * reads.weights[e] for e in entries)
        found += [math.log(probability)] * count
    return found


def with_floor(expression: np.ndarray, reads: int) -> np.ndarray:
    """Half a read is spread over isoforms of so many reads in all."""
    counts = reads * expression / expression.sum()
    return (counts + 0.5 / len(counts)) / (reads + 0.5)


def test_a_tiny_cell_by_hand() -> None:
    """Isoforms a, b, c; one read fits a, one a or b, and three fit c, which has no expression."""
    starts, members = np.array([0, 1, 3, 4]), np.array([0, 0, 1, 2], np.int32)
    second = csr_matrix(np.array([[1, 1, 3]], np.int32))
    first = ClassCounts(second * 2, starts, members, np.array([0.1, 0.1, 0.2, 0.5]))
    halves = Halves(_Observed(first), ClassCounts(second, starts, members, first.weights))
    found = completion.log_probs(halves, [(slice(None), np.array([[6.0, 2.0, 0.0]]))])
    # Ten reads in the first half and half a read, a sixth for each isoform.
    a, b, c = (7.5 + 1 / 6) / 10.5, (2.5 + 1 / 6) / 10.5, 1 / 6 / 10.5
    expected = math.log(a * 0.1) + math.log(a * 0.1 + b * 0.2) + 3 * math.log(c * 0.5)
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


class _Observed:
    """The reads of the first half, and nothing else of the cells."""

    def __init__(self, reads: ClassCounts) -> None:
        self.reads = reads


@pytest.mark.parametrize("block", [24, 10**6])
def test_scores_are_means_over_single_reads(fit: IsoformFit, cells: Cells, block: int) -> None:
    positions = np.array([17, 3, 4, 0, 8])
    factors = torch.tensor([0.2, 1.0, 3.0]).view(-1, 1, 1)

    def draw(latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
        # Draws differ in depth, and as much in shares: the mean of shares is another's share.
        return (obs[..., 1] + 0.01).pow(factors)

    fit.model.draw_expression = draw
    truth = IsoformTruth(np.random.default_rng(0).gamma(1.0, 9.0, (5, 24)), np.full(5, "a"))
    found = score_completion(fit, cells, positions, truth=truth, seed=2, num_samples=1, block=block)
    halves = halve_reads(cells, positions, 2)
    means = halves.observed.mean_bootstraps.toarray().astype(float)
    draws = (means + 0.01) ** factors.double().numpy()
    expression = {
        "model": (draws / draws.sum(-1, keepdims=True)).mean(0),
        "quantifier": halves.observed.counts.toarray(),
        "bootstraps": means,
        "truth": truth.expected,
    }
    assert set(found.log_probs) == set(expression)
    for method, values in expression.items():
        pooled, sums = [], []
        for place, own in enumerate(values):
            reads = int(halves.observed.reads.counts[place].sum())
            shares = with_floor(own.astype(np.float64), reads)
            single = log_probs_of_reads(halves.held_out, place, shares)
            assert found.reads[place] == len(single)
            pooled += single
            sums.append(sum(single))
        np.testing.assert_allclose(found.log_probs[method], sums, rtol=1e-5)
        assert found.score(method).mean == pytest.approx(np.mean(pooled), rel=1e-6)
    figures = found.figures()
    assert set(figures) == FIGURES | {"completion_truth"}
    assert figures["completion_truth"] == found.score("truth").mean
    gain = found.score("model").mean - found.score("quantifier").mean
    assert figures["completion_gain"] == pytest.approx(gain)


def test_factors_of_classes_cancel_in_comparisons(fit: IsoformFit) -> None:
    adata = draw_cells()
    before = score_completion(fit, read_cells(adata), np.arange(NUM_CELLS), num_samples=1)
    factors = np.random.default_rng(0).gamma(2.0, 1.0, len(adata.uns["reads"]["starts"]) - 1)
    sizes = np.diff(adata.uns["reads"]["starts"])
    adata.uns["reads"]["weights"] = adata.uns["reads"]["weights"] * np.repeat(factors, sizes)
    after = score_completion(fit, read_cells(adata), np.arange(NUM_CELLS), num_samples=1)
    assert abs(after.score().mean - before.score().mean) > 0.05
    np.testing.assert_allclose(after.gain(), before.gain(), rtol=1e-3)
    bootstraps = before.gain("bootstraps")
    np.testing.assert_allclose(after.gain("bootstraps"), bootstraps, rtol=1e-3)


def test_standard_errors_are_those_of_cells_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    reads = rng.integers(20, 400, 80)
    sums = reads * rng.normal(-3.0, 0.2, 80)
    found = score_of(sums, reads)
    drawn = rng.integers(0, 80, (4000, 80))
    means = sums[drawn].sum(1) / reads[drawn].sum(1)
    assert found.mean == pytest.approx(sums.sum() / reads.sum())
    assert found.se == pytest.approx(means.std(), rel=0.1)


def test_single_reads_are_not_scored() -> None:
    nothing = Completion(np.zeros(2), {"model": np.zeros(2)})
    with pytest.raises(DataError, match=r"^own.h5ad: no cell has two reads by class"):
        Completion.of_parts([nothing, nothing], "own.h5ad")
    some = Completion(np.array([0, 10]), {"model": np.array([0.0, -30.0])})
    assert Completion.of_parts([nothing, some], "own.h5ad").score().mean == -3.0


def test_one_cell_has_no_standard_error() -> None:
    own = {"model": np.array([-30.0]), "quantifier": np.array([-35.0])}
    assert Completion(np.array([10]), own).figures() == {
        "completion": -3.0,
        "completion_gain": 0.5,
        "completion_quantifier": -3.5,
    }


# On cells whose truth is known


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> tuple[Cells, IsoformTruth]:
    """Cells of two types, sixty isoforms and some ten reads for each."""
    out: Path = tmp_path_factory.mktemp("completion") / "cells.h5ad"
    rng = np.random.default_rng(1)
    transcripts = draw_transcripts(60, rng)
    types = np.arange(80) % 2
    profiles = rng.gamma(0.5, 1.0, (2, len(set(transcripts.genes))))
    expression = profiles[types] * rng.gamma(3.0, 1 / 3, (80, profiles.shape[1]))
    expression *= 600 / expression.sum(1, keepdims=True)
    names, options = types.astype(str), SimulationOptions(4, usage_noise=0.05, keep_reads=True)
    simulate_cells(out, transcripts, expression, names, rng, options)
    cells = read_cells(out)
    return cells, read_truth(out, cells)


@pytest.mark.parametrize("model", ["reads", "effective-reads"])
def test_held_out_cells_of_simulations(simulated: tuple[Cells, IsoformTruth], model: str) -> None:
    cells, truth = simulated
    fit = quick_fit(cells, model, epochs=15, members=2)
    _, held_out = fitting.split_cells(cells.num_cells, 0.8, 0)
    own = score_completion(fit, cells, held_out, truth=truth.select(held_out), num_samples=4)
    for method in ("model", "quantifier", "bootstraps"):
        gain = own.gain(method, "truth")
        assert gain.mean > 2 * gain.se, method
    for method in ("quantifier", "bootstraps"):
        gain = own.gain(method)
        assert gain.mean > 2 * gain.se, method


@pytest.mark.parametrize("model", ["reads", "effective-reads", "scvi"])
def test_every_model_is_scored_on_the_same_halves(cells: Cells, model: str) -> None:
    fit = quick_fit(cells, model)
    positions = np.arange(3, 9)
    found = score_completion(fit, cells, positions, num_samples=2, seed=5)
    halves = halve_reads(cells, positions, 5)
    expected = completion.log_probs(halves, [(slice(None), halves.observed.counts.toarray())])
    np.testing.assert_allclose(found.log_probs["quantifier"], expected, rtol=1e-12)
    again = score_completion(fit, cells, positions, num_samples=2, seed=5)
    assert found.figures() == again.figures()
    other = score_completion(fit, cells, positions, num_samples=2, seed=6)
    assert found.figures() != other.figures()


def test_reads_on_disk_are_read_once_for_all_parts(
    cells: Cells, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_cells().write_h5ad(tmp_path / "cells.h5ad")
    fit, stored = quick_fit(cells, "scvi"), store_cells(tmp_path / "cells.h5ad", None, 3000)
    read: list[int] = []
    rows = StoredCells.rows

    def counted(self, own: slice, names: Sequence[str], layers: object = None) -> CellMatrices:
        read.append((own.stop - own.start) * (tuple(names) == ("reads",)))
        return rows(self, own, names, layers)

    monkeypatch.setattr(StoredCells, "rows", counted)
    asked = {"likelihood_samples": 1, "posterior_samples": 1, "completion": True, "part": 5}
    found = evaluate(fit, stored, **asked)
    assert sum(read) == NUM_CELLS
    assert found == evaluate(fit, cells, **asked)


# As users ask for it


def test_evaluate_with_completion(cells: Cells, adata_model: IsoformModel) -> None:
    plain = adata_model.evaluate(subset="held-out", seed=4)
    measured = adata_model.evaluate(subset="held-out", seed=4, completion=True)
    assert set(measured) == set(plain) | FIGURES
    assert {name: measured[name] for name in plain} == plain
    fit = adata_model._trained()
    _, held_out = fitting.split_cells(NUM_CELLS, 0.9, 0)
    own = score_completion(fit, cells, np.sort(held_out), seed=4)
    assert {name: measured[name] for name in FIGURES} == own.figures()


@pytest.fixture
def adata_model() -> IsoformModel:
    return IsoformModel(draw_cells(), latent_size=3).train(1, progress=False)


def test_the_truth_belongs_to_the_cells_that_are_scored(adata_model: IsoformModel) -> None:
    adata = adata_model._adata
    # Shares that predict the reads of their own cell alone.
    expected = adata.X.toarray()[:, ::-1]
    names = np.array(adata.var_names[::-1])
    truth = IsoformTruth(expected, adata.obs["cell_type"].to_numpy(str), names)
    asked = {"subset": "held-out", "completion": True}
    measured = adata_model.evaluate(truth=truth, **asked)
    assert measured["completion_truth"] > measured["completion_quantifier"]
    shuffled = IsoformTruth(np.roll(expected, 1, 0), truth.cell_types, names)
    other = adata_model.evaluate(truth=shuffled, **asked)
    assert other["completion_truth"] < measured["completion_truth"] - 0.1


def test_on_the_command_line(exvae, adata_model: IsoformModel, tmp_path: Path) -> None:
    adata: AnnData = adata_model._adata
    adata.write_h5ad(tmp_path / "cells.h5ad")
    adata_model.save(tmp_path / "fit")
    arguments = ["isoforms", "evaluate", tmp_path / "fit"]
    done = exvae(*arguments, tmp_path / "cells.h5ad", "--completion", "--seed", 7, "--json")
    assert done.status == 0
    assert set(done.json) >= FIGURES
    own = score_completion(adata_model._trained(), read_cells(adata), np.arange(NUM_CELLS), seed=7)
    assert done.json["completion"] == pytest.approx(own.score().mean, rel=1e-6)
    del adata.obsm["reads"]
    adata.write_h5ad(tmp_path / "without.h5ad")
    failed = exvae(*arguments, tmp_path / "without.h5ad", "--completion")
    assert failed.status == 2
    assert failed.err.strip().count("\n") == 0
    assert "without.h5ad: holds no reads by class" in failed.err
    with pytest.raises(DataError, match="or leave out completion"):
        adata_model.evaluate(adata, completion=True)
