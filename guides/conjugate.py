"""Conjugate updates of the topics and of both concentrations, which all documents share."""

from __future__ import annotations

import torch
from pyro.distributions import Dirichlet
from torch import Tensor, nn

from ..data import shares
from ..data.compiled_loops import suits_loops
from .fixed_point import LocalPosterior, require_words
from .sets import pool

# Below 1e-3 Dirichlet draws in float32 degenerate: some are exactly uniform.
CONCENTRATION_FLOOR = 1e-2
# A topic is dead if it holds less than this share of the mean number of words of a topic.
DEAD_SHARE = 0.4


class TopicPosterior(nn.Module):
    """q(phi_k) = Dirichlet(lambda_k), trained by stochastic natural-gradient steps.

    With expected word counts n_kw of a minibatch of B among D documents, a step is::

        lambda <- (1 - rho_t) lambda + rho_t (beta + D / B n),    rho_t = (t + tau)^(-kappa)

    (Hoffman, Blei, Wang & Paisley, 2013, equation 26). After the warm-up rho_t is at least B / D:
    lambda is then an average over about the last pass through the data, which is hardly noisier and
    follows the documents' topics while these still change.

    Parameters
    ----------
    num_topics, vocabulary_size
        K and V.
    delay
        tau, in steps: makes the first steps smaller.
    forgetting_rate
        kappa, in (0.5, 1].
    """

    concentration: Tensor
    steps: Tensor

    def __init__(
        self,
        num_topics: int,
        vocabulary_size: int,
        *,
        delay: float = 10.0,
        forgetting_rate: float = 0.7,
    ) -> None:
        super().__init__()
        self.delay = delay
        self.forgetting_rate = forgetting_rate
        start = torch.distributions.Gamma(100.0, 100.0).sample((num_topics, vocabulary_size))
        self.register_buffer("concentration", start)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def distribution(self) -> Dirichlet:
        """q(phi), batch shape (topics,), event shape (vocabulary,)."""
        return Dirichlet(self.concentration.clamp(min=CONCENTRATION_FLOOR))

    def mean(self) -> Tensor:
        """E[phi], shape (topics, vocabulary)."""
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    def relevance(self, weight: float) -> Tensor:
        """Relevance of words to topics, shape (topics, vocabulary).

        A mean of log E[phi_kw] and of the log of its lift, the ratio of E[phi_kw] to the word's
        share of all words (Sievert & Shirley, 2014). Words that are common everywhere have no lift.

        Parameters
        ----------
        weight
            Weight of the probability, from 0 (lift alone) to 1 (probability alone).
        """
        share = self.concentration.sum(0) / self.concentration.sum()
        return self.mean().log() - (1.0 - weight) * share.log()

    def step_size(self, least: float = 0.0) -> float:
        """rho_t of the next step, not below ``least``."""
        return max((float(self.steps) + self.delay) ** -self.forgetting_rate, least)

    def natural_step(
        self,
        words: Tensor,
        responsibilities: Tensor,
        scale: float,
        prior: Tensor,
        least: float = 0.0,
        occurrences: Tensor | None = None,
    ) -> None:
        """Move lambda towards its optimum given the minibatch.

        Parameters
        ----------
        words
            Vocabulary indices, shape (words,), int64.
        responsibilities
            Topic probabilities of each word, shape (words, topics).
        scale
            Number of documents in the corpus divided by the number in the minibatch.
        prior
            beta, a scalar.
        least
            Smallest rho_t.
        occurrences
            How often each word occurs, shape (words,), int64; None is once.
        """
        step_size = self.step_size(least)
        occurrences = torch.ones_like(words) if occurrences is None else occurrences
        counts = responsibilities.new_zeros(self.concentration.T.shape)
        if suits_loops(counts):
            from .compiled_topics import words_of_topics  # loads numba

            require_words(words, len(counts))
            arrays = (own.numpy() for own in (words, occurrences, responsibilities, counts))
            words_of_topics()(*arrays)
        else:
            counts.index_add_(0, words, responsibilities * occurrences.unsqueeze(-1))
        counts = shares.summed(counts)
        self.concentration.mul_(1.0 - step_size).add_(prior * step_size)
        self.concentration.add_(counts.T, alpha=step_size * scale)
        self.steps += 1

    def split_into_dead(self, prior: Tensor) -> Tensor:
        """Replace dead topics by random halves of the largest topics.

        While the topics separate, some topics take up two subjects and others are left without any.
        Coordinate ascent alone never separates the two subjects, so dead topics are split off the
        largest ones (as in the split and merge moves of mixture models; Ueda, Nakano, Ghahramani &
        Hinton, 2000). A topic is dead if it is small and its words are at home in other topics.

        Parameters
        ----------
        prior
            beta, shape ().

        Returns
        -------
        Tensor
            Positions of the topics that changed, shape (changed,), int64.
        """
        held = (self.concentration - prior).clamp(min=0.0).sum(-1)
        dead, living = self.dead(prior), held >= DEAD_SHARE * held.mean()
        number = min(len(dead), int(living.sum()))
        emptied, large = dead[:number], held.argsort()[len(held) - number :]
        share = shares.same(torch.rand_like(self.concentration[large]))
        self.concentration[emptied] = self.concentration[large] * share
        self.concentration[large] *= 1.0 - share
        return torch.cat([emptied, large])

    def dead(self, prior: Tensor) -> Tensor:
        """Positions of the dead topics, shape (dead,), int64, the smallest first.

        A small topic that is the only home of its words lives: they may be the words of many short
        documents beside a long one. ``prior`` is beta, shape ().
        """
        held = (self.concentration - prior).clamp(min=0.0).sum(-1)
        small = held.argsort()[: int((held < DEAD_SHARE * held.mean()).sum())]
        total = self.concentration.sum(0)
        chosen = []
        for topic in small.tolist():
            own = self.concentration[topic]
            at_home = own > 0.5 * total
            if own[at_home].sum() < 0.5 * own.sum():
                chosen.append(topic)
                total = total - own
        return small.new_tensor(chosen)


