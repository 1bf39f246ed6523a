"""Test negative log-likelihood of both guides, amortised and refined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ...guides.fixed_point import refine
from ..drawing.style import GREY, label, new_figure, show_legends, style_of
from . import lda_runs
from .lda_runs import EXCHANGEABLE, FIXED_LENGTH, SIMULATED
from .workshop import Workshop

_AMORTISED, _REFINED = "amortised", f"{lda_runs.REFINED} steps of refinement"
_UNIGRAM, _TRUTH = "no topics", "true topics"


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``corpus``, ``guide``, ``inference``, ``seed``, ``loss``.

    ``loss`` is in nats per token. References have the guide ``reference``.
    """
    samples = lda_runs.sizes_of(workshop).samples
    rows = []
    for name in lda_runs.corpora_of(workshop):
        training, test = lda_runs.corpus_of(workshop, name)
        loss = lda_runs.unigram_loss(training, test)
        rows.append((name, "reference", _UNIGRAM, workshop.seed, loss))
        for seed in lda_runs.seeds_of(workshop, name):
            for guide in (EXCHANGEABLE, FIXED_LENGTH):
                fit = lda_runs.run(workshop, name, guide, seed).fit
                for inference, steps in ((_AMORTISED, 0), (_REFINED, lda_runs.REFINED)):
                    loss = lda_runs.negative_log_likelihood(
                        fit.guide, test, steps=steps, num_samples=samples
                    )
                    rows.append((name, guide, inference, seed, loss))
    rows.append((SIMULATED, "reference", _TRUTH, workshop.seed, loss_of_the_truth(workshop)))
    return pd.DataFrame(rows, columns=["corpus", "guide", "inference", "seed", "loss"])


def loss_of_the_truth(workshop: Workshop) -> float:
    """Bound on the loss (nats per token) of test documents under the true phi and alpha."""
    sizes = lda_runs.sizes_of(workshop)
    simulated = lda_runs.simulated(workshop, sizes.length)
    _, test = lda_runs.corpus_of(workshop, SIMULATED)
    batch = test.batch(np.arange(test.num_documents))
    topic_words = torch.from_numpy(simulated.topic_words)
    prior = torch.full((sizes.num_topics,), 0.1, dtype=torch.float64)
    start = prior.expand(test.num_documents, -1)
    torch.manual_seed(0)
    local = refine(
        start, prior, topic_words, batch.words, batch.offsets, steps=100, update="collapsed"
    )
    bound = lda_runs.log_likelihood_bound(
        local.concentration,
        prior,
        topic_words,
        batch.words,
        batch.offsets,
        num_samples=sizes.samples,
    )
    return -bound / test.num_tokens


def draw(table: pd.DataFrame) -> Figure:
    """Draw every seed as a point, and references as lines."""
    corpora = list(table["corpus"].unique())
    figure, axes = new_figure(1, len(corpora))
    places = [
        (guide, inference)
        for inference in (_AMORTISED, _REFINED)
        for guide in (EXCHANGEABLE, FIXED_LENGTH)
    ]
    for axis, corpus in zip(axes[0], corpora, strict=True):
        own = table[table["corpus"] == corpus]
        for place, (guide, inference) in enumerate(places):
            losses = own.query("guide == @guide and inference == @inference")["loss"]
            spread = place + np.linspace(-0.15, 0.15, len(losses))
            style = {**style_of(0 if guide == EXCHANGEABLE else 1), "linestyle": "none"}
            name = guide if inference == _AMORTISED else None
            axis.plot(spread, losses, label=name, alpha=0.8, **style)
        for line, (_, row) in zip("-:", own[own["guide"] == "reference"].iterrows(), strict=False):
            axis.axhline(row["loss"], color=GREY, linestyle=line, label=row["inference"])
        label(axis, corpus, "", "test negative log-likelihood (nats per token)")
        axis.set_xticks([0.5, 2.5], [_AMORTISED, _REFINED], fontsize=8)
        axis.grid(visible=False, axis="x")
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Means over seeds, and mean and standard error of the difference between the guides."""
    found = {}
    for (corpus, guide, inference), own in table.groupby(["corpus", "guide", "inference"]):
        found[f"{corpus}, {guide}, {inference} (nats per token)"] = own["loss"].mean()
    fitted = table[table["guide"] != "reference"]
    for (corpus, inference), own in fitted.groupby(["corpus", "inference"]):
        wide = own.pivot(index="seed", columns="guide", values="loss")
        difference = wide[FIXED_LENGTH] - wide[EXCHANGEABLE]
        name = f"{corpus}, {inference}: fixed-length - exchangeable"
        found[f"{name}, mean (nats per token)"] = difference.mean()
        found[f"{name}, standard error"] = difference.sem()
    return {name: float(value) for name, value in found.items()}
