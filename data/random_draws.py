"""Gamma and Poisson draws on several threads, seeds, how genes divide, and choices at random."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from . import shares
from .genes import Genes

# Draws per generator; the result does not depend on the number of threads.
_CHUNK = 1 << 16
# Least Dirichlet parameter in draws; gamma draws of a smaller one are zero.
_LEAST_SHAPE = 1e-4


def seed_draws(seed: int, place: int) -> None:
    """Seed torch's draws for the datapoints from a place on; at the first one by the seed itself.

    Draws then depend neither on earlier datapoints nor on the process that works on these.
    """
    mixed = int(np.random.SeedSequence([seed, place]).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(mixed if place else seed)


def standard_gamma(concentration: Tensor) -> Tensor:
    """Draw from Gamma(concentration, 1), without gradients, of the shape of ``concentration``.

    On the CPU numpy draws, on as many threads as torch has, seeded by torch's generator.
    """
    if not concentration.is_cpu:
        return torch._standard_gamma(concentration)
    return _drawn_by_numpy(
        concentration, lambda generator, shape: generator.standard_gamma(shape, dtype=shape.dtype)
    )


def poisson(rate: Tensor) -> Tensor:
    """Draw Poisson counts, of the shape of ``rate``; drawn as by :func:`standard_gamma`."""
    if not rate.is_cpu:
        return torch.poisson(rate)
    return _drawn_by_numpy(rate, lambda generator, rates: generator.poisson(rates))


def sample_negative_binomial(mean: Tensor, inverse_dispersion: Tensor) -> Tensor:
    """Draw counts (reads) of a negative binomial; the two have the shape of the result."""
    # A rate of zero is drawn where theta is tiny; its Poisson is zero, as it should be.
    rate = torch._standard_gamma(inverse_dispersion) * (mean / inverse_dispersion)
    return torch.poisson(rate)


def sample_positions(positions: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Choose some positions at random, in ascending order.

    Parameters
    ----------
    positions
        Ascending positions, shape (positions,).
    number
        Most positions that are chosen; fewer positions stay as they are.
    seed
        Seed of the choice.
    """
    if len(positions) <= number:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, number, replace=False))


def _drawn_by_numpy(
    parameter: Tensor, draw: Callable[[np.random.Generator, np.ndarray], np.ndarray]
) -> Tensor:
    """Draw a value for each value of a parameter, chunk by chunk, in its shape and type."""
    whole, own = shares.of_draws(parameter.detach())
    parameters = whole.contiguous().flatten().numpy()
    drawn = np.empty_like(parameters)
    wanted = np.zeros(whole.shape, bool)
    wanted[own] = True
    wanted = wanted.ravel()
    seed = int(torch.randint(1 << 62, ()))

    def fill(start: int) -> None:
        chunk = slice(start, start + _CHUNK)
        if wanted[chunk].any():
            generator = np.random.Generator(np.random.SFC64([seed, start]))
            drawn[chunk] = draw(generator, parameters[chunk])

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in pool.map(fill, range(0, len(parameters), _CHUNK)):
            pass  # raises the error of a thread
    return torch.from_numpy(drawn).view_as(whole)[own]


def divide(effective: Tensor, usage: Tensor, owner: Tensor) -> Tensor:
    """Draw shares of isoforms from multinomials of effective reads, several for each gene.

    Parameters
    ----------
    effective
        Effective reads of genes, whole or not, shape (genes, draws).
    usage
        Expected share of each isoform, shape (isoforms,).
    owner
        Position of its gene, shape (isoforms,).

    Returns
    -------
    Tensor
        Shape (isoforms, draws); all zero where a gene of several isoforms has no reads.
    """
    shares = usage.new_ones(len(usage), effective.shape[-1])
    several = torch.bincount(owner, minlength=len(effective))[owner] > 1
    owner, usage = owner[several], usage[several]
    counts = poisson(effective[owner] * usage.unsqueeze(-1))
    sums = torch.zeros_like(effective).index_add_(0, owner, counts)
    # A gene without a whole effective read gives all reads to the isoform that arrives first.
    isoform, draw = ((sums == 0) & (effective > 0))[owner].nonzero(as_tuple=True)
    arrival = torch.empty_like(usage[isoform]).exponential_() / usage[isoform]
    place = owner[isoform] * effective.shape[-1] + draw
    first = arrival.new_full((effective.numel(),), torch.inf)
    first = first.scatter_reduce(0, place, arrival, "amin")
    alone = (arrival == first[place]).to(counts.dtype)
    counts[isoform, draw] = alone
    sums.view(-1).index_add_(0, place, alone)
    shares[several] = counts / sums.clamp(min=1.0)[owner]
    return shares


def draw_dirichlet(shape: Tensor, genes: Genes) -> Tensor:
    """Draw usage from one Dirichlet for each gene; parameters and draws (..., isoforms)."""
    tiny = torch.finfo(shape.dtype).tiny
    gamma = standard_gamma(shape.clamp(min=_LEAST_SHAPE)).clamp(min=tiny)
    return genes.shares(gamma)


def draw_shares(totals: Tensor, usage: Tensor, dispersion: Tensor, genes: Genes) -> Tensor:
    """Draw shares of isoforms from multinomials of effective reads, shape (..., isoforms).

    Parameters
    ----------
    totals
        Reads of genes, shape (..., genes).
    usage
        Expected shares, shape (..., isoforms).
    dispersion
        Overdispersion, in reads per effective read, shape (..., genes).
    genes
        The gene of each isoform.
    """
    effective = (totals / dispersion).expand(*usage.shape[:-1], genes.number).reshape(-1, 1)
    first = torch.arange(0, len(effective), genes.number, device=usage.device)
    owner = first.unsqueeze(-1) + genes.codes
    return divide(effective, usage.flatten(), owner.flatten()).view_as(usage)
