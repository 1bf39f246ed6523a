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

from ..data.compiled_loops import spread, suits_loops
from .sets import pool

UPDATES = ("collapsed", "mean-field")
# Documents that a thread works on before it takes more.
_CHUNK = 64


class LocalPosterior(NamedTuple):
    """State of the fixed point for a minibatch of documents."""

    concentration: Tensor
    """Concentration of q(theta), shape (documents, topics)."""
    responsibilities: Tensor
    """Topic probabilities of each word, shape (words, topics), or empty if they are not wanted."""


def refine(
    concentration: Tensor,
    prior: Tensor,
    topic_words: Tensor,
    words: Tensor,
    offsets: Tensor,
    *,
    steps: int,
    update: str = "collapsed",
    only_concentration: bool = False,
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
    only_concentration
        Whether responsibilities may be left out, which saves time; they are then empty.
    """
    if update not in UPDATES:
        raise ValueError(f"update is {update!r}; choose one of {', '.join(UPDATES)}")
    likelihoods = topic_words.T.contiguous()
    given = concentration, prior, likelihoods, words, offsets, steps
    if update == "collapsed" and suits_loops(concentration):
        return _refine_compiled(*given, only_concentration=only_concentration)
    return _refine_by_tensors(*given, update)


def _refine_by_tensors(
    concentration: Tensor,
    prior: Tensor,
    likelihoods: Tensor,
    words: Tensor,
    offsets: Tensor,
    steps: int,
    update: str,
) -> LocalPosterior:
    """Run a fixed point for all documents at once; likelihoods are (vocabulary, topics)."""
    likelihoods = functional.embedding(words, likelihoods)
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
        responsibilities = evidence.mul_(likelihoods)
        responsibilities /= responsibilities.sum(-1, keepdim=True)
        concentration = prior + pool(responsibilities, positions, offsets, "sum")
    return LocalPosterior(concentration, responsibilities)


def require_words(words: Tensor, vocabulary_size: int) -> None:
    """Raise IndexError if a word is outside the vocabulary, which compiled loops do not notice."""
    if len(words) and not 0 <= int(words.min()) <= int(words.max()) < vocabulary_size:
        raise IndexError(f"a word's index is outside the vocabulary of {vocabulary_size} words")


def _refine_compiled(
    concentration: Tensor,
    prior: Tensor,
    likelihoods: Tensor,
    words: Tensor,
    offsets: Tensor,
    steps: int,
    *,
    only_concentration: bool,
) -> LocalPosterior:
    """Run the collapsed fixed point in compiled loops; likelihoods are (vocabulary, topics)."""
    require_words(words, len(likelihoods))
    from .compiled_topics import collapsed_fixed_point  # loads numba

    concentration = concentration.detach().clone(memory_format=torch.contiguous_format)
    rows = 0 if only_concentration else len(words)
    responsibilities = concentration.new_empty(rows, len(prior))
    inputs = words.numpy(), offsets.numpy(), likelihoods.detach().numpy(), prior.detach().numpy()
    found, filled = concentration.numpy(), responsibilities.numpy()
    loop = collapsed_fixed_point()

    def work(own: slice) -> None:
        bounds = inputs[1][own.start : own.stop + 1]
        part = slice(bounds[0], bounds[-1])
        given = inputs[0][part], bounds - bounds[0], *inputs[2:], steps
        loop(*given, found[own], filled[part])

    spread(work, len(concentration), _CHUNK)
    return LocalPosterior(concentration, responsibilities)
