"""Fits of the default model of isoforms, and of scVI to the rounded estimates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..isoforms.fitting import IsoformFit
from . import isoform_runs
from .isoform_models import CONFIGS, EFFECTIVE_READS, SCVI
from .isoform_runs import KnownCells
from .workshop import Workshop

COMPARED = (EFFECTIVE_READS, SCVI)
TRAIN_FRACTION = 0.8


class Fitted(NamedTuple):
    """A model, and the simulated cells to a share of which it was fitted."""

    model: str
    seed: int
    known: KnownCells
    fit: IsoformFit


def compared(workshop: Workshop) -> Iterator[Fitted]:
    """Fit both models to cells that are simulated anew for each seed."""
    sizes = isoform_runs.sizes_of(workshop)
    for seed in workshop.seeds[: workshop.choose(3, 2)]:
        known = isoform_runs.simulated(workshop, sizes, seed)
        for model in COMPARED:
            fit = isoform_runs.fitted(
                workshop, known, CONFIGS[model], sizes.epochs, seed, TRAIN_FRACTION
            )
            yield Fitted(model, seed, known, fit)
