"""Entries as minibatches of cells have them, drawn from the model itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# Few, because every number of bootstraps that are zero has tables of its own.
NUMBERS_OF_BOOTSTRAPS = (1, 3, 12)


def draw(brute_force, kind, number: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Draw parameters, then statistics, of entries, each of shape (number,), float32.

    Means are from a twentieth of a read to 30 000 reads, some tails are heavy, numbers of
    bootstraps differ, and of a quarter of the entries all bootstraps are zero whatever the model
    says, as where an isoform got no read.
    """
    rng = np.random.default_rng([seed, *map(ord, "".join(kind))])

    def log_uniform(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), (number, 1)))

    parameters = brute_force.Parameters(
        mean=log_uniform(0.05, 3e4),
        inverse_dispersion=log_uniform(0.3, 50),
        dropout_logits=rng.uniform(-5, 0, (number, 1)),
        noise_scale=log_uniform(0.3, 100 if kind.noise == "absolute" else 3),
        bootstrap_dropout_logits=rng.uniform(-9, 0, (number, 1)),
        noise_concentration=rng.choice([0.9, 1.5, 4.0, 12.0, 60.0], (number, 1)),
    )
    most = max(NUMBERS_OF_BOOTSTRAPS)
    drawn = brute_force.sample_with_counts(parameters, most, kind, rng, number).bootstraps
    drawn = np.maximum(drawn, 0.0)
    drawn[rng.uniform(size=number) < 0.25] = 0.0
    counts = rng.choice(NUMBERS_OF_BOOTSTRAPS, number)
    summaries = [
        brute_force.Summary.of(row[:count]) for row, count in zip(drawn, counts, strict=True)
    ]
    columns = [*(part[:, 0] for part in parameters), *np.array(summaries, float).T]
    return tuple(torch.tensor(column, dtype=torch.float32) for column in columns)
