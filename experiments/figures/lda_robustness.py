"""Both guides, trained on documents of one length and tested on shorter and longer documents."""

from __future__ import annotations

import pandas as pd

from ..lda.fitting import LDAConfig
from .lda_lengths import draw_lengths as draw
from .lda_lengths import measure_lengths
from .lda_lengths import summarise_lengths as summarise
from .lda_runs import EXCHANGEABLE, FIXED_LENGTH
from .workshop import Workshop

__all__ = ["draw", "measure", "summarise"]


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns of :func:`~exvae.experiments.figures.lda_lengths.measure_lengths`."""
    guides = {name: (name, LDAConfig.pooling) for name in (EXCHANGEABLE, FIXED_LENGTH)}
    return measure_lengths(workshop, guides)
