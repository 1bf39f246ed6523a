"""Configuration and defaults of the isoform models.

This module imports no torch, so that the command line can show its defaults fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SUBSETS = ("all", "train", "held-out")

# Training.
EPOCHS, BATCH_SIZE, LEARNING_RATE = 60, 32, 5e-3

# Draws of the latent variables for likelihood bounds, and for posteriors.
LIKELIHOOD_SAMPLES = 100
POSTERIOR_SAMPLES = 10
# Exported quantiles of the posterior of expression.
QUANTILES = (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)
# Reads in the cell to which expression is normalised.
LIBRARY_SIZE = 1e4
# Least absolute log2 fold change, and least difference of usage, that count.
EXPRESSION_THRESHOLD, USAGE_THRESHOLD = 0.25, 0.05


@dataclass(frozen=True)
class IsoformConfig:
    """Model and guide by registered name or as ``module:Class``, and their options.

    Attributes
    ----------
    model
        Name in :data:`exvae.models.MODELS`.
    guide
        Name in :data:`exvae.guides.CELL_GUIDES`; None for the model's default guide.
    pooling
        Name in :data:`exvae.guides.sets.POOLINGS`.
    decoder
        Name in :data:`exvae.models.decoders.DECODERS`.
    options
        Keyword arguments of the constructors of model, decoder and guide.
    encoder_bootstraps
        Number of bootstraps of a cell that the guide reads in a training step, drawn anew each
        time; 0 reads all.
    """

    model: str = "effective-reads"
    guide: str | None = None
    pooling: str = "mean"
    decoder: str = "network"
    options: dict[str, Any] = field(default_factory=dict)
    encoder_bootstraps: int = 5
