"""Effective sample size of Markov chains."""

from __future__ import annotations

from pyro.ops.stats import autocovariance
from torch import Tensor


def effective_sample_size(chains: Tensor) -> Tensor:
    """Count the independent draws whose mean is as precise as that of chains.

    The estimator is that of Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021, Bayesian Analysis
    16), as in Stan: autocorrelations are summed as long as those of two steps together are positive
    and fall (Geyer 1992), and chains that disagree count as correlated. That of Pyro takes memory
    in proportion to the square of the steps.

    Parameters
    ----------
    chains
        Values, shape (chains, steps, values); at least two steps.

    Returns
    -------
    Tensor
        Shape (values,); NaN where a value never changes.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> chains = torch.randn(4, 500, 1).repeat_interleave(2, 1)
    >>> round(float(effective_sample_size(chains)), -3)
    2000.0
    """
    number, steps = chains.shape[:2]
    within = chains.var(1).mean(0)
    variance = within * (1 - 1 / steps)
    if number > 1:
        variance = variance + chains.mean(1).var(0)
    correlation = 1 - (within - autocovariance(chains, 1).mean(0)) / variance
    correlation[0] = 1
    pairs = correlation[: steps // 2 * 2].unflatten(0, (-1, 2)).sum(1)
    falling = pairs.clamp(min=0).cummin(0).values
    return number * steps / (2 * falling.sum(0) - 1)
