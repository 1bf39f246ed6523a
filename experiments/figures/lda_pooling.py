"""Poolings of the exchangeable guide, on test documents of several lengths."""

from __future__ import annotations

import pandas as pd

from ...guides.sets import POOLINGS
from .lda_lengths import draw_lengths as draw
from .lda_lengths import measure_lengths
from .lda_lengths import summarise_lengths as summarise
from .lda_runs import EXCHANGEABLE
from .workshop import Workshop

__all__ = ["draw", "measure", "summarise"]


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns of :func:`~exvae.experiments.figures.lda_lengths.measure_lengths`."""
    return measure_lengths(workshop, {name: (EXCHANGEABLE, name) for name in POOLINGS})
