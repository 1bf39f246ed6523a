"""Inference with a fitted model, block by block so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from pyro.distributions import TorchDistribution
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor

from ...data.cell_batches import BatchSource, CellBatch
from ...data.errors import DataError
from ...guides.cells import CellGuide
from ...models.cells import CellModel

# Entries (cells x isoforms) per block.
BLOCK = 1 << 19
# The same for functions that hold posteriors of several draws of the latent variables.
POSTERIOR_BLOCK = 1 << 15
# Draws for the moments of a posterior that has none in closed form, such as a flow.
MOMENT_DRAWS = 1000


def batches_of(
    source: BatchSource, positions: np.ndarray, size: int = BLOCK
) -> Iterator[CellBatch]:
    """Gather cells at positions, shape (cells,), with all bootstraps, ``size`` entries at once."""
    rows = max(1, size // source.cells.num_isoforms)
    for start in range(0, len(positions), rows):
        own = positions[start : start + rows]
        yield source.batch(own, len(own))


@torch.no_grad()
def loss_per_cell(
    model: CellModel,
    guide: CellGuide,
    source: BatchSource,
    positions: np.ndarray,
    *,
    block: int = BLOCK,
) -> float:
    """Negative ELBO (nats per cell) of cells at positions, shape (cells,), from one latent sample.

    ``block`` entries (cells x isoforms) are scored at a time.
    """
    loss = TraceMeanField_ELBO().loss
    total = sum(loss(model, guide, *batch) for batch in batches_of(source, positions, block))
    return total / len(positions)


def assumed_batches(
    batch: CellBatch, num_batches: int, num_samples: int = 1
) -> list[tuple[CellBatch, int]]:
    """Give cells of an unknown batch, code -1, each known batch in turn.

    Parameters
    ----------
    batch
        A minibatch.
    num_batches
        Number of known batches.
    num_samples
        Number of samples to share out between them.

    Returns
    -------
    list of tuple
        Minibatches whose codes are all known, and the number of samples to draw from each, at least
        one; one minibatch if there is no unknown batch.
    """
    unknown = batch.batches < 0
    if not unknown.any():
        return [(batch, num_samples)]
    number = -(-num_samples // num_batches)
    return [
        (batch._replace(batches=batch.batches.masked_fill(unknown, code)), number)
        for code in range(num_batches)
    ]


class States(NamedTuple):
    """Posterior means and standard deviations of z, each of shape (cells, latent_size)."""

    mean: np.ndarray
    sd: np.ndarray


@torch.no_grad()
def states_of(
    guide: CellGuide,
    source: BatchSource,
    positions: np.ndarray,
    *,
    block: int = BLOCK,
) -> States:
    """Posterior of z of cells at positions, shape (cells,).

    Where it has no mean, as a flow has none, :data:`MOMENT_DRAWS` draws give it. Cells of an
    unknown batch (code -1) get the average over the known ones.
    """
    means, variances = [], []
    for batch in batches_of(source, positions, block):
        parts = [
            guide.posteriors(own.bootstraps, own.offsets, own.batches)["z"]
            for own, _ in assumed_batches(batch, guide.model.num_batches)
        ]
        moments = [_moments(part) for part in parts]
        centres = torch.stack([mean.squeeze(-2) for mean, _ in moments])
        within = torch.stack([variance.squeeze(-2) for _, variance in moments])
        means.append(centres.mean(0))
        variances.append(within.mean(0) + centres.var(0, correction=0))
    return States(torch.cat(means).cpu().numpy(), torch.cat(variances).sqrt().cpu().numpy())


def _moments(posterior: TorchDistribution) -> tuple[Tensor, Tensor]:
    """Mean and variance, or those of draws, always the same, where a posterior has none."""
    try:
        return posterior.mean, posterior.variance
    except NotImplementedError:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            draws = posterior.sample((MOMENT_DRAWS,))
        return draws.mean(0), draws.var(0)


def mean_states(
    guide: CellGuide, source: BatchSource, positions: np.ndarray, *, block: int = BLOCK
) -> np.ndarray:
    """Posterior mean of z of cells at positions, (cells,); shape (cells, latent_size)."""
    return states_of(guide, source, positions, block=block).mean


@torch.no_grad()
def log_prob_of_point_estimates(
    model: CellModel,
    guide: CellGuide,
    source: BatchSource,
    positions: np.ndarray,
    *,
    num_samples: int,
    block: int = BLOCK,
) -> float:
    """Lower bound on the log probability (nats) of the rounded estimates of cells.

    It compares models of counts and of bootstraps, as both bound the probability of the same whole
    counts. The guide reads a cell's estimates as a set of one vector, and its samples are
    importance-weighted (Burda, Grosse & Salakhutdinov, 2016).

    Parameters
    ----------
    model, guide
        A fitted model and its guide.
    source
        Cells with their rounded estimates.
    positions
        Positions of the cells to score, shape (cells,).
    num_samples
        Number of samples of the latent variables.
    block
        Entries (cells x isoforms) that are scored at a time.

    Raises
    ------
    DataError
        If the model cannot score counts.
    """
    total = 0.0
    for batch in batches_of(source, positions, block):
        posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
        priors = model.priors(batch.batches)
        log_weights = []
        for _ in range(num_samples):
            latents = {name: posterior.sample() for name, posterior in posteriors.items()}
            log_weight = _log_prob_of_counts(model, latents, batch)
            for name, value in latents.items():
                ratio = priors[name].log_prob(value) - posteriors[name].log_prob(value)
                log_weight = log_weight + ratio.squeeze(-1)
            log_weights.append(log_weight.double())
        bound = torch.stack(log_weights).logsumexp(0) - math.log(num_samples)
        total += float(bound.sum())
    return total


def _log_prob_of_counts(model: CellModel, latents: dict[str, Tensor], batch: CellBatch) -> Tensor:
    """Log probability (nats) of the rounded estimates of cells, shape (cells,)."""
    try:
        return model.log_prob_of_counts(latents, batch.batches, batch.obs)
    except NotImplementedError as error:
        likelihood = type(model.likelihood(latents, batch.batches)).__name__
        raise DataError(
            f"model {type(model).__name__}: its likelihood {likelihood} has no cdf, so that counts "
            "cannot be scored; write the method log_prob_of_counts"
        ) from error


@torch.no_grad()
def draw_latents(
    guide: CellGuide, source: BatchSource, batch: CellBatch, num_samples: int
) -> Iterator[tuple[CellBatch, dict[str, Tensor]]]:
    """Draw the latent variables of a minibatch several times from q.

    The model has the parameters of each member of its ensemble in turn while draws are used.

    Parameters
    ----------
    guide
        The guide of the model.
    source
        The cells, of which the minibatch was gathered.
    batch
        The minibatch.
    num_samples
        Number of draws; sources that draw observations anew give more.

    Yields
    ------
    tuple
        The minibatch, its observations drawn anew where they are drawn, and a value for each site:
        z of shape (cells, 1, latent_size) and library (reads) of shape (cells, 1).
    """
    members = members_of(guide.model)
    if not members:
        yield from _draws(guide, source, batch, num_samples)
    for member in members:
        with guide.model.ensemble.using(member):
            yield from _draws(guide, source, batch, math.ceil(num_samples / len(members)))


def members_of(model: CellModel) -> list:
    """Give the members of the ensemble of a model; none if it has no ensemble."""
    ensemble = getattr(model, "ensemble", None)
    return [] if ensemble is None else list(ensemble.members)


def _draws(
    guide: CellGuide, source: BatchSource, batch: CellBatch, num_samples: int
) -> Iterator[tuple[CellBatch, dict[str, Tensor]]]:
    """Draw as :func:`draw_latents` with the model's present parameters."""
    own = None
    for redrawn in source.redrawn(batch, num_samples):
        if redrawn is not own:
            own = redrawn
            posteriors = guide.posteriors(own.bootstraps, own.offsets, own.batches)
        yield own, {name: posterior.sample() for name, posterior in posteriors.items()}
