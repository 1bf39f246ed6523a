"""Uncertainty of topic proportions: moments and quantiles of draws from their posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ...data.corpora import Corpus
from ...guides.document_posterior import draw_topics
from ...guides.lda import LDAGuide
from .completion import batches
from .fitting import LDAFit
from .tables import topic_columns

# Draws x documents x topics at once, which bounds memory.
_DRAWN_AT_ONCE = 1 << 22
NUM_SAMPLES = 200
QUANTILES = (0.025, 0.975)


class TopicUncertainty(NamedTuple):
    """Posterior of the topic proportions of documents, on the CPU."""

    mean: Tensor
    """E[theta], shape (documents, topics)."""
    sd: Tensor
    """Standard deviation of theta, shape (documents, topics)."""
    quantiles: Tensor
    """Quantiles of theta, shape (quantiles, documents, topics)."""


def topic_uncertainty(
    fit: LDAFit | LDAGuide,
    corpus: Corpus,
    *,
    quantiles: Sequence[float] = QUANTILES,
    num_samples: int = NUM_SAMPLES,
    seed: int = 0,
    block_size: int | None = None,
) -> TopicUncertainty:
    """Summarise draws of topic proportions, see :func:`~exvae.guides.document_posterior`.

    The moments are those of the draws, so the mean differs a little from the deterministic mean of
    :func:`~exvae.experiments.lda.completion.infer`.

    Parameters
    ----------
    fit
        A fit, or a guide in evaluation mode.
    corpus
        Documents in the vocabulary of the fit.
    quantiles
        Probabilities of the quantiles, between 0 and 1.
    num_samples
        Number of draws for each document, at least 2.
    seed
        Seed of the draws; the caller's random numbers stay as they are.
    block_size
        Number of documents drawn at once; by default as many as fit into some 100 MiB.
    """
    if num_samples < 2:
        raise ValueError(f"num_samples is {num_samples}; a deviation needs at least 2")
    guide = fit.guide if isinstance(fit, LDAFit) else fit
    device = guide.topics.concentration.device
    if block_size is None:
        block_size = max(1, _DRAWN_AT_ONCE // (num_samples * guide.model.num_topics))
    parts = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in batches(corpus, device, block_size=block_size):
            draws = draw_topics(guide, batch.words, batch.offsets, num_samples)
            wanted = torch.tensor(quantiles, dtype=draws.dtype, device=device)
            parts.append((draws.mean(0), draws.std(0), draws.quantile(wanted, 0)))
    mean, sd, of_draws = zip(*parts, strict=True)
    return TopicUncertainty(
        torch.cat(mean).cpu(), torch.cat(sd).cpu(), torch.cat(of_draws, 1).cpu()
    )


def with_uncertainty(
    table: pd.DataFrame, fit: LDAFit, corpus: Corpus, *, seed: int = 0
) -> pd.DataFrame:
    """Add deviations and quantiles to a table of the documents' mean topic proportions.

    The means become those of the draws, so that they agree with the intervals: the deterministic
    means are approximate, and where a word is ambiguous they may lie outside. Documents without
    words keep the prior mean.

    Parameters
    ----------
    table
        A column for each topic and a row for each document of ``corpus``, by
        :func:`~exvae.experiments.lda.tables.topic_table`.
    fit
        The fit.
    corpus
        Documents in the vocabulary of the fit.
    seed
        Seed of the draws.

    Returns
    -------
    pandas.DataFrame
        A new table with further columns for each topic, such as ``topic_0_sd``, ``topic_0_q0.025``
        and ``topic_0_q0.975``.
    """
    found = topic_uncertainty(fit, corpus, seed=seed)
    means, known = found.mean.numpy(), corpus.lengths > 0
    table = table.copy()
    table.loc[:, topic_columns(fit)] = np.where(
        known[:, None], means, table[topic_columns(fit)].to_numpy()
    )
    table["dominant_topic"] = table["dominant_topic"].where(~known, means.argmax(1))
    values = torch.cat([found.sd.unsqueeze(0), found.quantiles])  # statistics, documents, topics
    names = ["sd", *(f"q{probability:g}" for probability in QUANTILES)]
    columns = [f"topic_{topic}_{name}" for topic in range(values.shape[-1]) for name in names]
    flat = values.permute(1, 2, 0).flatten(1).numpy()
    return pd.concat([table, pd.DataFrame(flat, index=table.index, columns=columns)], axis=1)
