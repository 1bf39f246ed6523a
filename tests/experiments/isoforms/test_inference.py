"""What a fitted model says of cells: the same in blocks as at once, and known bounds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pyro.distributions import Normal, TorchDistribution
from torch import Tensor

from exvae.experiments.isoforms import inference

CELLS, ISOFORMS = 30, 6
# Not in the order of the file, and in blocks of two cells of which the last is not full.
POSITIONS = np.array([3, 1, 29, 7, 2])
SMALL = 2 * ISOFORMS
WHOLE = 10**6
plain_kinds = pytest.mark.parametrize("kind", ["effective", "scvi"])


# Blocks


def assert_same(left: object, right: object) -> None:
    """Compare tensors, or tuples of them, bit by bit."""
    if isinstance(left, Tensor):
        assert torch.equal(left, right)
    else:
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)


@plain_kinds
def test_draws_of_latents_are_those_of_their_rows(load: Callable, kind: str) -> None:
    loaded = load(kind).with_known_latents()
    tensors = loaded.tensors
    whole = tensors.batch(POSITIONS)
    posteriors = loaded.guide.posteriors(whole.bootstraps, whole.offsets, whole.batches)
    covered = []
    for batch in inference.batches_of(tensors, POSITIONS, SMALL):
        rows = slice(len(covered), len(covered) + len(batch.indices))
        own = tensors.batch(POSITIONS[rows])
        assert 1 <= len(own.indices) <= 2
        drawn = list(inference.draw_latents(loaded.guide, tensors, batch, 3))
        assert len(drawn) == 3
        for given, latents in drawn:
            assert_same(given.indices, own.indices)
            assert_same(given.batches, own.batches)
            assert_same(given.bootstraps, own.bootstraps)
            assert_same(given.obs, own.obs)
            for name, value in latents.items():
                expected = posteriors[name].mean[rows]
                torch.testing.assert_close(value, expected, rtol=2e-3, atol=2e-3)
        covered += list(range(len(POSITIONS)))[rows]
    assert covered == list(range(len(POSITIONS)))
    # Cells differ by more than what is allowed above.
    states = posteriors["z"].mean.squeeze(-2)
    assert torch.cdist(states, states)[~torch.eye(len(states), dtype=torch.bool)].min() > 0.02


@plain_kinds
def test_draws_of_latents_scatter_as_the_posterior(load: Callable, kind: str) -> None:
    loaded = load(kind)
    tensors, number = loaded.tensors, 600
    (batch,) = inference.batches_of(tensors, POSITIONS, WHOLE)
    samples = [own for _, own in inference.draw_latents(loaded.guide, tensors, batch, number)]
    posteriors = loaded.guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    for name, posterior in posteriors.items():
        draws = torch.stack([latents[name] for latents in samples]).detach()
        mean, scale = posterior.mean.detach(), posterior.stddev.detach()
        assert ((draws.mean(0) - mean).abs() < 4.5 * scale / number**0.5).all()
        torch.testing.assert_close(draws.std(0), scale, rtol=0.16, atol=0)


@plain_kinds
def test_losses_of_blocks_are_those_of_all_cells(load: Callable, kind: str) -> None:
    loaded = load(kind).with_batches().with_known_latents()

    def loss(positions: np.ndarray, block: int) -> float:
        return inference.loss_per_cell(
            loaded.model, loaded.guide, loaded.tensors, positions, block=block
        )

    whole = loss(POSITIONS, WHOLE)
    assert loss(POSITIONS, SMALL) == pytest.approx(whole, rel=1e-4)
    alone = [loss(POSITIONS[[n]], WHOLE) for n in range(len(POSITIONS))]
    assert np.mean(alone) == pytest.approx(whole, rel=1e-4)
    assert np.ptp(alone) > 0.01 * whole


@plain_kinds
def test_states_are_posterior_means_of_the_cells_in_their_order(load: Callable, kind: str) -> None:
    loaded = load(kind)
    batch = loaded.tensors.batch(POSITIONS)
    found = loaded.guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    expected = found["z"].mean.squeeze(-2).detach()
    for block in (SMALL, WHOLE):
        states = inference.mean_states(loaded.guide, loaded.tensors, POSITIONS, block=block)
        np.testing.assert_allclose(states, expected, rtol=1e-4, atol=1e-5)


# Bounds on the likelihood


class KnownModel:
    """Reads of a cell, in units of 50, are Normal(x + s / 2, 1) for x ~ Normal(3 s, 1) in batch s.

    A second latent variable says nothing of the reads, and has the prior Normal(0, I).
    """

    def __init__(self, constant: bool = False) -> None:
        self.constant = constant

    def priors(self, batches: Tensor) -> dict[str, TorchDistribution]:
        """Give the priors, of batch shapes (cells, 1) and ()."""
        x = Normal(3.0 * batches.unsqueeze(-1), torch.ones(len(batches), 1))
        return {"x": x, "z": Normal(torch.zeros(3), torch.ones(3)).to_event(1)}

    def log_prob_of_counts(
        self, latents: dict[str, Tensor], batches: Tensor, counts: Tensor
    ) -> Tensor:
        """Give the log probability, shape (cells,)."""
        reads = counts.sum(-1) / 50
        if self.constant:
            return -reads
        return Normal(latents["x"].squeeze(-1) + batches / 2, 1.0).log_prob(reads)


class KnownGuide:
    """The prior itself, or the exact posterior."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def posteriors(
        self, bootstraps: Tensor, offsets: Tensor, batches: Tensor
    ) -> dict[str, TorchDistribution]:
        """Give q of cells with one vector each."""
        assert offsets.tolist() == list(range(len(batches) + 1))
        q = KnownModel().priors(batches)
        if self.exact:
            reads = bootstraps.sum(-1, keepdim=True) / 50 - batches.unsqueeze(-1) / 2
            mean = (q["x"].mean + reads) / 2
            q["x"] = Normal(mean, torch.full_like(mean, 0.5**0.5))
        return {**q, "z": q["z"].expand([len(batches), 1])}


