"""One distribution of bootstraps, and a batch of some, that tests vary."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from exvae.models.distributions.bootstrap_zinb import BootstrapZINB

PARAMETERS = {
    "mean": 4.0,
    "inverse_dispersion": 2.5,
    "dropout_logits": -1.2,
    "noise_scale": 0.9,
    "bootstrap_dropout_logits": -0.7,
}


def double(values: Sequence | float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def example(kind, num_bootstraps: int, dtype=torch.float64, **changes) -> BootstrapZINB:
    arguments = {
        name: torch.as_tensor(value, dtype=dtype) for name, value in (PARAMETERS | changes).items()
    }
    return BootstrapZINB(**arguments, num_bootstraps=num_bootstraps, **kind._asdict())


def batch(kind, num_bootstraps: int = 4, dtype=torch.float64) -> BootstrapZINB:
    """Give a distribution with batch shape (3, 2)."""
    return example(kind, num_bootstraps, dtype, mean=[[0.3], [4.0], [60.0]], noise_scale=[0.5, 1.5])
