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


class DistinctWords(NamedTuple):
    """Words of documents, each distinct word of a document once."""

    words: Tensor
    """Vocabulary indices, shape (distinct,), int64."""
    offsets: Tensor
    """Document d has ``words[offsets[d]:offsets[d + 1]]``, shape (documents + 1,), int64."""
    counts: Tensor
    """How often each occurs, shape (distinct,), int64."""
    places: Tensor
    """Place of each word of the documents among the distinct ones, shape (words,), int64."""


def distinct_words(words: Tensor, offsets: Tensor, vocabulary_size: int) -> DistinctWords:
    """Merge equal words of a document where compiled loops serve; else every word is left alone.

    Equal words of a document have equal topics, so that each needs to be worked on once.

    Parameters
    ----------
    words
        Vocabulary indices, shape (words,), int64.
    offsets
        Bounds of the documents' words, shape (documents + 1,), int64.
    vocabulary_size
        V.

    Raises
    ------
    IndexError
        If a word is outside the vocabulary, and compiled loops, which do not notice, serve.
    """
    if not suits_loops(words):
        everything = torch.arange(len(words), device=words.device)
        return DistinctWords(words, offsets, torch.ones_like(words), everything)
    require_words(words, vocabulary_size)
    from .compiled_topics import distinct_words as merging  # loads numba

    position = words.new_empty(vocabulary_size)
    distinct, counts, places = (torch.empty_like(words) for _ in range(3))
    bounds = torch.empty_like(offsets)
    filled = (own.numpy() for own in (position, distinct, counts, bounds, places))
    number = merging()(words.numpy(), offsets.numpy(), *filled)
    return DistinctWords(distinct[:number], bounds, counts[:number], places)


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
    counts: Tensor | None = None,
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
    counts
        How often each word occurs, shape (words,), int64, as :func:`distinct_words` gives it; None
        is once.
    update
        One of :data:`UPDATES`.
    only_concentration
        Whether responsibilities may be left out, which saves time; they are then empty.
    """
    if update not in UPDATES:
        raise ValueError(f"update is {update!r}; choose one of {', '.join(UPDATES)}")
    likelihoods = topic_words.T.contiguous()
    if update != "collapsed" or not suits_loops(concentration):
        return _refine_by_tensors(
            concentration, prior, likelihoods, words, offsets, counts, steps, update
        )
    if counts is not None:
        require_words(words, len(likelihoods))
        merged = DistinctWords(words, offsets, counts, words)
    else:
        merged = distinct_words(words, offsets, len(likelihoods))
    local = _refine_compiled(
        concentration, prior, likelihoods, merged, steps, only_concentration=only_concentration
    )
    if counts is not None or only_concentration:
        return local
    return local._replace(responsibilities=local.responsibilities[merged.places])


def _refine_by_tensors(
    concentration: Tensor,
    prior: Tensor,
    likelihoods: Tensor,
    words: Tensor,
    offsets: Tensor,
    counts: Tensor | None,
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
        of_words = responsibilities if counts is None else responsibilities * counts.unsqueeze(-1)
        concentration = prior + pool(of_words, positions, offsets, "sum")
    return LocalPosterior(concentration, responsibilities)


def require_words(words: Tensor, vocabulary_size: int) -> None:
    """Raise IndexError if a word is outside the vocabulary, which compiled loops do not notice."""
    if len(words) and not 0 <= int(words.min()) <= int(words.max()) < vocabulary_size:
        raise IndexError(f"a word's index is outside the vocabulary of {vocabulary_size} words")


def _refine_compiled(
    concentration: Tensor,
    prior: Tensor,
    likelihoods: Tensor,
    merged: DistinctWords,
    steps: int,
    *,
    only_concentration: bool,
) -> LocalPosterior:
    """Run the collapsed fixed point in compiled loops; likelihoods are (vocabulary, topics)."""
    from .compiled_topics import collapsed_fixed_point  # loads numba

    concentration = concentration.detach().clone(memory_format=torch.contiguous_format)
    rows = 0 if only_concentration else len(merged.words)
    responsibilities = concentration.new_empty(rows, len(prior))
    words, offsets, counts = (own.numpy() for own in merged[:3])
    inputs = likelihoods.detach().numpy(), prior.detach().numpy(), steps
    found, filled = concentration.numpy(), responsibilities.numpy()
    loop = collapsed_fixed_point()

    def work(own: slice) -> None:
        bounds = offsets[own.start : own.stop + 1]
        part = slice(bounds[0], bounds[-1])
        loop(words[part], bounds - bounds[0], counts[part], *inputs, found[own], filled[part])

    spread(work, len(concentration), _CHUNK)
    return LocalPosterior(concentration, responsibilities)
