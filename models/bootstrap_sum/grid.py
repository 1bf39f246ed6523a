"""The paper's sum over counts on a grid, term by term: the reference."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..distributions.negative_binomial import ZINB
from .summand import Rules


def grid_log_likelihood(parts: tuple[Tensor, ...], rules: Rules, grid_size: int) -> Tensor:
    """Log density of bootstraps, summed over u = 0, ..., grid_size - 1 (section 4 of the paper)."""
    mean, inverse_dispersion, dropout, scale, logits, zeros, m, centre, squares = (
        part.unsqueeze(-1) for part in parts
    )
    u = torch.arange(grid_size, dtype=mean.dtype, device=mean.device)
    variance = scale.square() * (1 + u if rules.relative else 1)
    precision_left = 1 / (1 + m) if rules.shared else torch.ones_like(m)
    distances = squares + m * precision_left * (centre - u).square()
    log_density = 0.5 * (precision_left.log() - distances / variance)
    log_density = log_density - 0.5 * m * (2 * math.pi * variance).log()
    # Without a bootstrap that is not zero there is nothing to sum.
    prior = ZINB(mean, inverse_dispersion, dropout, validate_args=False)
    terms = prior.log_prob(u) + log_density
    total = torch.where(m > 0, terms.logsumexp(-1, keepdim=True), 0.0)
    total = total + zeros * functional.logsigmoid(logits) + m * functional.logsigmoid(-logits)
    return total.squeeze(-1)
