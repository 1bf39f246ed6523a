"""Coordinate ascent on the topic proportions of documents, the conjugate part of LDA inference.

Every word of a document belongs to topic k with responsibility r. The responsibilities add up to
the concentration of q(theta_d)::

    concentration_dk = alpha_k + sum_j r_djk

``collapsed`` integrates theta out and judges each word by the other words of its document
(zeroth-order collapsed variational Bayes; Asuncion, Welling, Smyth & Teh, 2009, equation 11)::

    r_djk ∝ (concentration_dk - r_djk) E[phi_k,w]

``mean-field`` is the factorised bound (Blei, Ng & Jordan, 2003, equation 16)::

    r_djk ∝ exp(E[log theta_dk]) E[phi_k,w]

In mean field a word votes for its own topic. In titles of two or three words these votes grow into
certainty, and predictions are worse than a unigram model's. Without the word's own vote the
posterior of a single word is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .sets import pool

UPDATES = ("collapsed", "mean-field")


class LocalPosterior(NamedTuple):
    """State of the fixed point for a minibatch of documents."""

    concentration: Tensor
    """Concentration of q(theta), shape (documents, topics)."""
    responsibilities: Tensor
    """Topic probabilities of each word, shape (words, topics)."""


def refine(
    concentration: Tensor,
    prior: Tensor,
    topic_words: Tensor,
    words: Tensor,
    offsets: Tensor,
    *,
    steps: int,
    update: str = "collapsed",
) -> LocalPosterior:
    """Run the fixed point from a first guess of q(theta).

    Parameters
    ----------
    concentration
        Initial concentration, shape (documents, topics).
    prior
        alpha, shape (topics,).
    topic_words
        E[phi], shape (topics, vocabulary).
    words
        Vocabulary indices, shape (words,), int64.
    offsets
        Document d's words are ``words[offsets[d]:offsets[d + 1]]``, shape (documents + 1,), int64.
    steps
        Number of updates of all responsibilities, at least 1.
    update
        One of :data:`UPDATES`.
    """
    if update not in UPDATES:
        raise ValueError(f"update is {update!r}; choose one of {', '.join(UPDATES)}")
    weights = functional.embedding(words, topic_words.T.contiguous())
    positions = torch.arange(len(words), device=words.device)
    lengths = offsets.diff()
    responsibilities = None
    for _ in range(steps):
        if update == "mean-field":
            evidence = concentration.digamma().exp().repeat_interleave(lengths, 0)
        else:
            evidence = concentration.repeat_interleave(lengths, 0)
            if responsibilities is not None:
                evidence -= responsibilities
        responsibilities = evidence.mul_(weights)
        responsibilities /= responsibilities.sum(-1, keepdim=True)
        concentration = prior + pool(responsibilities, positions, offsets, "sum")
    return LocalPosterior(concentration, responsibilities)
