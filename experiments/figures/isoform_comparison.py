"""Models of isoforms that are compared: of bootstraps, and scVI of the rounded estimates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..isoforms.fitting import IsoformFit
from ..isoforms.settings import IsoformConfig
from . import isoform_runs
from .isoform_runs import KnownCells
from .workshop import Workshop

OURS, SCVI = "model of bootstraps", "scVI"
_CONFIGS = {OURS: IsoformConfig(), SCVI: IsoformConfig(model="scvi")}
TRAIN_FRACTION = 0.8


class Fitted(NamedTuple):
    """A model that was fitted to a share of simulated cells."""

    model: str
    seed: int
    known: KnownCells
    fit: IsoformFit


def compared(workshop: Workshop) -> Iterator[Fitted]:
    """Fit both models to cells that are simulated anew for each seed."""
    sizes = isoform_runs.sizes_of(workshop)
    for seed in workshop.seeds[: workshop.choose(3, 2)]:
        known = isoform_runs.simulated(workshop, sizes, seed)
        for model, config in _CONFIGS.items():
            fit = isoform_runs.fitted(workshop, known, config, sizes.epochs, seed, TRAIN_FRACTION)
            yield Fitted(model, seed, known, fit)
