"""Perplexity and loss of a topic model on documents."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pyro.infer import TraceMeanField_ELBO

from ...data.corpora import Corpus, halve, select_split, split_corpus
from ...data.errors import DataError
from ...data.progress import with_progress
from ...data.random_draws import seed_draws
from ..fitting import workers
from ..fitting.errors import ArgumentError
from .completion import INFERENCE_BATCH, batches, infer, log_prob_of_words
from .fitting import LDAFit, warn


def chosen_documents(fit: LDAFit, corpus: Corpus, split: str) -> Corpus:
    """Documents of a split of the fit that have words; ``all`` takes every document.

    Raises
    ------
    DataError
        If the corpus has no splits and the fit was made of another corpus, or no document is left.
    """
    if split != "all":
        if corpus.splits is None:
            if corpus.fingerprint != fit.config["data"]["fingerprint"]:
                problem = f"{corpus.source}: has no splits and is not the corpus of the fit"
                raise ArgumentError(f"{problem}; use split='all'", f"{problem}; use --split all")
            corpus = split_corpus(corpus, **fit.config["split"])
        corpus = select_split(corpus, split)
    empty = corpus.lengths == 0
    if not empty.any():
        return corpus
    if empty.all():
        raise DataError(f"{corpus.source}: no document has a known word; give other documents")
    warn(f"{corpus.source}: {empty.sum()} documents have no known word and are left out")
    return corpus.select(~empty)


def loss_per_token(
    fit: LDAFit, corpus: Corpus, seed: int, *, block_size: int = INFERENCE_BATCH
) -> float:
    """Negative ELBO (nats per token), with one latent sample for each block of documents.

    The divergence of the topics is spread over the training corpus, as in the training loss.
    """
    torch.manual_seed(seed)
    return _loss(fit, corpus, block_size) / corpus.num_tokens


@torch.no_grad()
def _loss(fit: LDAFit, corpus: Corpus, block_size: int) -> float:
    """Negative ELBO (nats) of documents, see :func:`loss_per_token`."""
    loss = TraceMeanField_ELBO().loss
    total = 0.0
    for batch in batches(corpus, fit.device, block_size=block_size):
        scaled = batch._replace(num_documents=fit.config["data"]["training_documents"])
        share = len(batch.indices) / scaled.num_documents
        total += loss(fit.guide.model, fit.guide, *scaled) * share
    return total


def evaluate(
    fit: LDAFit,
    corpus: Corpus,
    *,
    split: str = "test",
    steps: int = 5,
    seed: int = 0,
    part: int = INFERENCE_BATCH,
) -> dict[str, float | int]:
    """Measure a fit on documents; several processes share the work, and all get the figures.

    Parameters
    ----------
    fit
        The fit.
    corpus
        Documents in the vocabulary of the fit.
    split
        ``train``, ``val``, ``test`` or ``all``.
    steps
        Number of refinement steps for ``perplexity``.
    seed
        Seed of the halves and of the samples for the loss; those depend on ``part`` as well.
    part
        Documents that a process measures at a time.

    Returns
    -------
    dict
        ``perplexity`` and ``perplexity_amortised`` by document completion, ``loss_per_token``
        (nats), ``documents`` and ``tokens`` of the split, ``inference_seconds`` (refined inference
        of all first halves, added up over processes).
    """
    corpus = chosen_documents(fit, corpus, split)
    halves = halve(corpus, seed)
    starts = range(0, corpus.num_documents, part)
    topic_words = fit.guide.topics.mean().cpu()

    def measure(number: int) -> Part:
        start = starts[number]
        seed_draws(seed, start)
        loss = _loss(fit, _documents(corpus, start, part), part)
        # Fewer documents have halves.
        observed, held_out = (_documents(own, start, part) for own in halves)
        if not observed.num_documents:
            return Part(loss, 0.0, 0.0, 0.0)
        amortised = log_prob_of_words(infer(fit.guide, observed, steps=0), topic_words, held_out)
        started = time.perf_counter()
        topics = infer(fit.guide, observed, steps=steps)
        seconds = time.perf_counter() - started
        return Part(loss, log_prob_of_words(topics, topic_words, held_out), amortised, seconds)

    with workers.joined(Path(corpus.source)) as processes:
        shared, shown = processes.in_turn(len(starts), measure), processes.first
        progress = with_progress(shared, len(starts), "evaluate", "parts", delay=1.0, shown=shown)
        parts = list(progress)
        return processes.same(lambda: _figures(parts, corpus, halves[1].num_tokens))


class Part(NamedTuple):
    """Figures of some documents: sums of losses and log probabilities (nats), and seconds."""

    loss: float
    refined: float
    amortised: float
    seconds: float


def _documents(corpus: Corpus, start: int, number: int) -> Corpus:
    """Take so many documents from a place on."""
    return corpus.select(np.arange(start, min(start + number, corpus.num_documents)))


def _figures(parts: Sequence[Part], corpus: Corpus, held_out: int) -> dict[str, float | int]:
    """Give the figures of a corpus, of which so many words were predicted, see :func:`evaluate`."""
    loss, refined, amortised, seconds = map(sum, zip(*parts, strict=True))
    return {
        "perplexity": math.exp(-refined / held_out),
        "perplexity_amortised": math.exp(-amortised / held_out),
        "loss_per_token": loss / corpus.num_tokens,
        "documents": corpus.num_documents,
        "tokens": corpus.num_tokens,
        "inference_seconds": seconds,
    }
