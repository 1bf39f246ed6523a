"""Seconds of a training step against the size of the sets.

The exchangeable guide pools over all words of a document; the fixed-length guide, built for
documents of this length, concatenates them. Batches have equally many documents at every length.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pandas as pd
import pyro
import torch
from matplotlib.figure import Figure
from pyro.infer import SVI, TraceMeanField_ELBO

from ...data.document_batches import DocumentBatch
from ...data.simulators.documents import simulate_corpus
from ...guides.lda import ExchangeableGuide, FixedLengthGuide, LDAGuide
from ...models.lda import LDA
from ..drawing.bands import draw_bands
from ..drawing.style import label, logarithmic, new_figure, show_legends
from .lda_runs import EXCHANGEABLE, FIXED_LENGTH
from .workshop import Workshop

_STEP, _ENCODER = "training step", "encoder, forward and backward"


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``part``, ``guide``, ``length``, ``repeat``, ``seconds``."""
    lengths = workshop.choose((10, 30, 100, 300, 1000, 3000), (5, 20))
    repeats = workshop.choose(15, 2)
    documents, topics, vocabulary = workshop.choose((64, 10, 1000), (8, 3, 40))
    rows = []
    for length in lengths:
        corpus = simulate_corpus(
            documents, topics, vocabulary, length, lengths="fixed", seed=workshop.seed
        ).corpus
        batch = corpus.batch(torch.arange(documents))
        torch.manual_seed(workshop.seed)
        with pyro.get_param_store().scope():
            jobs = _jobs(batch, topics, vocabulary, length)
            for job in jobs.values():
                job()
            # Jobs take turns, so that a machine that slows down does so for all.
            for repeat in range(repeats):
                for (part, guide), job in jobs.items():
                    started = time.perf_counter()
                    job()
                    seconds = time.perf_counter() - started
                    rows.append((part, guide, length, repeat, seconds))
    return pd.DataFrame(rows, columns=["part", "guide", "length", "repeat", "seconds"])


def _jobs(
    batch: DocumentBatch, topics: int, vocabulary: int, length: int
) -> dict[tuple[str, str], Callable[[], object]]:
    """Give the functions that are timed, by part and guide."""
    jobs = {}
    for name in (EXCHANGEABLE, FIXED_LENGTH):
        model = LDA(vocabulary, topics)
        if name == EXCHANGEABLE:
            guide = ExchangeableGuide(model, warm_up=0)
        else:
            guide = FixedLengthGuide(model, length=length, warm_up=0)
        optimizer = pyro.optim.ClippedAdam({"lr": 1e-3})
        svi = SVI(model, guide, optimizer, TraceMeanField_ELBO())
        jobs[_STEP, name] = lambda svi=svi: svi.step(*batch)
        jobs[_ENCODER, name] = lambda guide=guide: _encode(guide, batch)
    return jobs


def _encode(guide: LDAGuide, batch: DocumentBatch) -> None:
    guide.zero_grad()
    guide.document_topics(batch.words, batch.offsets).concentration.sum().backward()


def draw(table: pd.DataFrame) -> Figure:
    """Draw medians, and bands from the first to the third quartile."""
    figure, axes = new_figure(1, 2)
    quartiles = (
        table.groupby(["part", "guide", "length"])["seconds"]
        .quantile([0.25, 0.5, 0.75])
        .reset_index()
    )
    for axis, part in zip(axes[0], (_STEP, _ENCODER), strict=True):
        own = quartiles[quartiles["part"] == part].assign(
            milliseconds=lambda part: 1000 * part["seconds"]
        )
        draw_bands(axis, own, "length", "milliseconds", "guide", (EXCHANGEABLE, FIXED_LENGTH))
        label(axis, part, "words of a document", "milliseconds per batch")
        logarithmic(axis, "x")
        logarithmic(axis, "y")
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Ratio of the times of the fixed-length and the exchangeable guide, at each length."""
    medians = table.groupby(["part", "guide", "length"])["seconds"].median()
    found = {}
    for part in (_STEP, _ENCODER):
        ratio = medians[part, FIXED_LENGTH] / medians[part, EXCHANGEABLE]
        for length, value in ratio.items():
            found[f"{part}, fixed-length / exchangeable, {length} words"] = float(value)
    return found
