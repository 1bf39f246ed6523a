"""Functions of tensors that keep the digits which plain formulas lose to rounding."""

from __future__ import annotations

import torch
from torch import Tensor

# Of a polynomial in 1 / x that interpolates x times the remainder of Stirling's formula between
# x = 1 and infinity at Chebyshev's points.
REMAINDER = (-2.178683e-4, 5.809165e-4, 1.899909e-4, -2.829594e-3, 4.692553e-6, 0.08333327)


def stirling_remainder(x: Tensor) -> Tensor:
    """Remainder log Gamma(x) - [(x - 1/2) log x - x + log(2 pi) / 2], within 1e-7 for x >= 1."""
    inverse = 1 / x
    series = REMAINDER[0] * inverse
    for coefficient in REMAINDER[1:]:
        series = (series + coefficient) * inverse
    return series


def stirling_remainder_of_small(x: Tensor) -> Tensor:
    """Extend :func:`stirling_remainder` to any x > 0 by the recurrence of Gamma."""
    return stirling_remainder(x + 1) + (x + 0.5) * (1 / x).log1p() - 1


def log_ratio(ratio: Tensor, difference: Tensor) -> Tensor:
    """Logarithm of a ratio that is known twice, exact to rounding also where it is almost one.

    ``difference`` is ratio - 1, from terms that have not been rounded yet.
    """
    # What rounding took from the ratio; where it is far from one that does not matter.
    lost = difference - (ratio - 1)
    return ratio.log() + torch.where((ratio - 1).abs() < 0.5, lost / ratio, 0.0)


def inverse_softplus(value: Tensor) -> Tensor:
    """Solve softplus(x) = value for positive values."""
    return value + (-(-value).expm1()).log()
