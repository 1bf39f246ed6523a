"""Fits of isoforms: where model and guide start, and that every option arrives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.data.cells import Cells
from exvae.data.initial_values import noise_variances
from exvae.data.overdispersion import inferential_dispersions
from exvae.experiments.isoforms.fitting import IsoformFit, split_cells
from exvae.guides.cells import CellGuide
from exvae.models.distributions.gamma_poisson import LEAST_DISPERSION

FitCells = Callable[..., IsoformFit]
KINDS = {
    "effective": {},
    "scvi": {"model": "scvi"},
    "paper": {"model": "paper", "noise": "relative"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
# What was only initialised.
START = {"epochs": 0}
TRAINED_ON, HELD_OUT = split_cells(24, 0.75, 0)


def reads_of(cells: Cells, kind: str) -> np.ndarray:
    """Give the point estimates that a kind of model starts from, shape (cells, isoforms)."""
    if kind == "scvi":
        return np.round(cells.counts.toarray())
    draws = np.stack([layer.toarray() for layer in cells.bootstraps])
    return draws.sum(0) / cells.num_bootstraps[:, None]


def decoded(fit: IsoformFit, z: Tensor, batches: Tensor) -> tuple[Tensor, ...]:
    """Mean, inverse dispersion and dropout of cells of one read, each with a row a cell."""
    latents = {"z": z.unsqueeze(-2), "library": torch.ones(len(z), 1)}
    with torch.no_grad():
        found = fit.model.count_parameters(latents, batches)
    return tuple(part.expand(len(z), -1) for part in found)


# Where a fit starts


@every_kind
def test_libraries_start_as_they_are_in_the_batch(
    fit_cells: FitCells, small_cells: Cells, kind: str
) -> None:
    prior = fit_cells(training=START, **KINDS[kind]).model.library_prior(torch.arange(2))
    logs = np.log(reads_of(small_cells, kind)[TRAINED_ON].sum(1))
    own = [logs[small_cells.batches[TRAINED_ON] == batch] for batch in range(2)]
    expected = torch.tensor([[each.mean()] for each in own]).float()
    torch.testing.assert_close(prior.base_dist.loc, expected)
    expected = torch.tensor([[each.std()] for each in own]).float()
    torch.testing.assert_close(prior.base_dist.scale, expected, rtol=1e-4, atol=0)


@every_kind
def test_expression_starts_at_the_mean_of_the_training_cells(
    fit_cells: FitCells, small_cells: Cells, kind: str
) -> None:
    fit = fit_cells(training=START, **KINDS[kind])
    torch.nn.init.zeros_(fit.model.decoder.output.weight)
    mean, *_ = decoded(fit, torch.randn(2, 10), torch.arange(2))
    totals = reads_of(small_cells, kind)[TRAINED_ON].sum(0) + 0.5
    expected = torch.from_numpy(totals / totals.sum()).float().expand(2, -1)
    torch.testing.assert_close(mean, expected, rtol=1e-4, atol=0)


@every_kind
def test_the_guide_reads_the_training_cells_as_centred(
    fit_cells: FitCells, small_cells: Cells, kind: str
) -> None:
    guide = fit_cells(training=START, **KINDS[kind]).guide
    reads = reads_of(small_cells, kind)[TRAINED_ON]
    own = torch.from_numpy(reads).float()
    torch.testing.assert_close(guide.centred(own).mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    scaled = own * float(np.median(reads.sum(1))) / own.sum(-1, keepdim=True)
    expected = scaled.log1p() - scaled.log1p().mean(0)
    torch.testing.assert_close(guide.centred(own), expected, rtol=1e-3, atol=1e-4)


def test_dispersions_are_those_of_the_training_cells(
    fit_cells: FitCells, small_cells: Cells
) -> None:
    model = fit_cells(training=START).model
    genes = np.array([1, 0, 0, 2, 2, 2])  # a, b and c
    expected = inferential_dispersions(small_cells, TRAINED_ON, genes)
    for found, wanted in zip(
        (model.total_dispersion, model.division_dispersion), expected, strict=True
    ):
        assert (wanted > 1.05).any()
        torch.testing.assert_close(found, wanted.clamp(min=LEAST_DISPERSION), rtol=1e-4, atol=0)
    of_all = inferential_dispersions(small_cells, np.arange(24), genes)
    assert not torch.allclose(model.total_dispersion, of_all.totals, rtol=0.02)


@pytest.mark.parametrize("noise", ["relative", "absolute"])
def test_noise_starts_as_bootstraps_scatter(
    fit_cells: FitCells, small_cells: Cells, noise: str
) -> None:
    options = {"model": "paper", "noise": noise, "noise_latent_size": 2}
    model = fit_cells(training=START, **options).model
    torch.nn.init.zeros_(model.noise_decoder.output.weight)
    with torch.no_grad():
        scale = model.decode_noise(torch.zeros(1, 1, 2), torch.tensor([0]))[0][0]
    found = {
        name: noise_variances(small_cells, TRAINED_ON, relative=name == "relative").sqrt()
        for name in ("relative", "absolute")
    }
    torch.testing.assert_close(scale, found[noise], rtol=1e-3, atol=0)
    assert not torch.allclose(*found.values(), rtol=0.1)


# Options


@every_kind
def test_sizes_of_latent_variables(fit_cells: FitCells, small_cells: Cells, kind: str) -> None:
    options = {"noise_latent_size": 2} if kind == "paper" else {}
    fit = fit_cells(training=START, latent_size=3, **options, **KINDS[kind])
    bootstraps, offsets = torch.ones(2, 6), torch.arange(3)
    posteriors = fit.guide.posteriors(bootstraps, offsets, torch.zeros(2, dtype=torch.int64))
    sizes = {name: tuple(q.event_shape) for name, q in posteriors.items()}
    expected = {"z": (3,), "library": ()} | ({"a": (2,)} if kind == "paper" else {})
    assert sizes == expected
    priors = fit.model.priors(torch.zeros(2, dtype=torch.int64))
    assert {name: tuple(p.event_shape) for name, p in priors.items()} == expected


@every_kind
@pytest.mark.parametrize("dropout", [None, "network", "constant", "none"])
def test_dropout_depends_on_what_it_is_learned_for(
    fit_cells: FitCells, kind: str, dropout: str | None
) -> None:
    options = {} if dropout is None else {"dropout": dropout}
    fit = fit_cells(training=START, **options, **KINDS[kind])
    *_, logits = decoded(fit, 3 * torch.randn(2, 10), torch.zeros(2, dtype=torch.int64))
    expected = dropout or ("none" if kind == "paper" else "network")
    assert torch.equal(*logits) == (expected != "network")
    assert (logits.sigmoid().max() < 1e-6) == (expected == "none")


@every_kind
@pytest.mark.parametrize("dispersion", ["constant", "batch", "cell"])
def test_dispersion_depends_on_what_it_is_learned_for(
    fit_cells: FitCells, kind: str, dispersion: str
) -> None:
    fit = fit_cells(dispersion=dispersion, **KINDS[kind])
    z = torch.stack([torch.zeros(10), torch.zeros(10), torch.ones(10)])
    # The second cell is of another batch than the first, the third in another state.
    _, theta, _ = decoded(fit, z, torch.tensor([0, 1, 0]))
    assert (not torch.equal(theta[0], theta[1])) == (dispersion != "constant")
    assert (not torch.equal(theta[0], theta[2])) == (dispersion == "cell")


@every_kind
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_pooling_is_the_one_asked_for(fit_cells: FitCells, kind: str, pooling: str) -> None:
    guide = fit_cells(training=START, pooling=pooling, **KINDS[kind]).guide
    a, b = torch.tensor([[30.0, 1, 4, 7, 2, 9], [5.0, 50, 3, 0, 8, 1]])
    sets = torch.stack([a, a, b, a, b, b])
    batches = torch.zeros(2, dtype=torch.int64)
    with torch.no_grad():
        posteriors = guide.posteriors(sets, torch.tensor([0, 3, 6]), batches)
    for name in posteriors.keys() - {"library"}:  # whose mean is that of the reads
        location = posteriors[name].mean
        assert torch.allclose(*location, rtol=1e-4, atol=1e-6) == (pooling == "max"), name


@every_kind
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_share_of_hidden_inputs(fit_cells: FitCells, kind: str, share: float) -> None:
    guide = fit_cells(training=START, input_dropout=share, **KINDS[kind]).guide.train()
    values, batches = torch.ones(3000, 6), torch.zeros(3000, dtype=torch.int64)
    hidden = guide.elements(values, torch.arange(3001), batches)[:, :6] == 0
    assert hidden.float().mean() == pytest.approx(share, abs=0.02)


@every_kind
@pytest.mark.parametrize("number", [0, 1, 3])
def test_bootstraps_are_read_in_training_as_many_as_told(
    fit_cells: FitCells, small_cells: Cells, monkeypatch, kind: str, number: int
) -> None:
    """And of cells held out all; scVI has one vector of each cell."""
    seen: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    posteriors = CellGuide.posteriors

    def note(self: CellGuide, bootstraps: Tensor, offsets: Tensor, batches: Tensor) -> dict:
        seen[self.training] += offsets.diff().tolist()
        return posteriors(self, bootstraps, offsets, batches)

    monkeypatch.setattr(CellGuide, "posteriors", note)
    fit_cells(training={"epochs": 1}, encoder_bootstraps=number, **KINDS[kind])
    has = np.ones(24, int) if kind == "scvi" else small_cells.num_bootstraps
    wanted = np.minimum(has[TRAINED_ON], number or 9)
    assert sorted(seen[True]) == sorted(wanted)
    # Before the first step two cells are tried, and parameters looked for with one, all read.
    assert seen[False][:3] == has[TRAINED_ON][[0, 1, 0]].tolist()
    assert sorted(seen[False][3:]) == sorted(has[HELD_OUT])


def test_batches_are_those_of_the_key(fit_cells: FitCells, small_cells: Cells) -> None:
    fit = fit_cells()
    assert fit.config["data"]["batch_names"] == ["deep", "shallow"]
    assert fit.conform(small_cells).batches.tolist() == small_cells.batches.tolist()
    vectors, offsets = torch.full((2, 6), 9.0), torch.arange(3)
    with torch.no_grad():
        z = fit.guide.posteriors(vectors, offsets, torch.tensor([0, 1]))["z"].mean
        mean, *_ = decoded(fit, torch.ones(2, 10), torch.tensor([0, 1]))
    assert not torch.allclose(*z)
    assert not torch.allclose(*mean, rtol=1e-5)


@pytest.mark.parametrize("number", [1, 3])
def test_there_are_as_many_batches_as_the_cells_have(
    fit_cells: FitCells, small_cells: Cells, number: int
) -> None:
    names = tuple(f"donor{batch}" for batch in range(number))
    cells = replace(small_cells, batches=np.arange(24) % number, batch_names=names)
    fit = fit_cells(cells=cells, training={"epochs": 1})
    assert fit.model.library_prior(torch.arange(number)).batch_shape == (number, 1)
    with pytest.raises(IndexError):
        fit.model.library_prior(torch.tensor([number]))
    # Codes are those of the fit, whatever the order in the file.
    other = replace(cells, batch_names=names[::-1])
    assert fit.conform(other).batches.tolist() == (number - 1 - cells.batches).tolist()


def test_the_seed_decides_where_a_fit_starts_and_on_what(fit_cells: FitCells) -> None:
    starts = {}
    for name, seed, noise in (("one", 3, 0), ("same", 3, 1), ("other", 4, 0)):
        torch.manual_seed(noise)
        fit = fit_cells(name, training={"seed": seed, **START})
        starts[name] = {**fit.model.state_dict(), **fit.guide.state_dict()}
    for part in ("decoder.output.weight", "log_library_mean", "z_encoder.element.0.weight"):
        assert torch.equal(starts["one"][part], starts["same"][part]), part
        assert not torch.equal(starts["one"][part], starts["other"][part]), part


@pytest.mark.parametrize(("fraction", "seed"), [(0.75, 0), (0.5, 8), (0.7, 0)])
def test_cells_are_split_by_fraction_and_seed(fraction: float, seed: int) -> None:
    trained_on, held_out = split_cells(24, fraction, seed)
    assert len(trained_on) == {0.75: 18, 0.5: 12, 0.7: 17}[fraction]
    assert sorted([*trained_on, *held_out]) == list(range(24))
    order = np.random.default_rng(seed).permutation(24)
    assert [*trained_on, *held_out] == order.tolist()
