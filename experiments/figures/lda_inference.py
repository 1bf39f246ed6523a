"""Inference of one document's topics: amortised, refined, and by coordinate ascent.

Coordinate ascent iterates the fixed point of the refinement from the prior, not from the encoder:
collapsed, the default, or mean-field as in Blei, Ng & Jordan (2003).
"""

from __future__ import annotations

import time

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ...data.corpora import Corpus, halve
from ...guides.fixed_point import refine
from ...guides.lda import LDAGuide
from ..drawing.bands import draw_bands
from ..drawing.style import label, style_of
from ..lda.completion import batches, perplexity
from . import lda_runs
from .lda_rows import draw_corpora
from .lda_runs import EXCHANGEABLE
from .workshop import Workshop

_REFINED = "encoder, refined"
_ASCENT = {"coordinate ascent": "collapsed", "coordinate ascent, mean-field": "mean-field"}
_METHODS = (_REFINED, *_ASCENT)


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``corpus``, ``method``, ``seed``, ``steps``, ``perplexity``, ``seconds``.

    ``perplexity`` is measured by document completion, ``seconds`` are for 1000 documents.
    """
    rows = []
    for name in lda_runs.corpora_of(workshop):
        _, test = lda_runs.corpus_of(workshop, name)
        observed, held_out = halve(test)
        for seed in lda_runs.seeds_of(workshop, name):
            guide = lda_runs.run(workshop, name, EXCHANGEABLE, seed).fit.guide
            topic_words = guide.topics.mean()
            for method in _METHODS:
                infer(guide, observed, method, 1)  # the first time takes longer
            for steps in workshop.choose((0, 1, 2, 5, 10, 20, 50, 100), (0, 1, 3)):
                for method in _METHODS if steps else (_REFINED,):
                    started = time.perf_counter()
                    proportions = infer(guide, observed, method, steps)
                    seconds = time.perf_counter() - started
                    value = perplexity(proportions, topic_words, held_out)
                    per_thousand = 1000 * seconds / observed.num_documents
                    rows.append((name, method, seed, steps, value, per_thousand))
    columns = ["corpus", "method", "seed", "steps", "perplexity", "seconds"]
    return pd.DataFrame(rows, columns=columns)


@torch.no_grad()
def infer(guide: LDAGuide, corpus: Corpus, method: str, steps: int) -> Tensor:
    """Posterior mean of theta, shape (documents, topics), after some steps of a method."""
    prior = guide.model.document_concentration
    parts = []
    for batch in batches(corpus, torch.device("cpu")):
        if method == _REFINED:
            concentration = guide.infer_concentration(batch.words, batch.offsets, steps=steps)
        else:
            concentration = refine(
                prior.expand(len(batch.offsets) - 1, -1),
                prior,
                guide.topics.mean(),
                batch.words,
                batch.offsets,
                steps=steps,
                update=_ASCENT[method],
            ).concentration
        parts.append(concentration / concentration.sum(-1, keepdim=True))
    return torch.cat(parts)


def draw(table: pd.DataFrame) -> Figure:
    """Draw perplexity against steps and against seconds."""
    return draw_corpora(table, _draw_corpus)


def _draw_corpus(left: Axes, right: Axes, corpus: str, table: pd.DataFrame) -> None:
    y = "perplexity of held-out words"
    draw_bands(left, table, "steps", "perplexity", "method", _METHODS)
    label(left, corpus, "steps of the fixed point", y)
    left.set_xscale("symlog", linthresh=1.0)
    left.set_xticks([0, 1, 2, 5, 10, 20, 50, 100], [0, 1, 2, 5, 10, 20, 50, 100])
    left.set_xlim(-0.2, 1.1 * max(table["steps"].max(), 1))
    for number, method in enumerate(_METHODS):
        medians = table[table["method"] == method].groupby("steps").median(numeric_only=True)
        right.plot(medians["seconds"], medians["perplexity"], label=method, **style_of(number))
    label(right, f"{corpus}, medians", "seconds for 1000 documents", y)
    right.set_xscale("log")


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Means over seeds: amortised, refined, and the most steps of coordinate ascent."""
    means = table.groupby(["corpus", "method", "steps"])[["perplexity", "seconds"]].mean()
    longest = table["steps"].max()
    found = {}
    for corpus, method, steps in means.index:
        if steps in (0, lda_runs.REFINED, longest):
            name = f"{corpus}, {method}, {steps} steps"
            found[f"{name}: perplexity"] = float(means["perplexity"][corpus, method, steps])
            found[f"{name}: seconds for 1000 documents"] = float(
                means["seconds"][corpus, method, steps]
            )
    return found
