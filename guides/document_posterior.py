"""Posterior of the topic proportions of documents, by collapsed Gibbs sampling.

Given the topics phi, words are assigned to topics one at a time with theta integrated out
(Griffiths & Steyvers, 2004)::

    p(z_dj = k | other words) ∝ (alpha_k + n_dk without word j) phi_{k,w_dj}
    theta_d | z               ~ Dirichlet(alpha + n_d)

The Dirichlet of a guide takes its responsibilities as certain, so its intervals are too narrow. The
draws here are exact apart from phi, for which E[phi] stands.
"""

from __future__ import annotations

import torch
from pyro.distributions import Gamma
from torch import Tensor
from torch.nn import functional

from ..data.compiled_loops import spread
from .lda import LDAGuide

# Documents that a thread works on before it takes more.
_CHUNK = 32


@torch.no_grad()
def draw_topics(
    guide: LDAGuide,
    words: Tensor,
    offsets: Tensor,
    num_samples: int = 200,
    *,
    burn_in: int = 20,
    thinning: int = 2,
) -> Tensor:
    """Draw topic proportions from their posterior given E[phi] and alpha of a guide.

    Sampling starts from the answer of the guide's encoder; a guide may have any family of
    q(theta). A document without words has the prior as its posterior.

    Parameters
    ----------
    guide
        A guide in evaluation mode.
    words
        Vocabulary indices, shape (words,), int64.
    offsets
        Document d's words are ``words[offsets[d]:offsets[d + 1]]``, shape (documents + 1,), int64.
    num_samples
        Number of draws.
    burn_in
        Number of sweeps over a document's words before the first draw.
    thinning
        Number of sweeps from one draw to the next.

    Returns
    -------
    Tensor
        Shape (num_samples, documents, topics), on the device of the guide; the draws of a document
        are in the order of the chain, and neighbours are correlated.
    """
    if min(num_samples, thinning) < 1 or burn_in < 0:
        raise ValueError("num_samples and thinning must be at least 1, burn_in at least 0")
    alpha = guide.model.document_concentration
    prior = alpha.double().cpu()
    counts = _draw_counts(guide, words, offsets, prior, (num_samples, burn_in, thinning))
    return _draw_dirichlet(prior + counts).to(alpha)


def _draw_counts(
    guide: LDAGuide,
    words: Tensor,
    offsets: Tensor,
    prior: Tensor,
    schedule: tuple[int, int, int],
) -> Tensor:
    """Draw the number of words of each topic, shape (samples, documents, topics), int32, CPU.

    Arguments as for :func:`draw_topics`; ``prior`` is alpha, shape (topics,), float64, and
    ``schedule`` has the numbers of samples, of sweeps before the first, and of sweeps for each.
    """
    from .compiled_topics import gibbs_sweeps

    num_samples, burn_in, thinning = schedule
    distinct, positions = words.unique(return_inverse=True)
    likelihoods = guide.topics.mean()[:, distinct].T.double().cpu().contiguous().numpy()
    start = _first_guess(guide, words, offsets).double().cpu().numpy()
    positions, bounds = positions.cpu().numpy(), offsets.cpu().numpy()
    num_documents = len(bounds) - 1
    # A seed for each document, so that draws do not depend on the threads.
    seeds = torch.randint(torch.iinfo(torch.int64).max, (num_documents,)).numpy()
    counts = torch.zeros(num_samples, num_documents, len(prior), dtype=torch.int32)
    sweeps, filled = gibbs_sweeps(), counts.numpy()

    def work(own: slice) -> None:
        limits = bounds[own.start : own.stop + 1]
        documents = positions[limits[0] : limits[-1]], limits - limits[0]
        given = likelihoods, prior.numpy(), start[own], seeds[own]
        sweeps(*documents, *given, burn_in, thinning, filled[:, own])

    spread(work, num_documents, _CHUNK)
    return counts


def _first_guess(guide: LDAGuide, words: Tensor, offsets: Tensor) -> Tensor:
    """E[theta] of the guide, shape (documents, topics); uniform where a document has no words."""
    some = offsets.diff() > 0
    alpha = guide.model.document_concentration
    guess = alpha.new_full((len(some), len(alpha)), 1 / len(alpha))
    if some.any():  # encoders refuse empty documents
        guess[some] = guide.infer(words, functional.pad(offsets[1:][some], (1, 0)))
    return guess


def _draw_dirichlet(concentration: Tensor) -> Tensor:
    """Draw from Dirichlet distributions over the last dimension, of any small concentration.

    By logarithms: Gamma(a) is Gamma(a + 1) times the power 1 / a of a uniform number, and many such
    powers are too small for a floating-point number.
    """
    log_power = -torch.empty_like(concentration).exponential_() / concentration
    one = torch.ones((), dtype=concentration.dtype)
    return (Gamma(concentration + 1, one).sample().log() + log_power).softmax(-1)