def document_concentration_fixed_point(
    prior: Tensor,
    local: LocalPosterior,
    offsets: Tensor,
    *,
    symmetric: bool,
    steps: int = 2,
    occurrences: Tensor | None = None,
) -> Tensor:
    """Estimate alpha from a minibatch by Minka's fixed point on expected topic counts.

    With n_dk words of topic k in document d, the fixed point (Minka, 2000, equation 55) needs
    E[digamma(alpha_k + n_dk) - digamma(alpha_k)], which is zero for n_dk = 0. With E[n_dk] in place
    of n_dk every word is spread over all topics, and alpha diverges on short documents. This
    function uses P(n > 0) [digamma(alpha + E[n | n > 0]) - digamma(alpha)] instead (Teh, Newman &
    Welling, 2007, equation 17), which is exact for documents of one word. P(n > 0) takes the topics
    of a document's words as independent, so alpha is still too large where documents are short and
    topics overlap much.

    Parameters
    ----------
    prior
        Present alpha, shape (topics,).
    local
        Final state of the documents' fixed point.
    offsets
        Bounds of the documents' words, shape (documents + 1,), int64.
    symmetric
        Whether all topics have one value.
    steps
        Rounds of the fixed point.
    occurrences
        How often each word occurs, shape (words,), int64; None is once.

    Returns
    -------
    Tensor
        alpha, shape (topics,).
    """
    expected = local.concentration - prior
    if occurrences is None:
        occurrences = offsets.new_ones(len(local.responsibilities))
    present = _presence(local.responsibilities, offsets, occurrences)
    present = present.clamp(min=torch.finfo(expected.dtype).tiny)
    # The floor keeps E[n | n > 0] >= 1 where both are rounded to nearly nothing.
    expected_if_present = (expected / present).clamp(min=1.0)
    lengths = expected.sum(-1, keepdim=True)
    alpha, possibly = prior, present.double().sum(0)
    for _ in range(steps):
        gained = _digammas(present, expected_if_present, alpha)
        gained = (gained - possibly * alpha.double().digamma()).to(alpha.dtype)
        total = alpha.sum()
        possible = ((total + lengths).digamma() - total.digamma()).sum()
        sums = shares.summed(torch.cat([gained, possible[None]]))
        gained, possible = sums[:-1], sums[-1]
        alpha = (alpha * gained / possible).clamp(min=1e-3)
        if symmetric:
            alpha = alpha.mean().expand_as(alpha)
    return alpha


def _digammas(weights: Tensor, counts: Tensor, alpha: Tensor) -> Tensor:
    """Add up weights x digamma(alpha + counts) over documents; shape (topics,), float64.

    ``weights`` and ``counts``, which are at least 1, have shape (documents, topics).
    """
    if suits_loops(weights) and weights.dtype == torch.float32:
        from .compiled_topics import digammas_of_topics  # loads numba

        sums = alpha.new_zeros(alpha.shape, dtype=torch.float64)
        digammas_of_topics()(*(own.numpy() for own in (weights, counts, alpha, sums)))
        return sums
    return (weights * (alpha + counts).digamma()).double().sum(0)


def _presence(responsibilities: Tensor, offsets: Tensor, occurrences: Tensor) -> Tensor:
    """Probability that a document has any word of a topic, shape (documents, topics)."""
    if suits_loops(responsibilities):
        from .compiled_topics import presence_of_topics  # loads numba

        present = responsibilities.new_empty(len(offsets) - 1, responsibilities.shape[1])
        arrays = (own.numpy() for own in (offsets, occurrences, responsibilities, present))
        presence_of_topics()(*arrays)
        return present
    log_absent_word = torch.log1p(-responsibilities.clamp(max=1.0 - 1e-6))
    log_absent_word *= occurrences.unsqueeze(-1)
    positions = torch.arange(len(log_absent_word), device=offsets.device)
    return -pool(log_absent_word, positions, offsets, "sum").expm1()


def topic_concentration_fixed_point(prior: Tensor, concentration: Tensor) -> Tensor:
    """Estimate beta by one round of Minka's fixed point on the expected word counts of topics.

    These counts are sums over the corpus, so E[n_kw] = lambda_kw - beta in place of n_kw does
    little harm (Minka, 2000, equation 55).

    Parameters
    ----------
    prior
        Present beta, shape ().
    concentration
        lambda, shape (topics, vocabulary).

    Returns
    -------
    Tensor
        beta, a scalar.
    """
    topics, vocabulary_size = concentration.shape
    gained = concentration.digamma().sum() - concentration.numel() * prior.digamma()
    total = vocabulary_size * prior
    possible = concentration.sum(-1).digamma().sum() - topics * total.digamma()
    return (prior * gained / (vocabulary_size * possible)).clamp(min=CONCENTRATION_FLOOR)
