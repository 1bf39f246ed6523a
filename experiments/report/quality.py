"""Measures of a fit that need no truth, and the data on which they are taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...data.errors import DataError
from ..checks.cells import check_cells
from ..checks.comparison import Check, Replication
from ..checks.documents import check_documents
from ..isoforms import evaluation
from ..isoforms.settings import LIKELIHOOD_SAMPLES
from ..lda import coherence, tables
from ..lda import evaluation as lda
from .contents import Fact, number
from .settings import MOST_CHECKED, MOST_SCORED

if TYPE_CHECKING:
    from ...data.cell_tables import CellTable
    from ...data.corpora import Corpus
    from ..isoforms.fitting import IsoformFit
    from ..lda.fitting import LDAFit

_MEANINGS = {
    "loss_per_cell": (
        "loss per cell",
        "negative ELBO, nats per cell; compares only fits of this model to the same cells",
    ),
    "nll_point_estimates": (
        "negative log likelihood of the estimates",
        "nats per entry (an isoform in a cell), less is better; compares all models",
    ),
    "perplexity": (
        "perplexity",
        "of the second half of each document, given the first; less is better",
    ),
    "perplexity_amortised": (
        "perplexity, amortised",
        "the same without refinement of the encoder's answer",
    ),
    "loss_per_token": (
        "loss per word",
        "negative ELBO, nats per word; compares only fits to the same documents",
    ),
    "coherence": (
        "coherence of topics",
        "mean NPMI of their ten top words in the documents, from -1 to 1; more is better",
    ),
}
_TOP = 10


def measures_of_cells(fit: IsoformFit, cells: CellTable, seed: int) -> tuple[list[Fact], str]:
    """Measure a fit on its held-out cells, or on all cells where none are.

    Returns
    -------
    list of Fact
        Measures.
    str
        The cells, and the number of draws, in words.
    """
    subset, number_of_cells = _held_out(fit, cells)
    entries = number_of_cells * cells.num_isoforms
    samples = max(2, min(LIKELIHOOD_SAMPLES, MOST_SCORED // max(entries, 1)))
    measured = evaluation.evaluate(fit, cells, subset=subset, likelihood_samples=samples, seed=seed)
    named = "cells held out of training" if subset == "held-out" else "cells, all that were given"
    scope = f"{number(number_of_cells)} {named}; {samples} draws of the latent variables."
    return _facts(measured), scope


def _held_out(fit: IsoformFit, cells: CellTable) -> tuple[str, int]:
    """Subset to measure and its size: the held-out cells, if these are the cells of the fit."""
    try:
        return "held-out", len(evaluation.chosen_positions(fit, cells, "held-out"))
    except DataError:
        return "all", cells.num_cells


def coherence_of_topics(fit: LDAFit, corpus: Corpus) -> np.ndarray:
    """Coherence of the ten top words of each topic in all documents, shape (topics,)."""
    words = tables.top_positions(fit, _TOP).numpy()
    if words.shape[1] < 2:  # there are no pairs of words
        return np.full(len(words), np.nan)
    return coherence.coherence(corpus, words, measure="npmi_documents")


def measures_of_documents(
    fit: LDAFit, corpus: Corpus, scores: np.ndarray, seed: int
) -> tuple[list[Fact], str]:
    """Measure a fit on its test documents, or on all documents of another corpus.

    Parameters
    ----------
    fit, corpus
        The fit, and documents in its vocabulary.
    scores
        Coherence of each topic, shape (topics,).
    seed
        Seed of all draws.

    Returns
    -------
    list of Fact
        Measures.
    str
        The documents, in words.
    """
    split = split_of(fit, corpus)
    measured = lda.evaluate(fit, corpus, split=split, seed=seed)
    measured["coherence"] = float(scores.mean())
    named = "documents held out of training" if split == "test" else "documents"
    return _facts(measured), f"{number(measured['documents'])} {named}."


def split_of(fit: LDAFit, corpus: Corpus) -> str:
    """Split to measure: ``test``, if the documents have it, or ``all``."""
    try:
        lda.chosen_documents(fit, corpus, "test")
    except DataError:
        return "all"
    return "test"


def _facts(measured: Mapping[str, Any]) -> list[Fact]:
    return [
        Fact(name, number(measured[key]), meaning)
        for key, (name, meaning) in _MEANINGS.items()
        if key in measured
    ]


def check_of_cells(fit: IsoformFit, cells: CellTable, replicates: int, seed: int) -> Check | None:
    """Check cells as ``exvae isoforms check --max-cells 500``; None without replicates."""
    if not replicates:
        return None
    replication = Replication("posterior", replicates, seed)
    return check_cells(fit, cells, replication=replication, max_cells=MOST_CHECKED)


def check_of_documents(fit: LDAFit, corpus: Corpus, replicates: int, seed: int) -> Check | None:
    """Check documents, as ``exvae lda check`` does; None without replicates."""
    if not replicates:
        return None
    replication = Replication("posterior", replicates, seed)
    return check_documents(fit, corpus, split=split_of(fit, corpus), replication=replication)