def bound(load: Callable, model: object, guide: object, num_samples: int, block: int) -> float:
    """Bound the log probability of the cells at :data:`POSITIONS`."""
    return inference.log_prob_of_point_estimates(
        model,
        guide,
        load("scvi").tensors,
        POSITIONS,
        num_samples=num_samples,
        block=block,
    )


def reads_and_batches(load: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Give what the known model sees of the cells at :data:`POSITIONS`."""
    cells = load("scvi").cells
    assert len(set(cells.batches[POSITIONS])) == 2
    return np.rint(cells.counts[POSITIONS].toarray()).sum(1) / 50, cells.batches[POSITIONS]


@pytest.mark.parametrize("block", [SMALL, WHOLE])
@pytest.mark.parametrize("num_samples", [1, 2, 9])
def test_of_the_prior_and_a_constant_likelihood_the_bound_is_that(
    load: Callable, num_samples: int, block: int
) -> None:
    reads, _ = reads_and_batches(load)
    found = bound(load, KnownModel(constant=True), KnownGuide(exact=False), num_samples, block)
    assert found == pytest.approx(-reads.sum(), rel=1e-5)


def log_evidence(load: Callable) -> float:
    """Log probability of all cells under the known model, in closed form."""
    reads, batches = reads_and_batches(load)
    return float(Normal(3.5 * torch.tensor(batches), 2**0.5).log_prob(torch.tensor(reads)).sum())


@pytest.mark.parametrize("block", [SMALL, WHOLE])
@pytest.mark.parametrize("num_samples", [1, 2, 9])
def test_of_the_exact_posterior_the_bound_is_the_evidence(
    load: Callable, num_samples: int, block: int
) -> None:
    found = bound(load, KnownModel(), KnownGuide(exact=True), num_samples, block)
    assert found == pytest.approx(log_evidence(load), rel=1e-4)


def test_more_samples_make_the_bound_tighter(load: Callable) -> None:
    model, guide, evidence = KnownModel(), KnownGuide(exact=False), log_evidence(load)
    assert bound(load, model, guide, 60, WHOLE) < evidence + 1.5
    assert bound(load, model, guide, 1, WHOLE) < evidence - 1.5
    assert bound(load, model, guide, 3000, WHOLE) == pytest.approx(evidence, abs=0.5)


def test_the_bound_with_one_sample_is_the_elbo_on_average(load: Callable) -> None:
    loaded = load("scvi")
    fit, tensors, positions = loaded.fit, loaded.tensors, np.arange(CELLS)

    def bound(num_samples: int) -> float:
        return inference.log_prob_of_point_estimates(
            fit.model, fit.guide, tensors, positions, num_samples=num_samples
        )

    losses = [
        CELLS * inference.loss_per_cell(fit.model, fit.guide, tensors, positions) for _ in range(60)
    ]
    ones = [bound(1) for _ in range(60)]
    error = (np.mean(ones) + np.mean(losses)) / np.sqrt(
        (np.var(ones) + np.var(losses)) / len(losses)
    )
    assert abs(error) < 4.5
    assert np.mean(ones) < bound(10) < bound(300)
