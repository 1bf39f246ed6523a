"""Guides of latent Dirichlet allocation: q(phi) by conjugacy, q(theta_d) amortised.

::

    q(phi_k)   = Dirichlet(lambda_k)          natural-gradient steps inside ``svi.step``
    q(theta_d) = Dirichlet(network(words_d))  pathwise gradients (Jankowiak & Obermeyer, 2018)

A subclass may encode the words in another way (``encode``), or give q(theta_d) another family
(``document_topics`` and ``mean_topics``); docs/variants.md has an example.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyro
import torch
from pyro.distributions import Dirichlet, TorchDistribution
from torch import Tensor, nn

from ..data import shares
from ..data.arguments import require
from ..models.lda import LDA
from .base import Guide
from .conjugate import (
    CONCENTRATION_FLOOR,
    TopicPosterior,
    document_concentration_fixed_point,
    topic_concentration_fixed_point,
)
from .fixed_point import UPDATES, LocalPosterior, distinct_words, refine
from .sets import Pooling, SetEncoder, multilayer_perceptron

# Natural-gradient steps of the warm-up between two searches for dead topics.
SPLIT_EVERY = 20
# Steps after the warm-up at which dead topics are looked for again, and steps in which the topics
# that were split then separate.
LATE_SPLITS = (60, 140)
SEPARATION = 40
MOST_DEAD = 0.1
# Bound on the smallest step size: few documents of unequal length make large steps noisy.
LARGEST_LEAST_STEP = 0.1
LEARN_DOCUMENT_CONCENTRATION = ("asymmetric", "symmetric", "fixed")


class LDAGuide(Guide):
    """Guide of :class:`~exvae.models.lda.LDA`; subclasses encode the words of a document.

    A forward pass under gradients in training mode (that is, within ``svi.step``) also takes one
    natural-gradient step on the topics, as batch normalisation updates its statistics;
    ``svi.evaluate_loss`` and ``Predictive`` take none. Set ``guide.learn = False`` if other code
    runs the guide under gradients, such as ``Importance`` or a trace of your own. The step uses
    q(theta) after ``refinement_steps`` of the fixed point, started from the encoder's output.
    During ``warm_up`` the fixed point starts at random instead: an untrained encoder gives all
    documents the same topics, so that all topics become the unigram distribution and never
    separate.

    Parameters
    ----------
    model
        The model; this guide learns its alpha.
    learn_document_concentration
        How alpha is learned: ``asymmetric``, ``symmetric`` or ``fixed``.
    learn_topic_concentration
        Whether beta is learned.
    refinement_steps
        Steps of the fixed point before each step on the topics.
    warm_up
        Number of first natural-gradient steps whose fixed point starts at random. Dead topics are
        looked for during them and twice after them.
    warm_up_refinement_steps
        Steps of the fixed point in each of those.
    update
        Kind of fixed point, see :mod:`exvae.guides.fixed_point`.
    learn
        Whether forward passes under gradients move the topics.
    """

    def __init__(
        self,
        model: LDA,
        *,
        learn_document_concentration: str = "asymmetric",
        learn_topic_concentration: bool = False,
        refinement_steps: int = 10,
        warm_up: int = 100,
        warm_up_refinement_steps: int = 20,
        update: str = "collapsed",
        learn: bool = True,
    ) -> None:
        super().__init__(model)
        require(
            "learn_document_concentration",
            learn_document_concentration,
            LEARN_DOCUMENT_CONCENTRATION,
        )
        require("update", update, UPDATES)
        self.learn_document_concentration = learn_document_concentration
        self.learn_topic_concentration = learn_topic_concentration
        self.refinement_steps = refinement_steps
        self.warm_up = warm_up
        self.warm_up_refinement_steps = warm_up_refinement_steps
        self.update = update
        self.learn = learn
        self.topics = TopicPosterior(model.num_topics, model.vocabulary_size)
        self.register_buffer("separating_until", torch.zeros((), dtype=torch.int64))

    def forward(
        self,
        words: Tensor,
        offsets: Tensor,
        indices: Tensor,
        num_documents: int,
        obs: Tensor | None = None,
    ) -> None:
        """Sample topics, (topics, vocabulary), and proportions, (documents, topics), given words.

        Arguments as for :meth:`exvae.models.lda.LDA.forward`; ``obs`` is not used.

        Raises
        ------
        RuntimeError
            If the guide learns while torch traces it: a trace holds no steps on the topics.
        """
        learning = self.learn and self.training and torch.is_grad_enabled()
        if learning and torch.jit.is_tracing():
            raise RuntimeError(
                "topics are not learned by a compiled ELBO; use TraceMeanField_ELBO, or "
                "guide.learn = False"
            )
        with pyro.plate("topics", self.model.num_topics):
            pyro.sample("topic_words", self.topics.distribution())
        with pyro.plate("documents", num_documents, subsample=indices):
            document_topics = self.document_topics(words, offsets)
            pyro.sample("document_topics", document_topics)
        if learning:
            with torch.no_grad():
                start = self.concentration_of(document_topics, offsets)
                self.learn_from(words, offsets, num_documents, start)

    def document_topics(self, words: Tensor, offsets: Tensor) -> TorchDistribution:
        """Amortised q(theta), batch shape (documents,), event shape (topics,).

        The concentration is alpha + n c s for n words. The softmax s of the readout gives the
        topics, its sigmoid c the weight of the words' evidence.

        Parameters
        ----------
        words
            Vocabulary indices, shape (words,), int64.
        offsets
            Bounds of the documents' words, shape (documents + 1,), int64.
        """
        encoded = self.encode(words, offsets)
        weight = offsets.diff() * encoded[:, 0].sigmoid()
        proportions = encoded[:, 1:].softmax(-1)
        concentration = self.model.document_concentration + weight.unsqueeze(-1) * proportions
        return Dirichlet(concentration.clamp(min=CONCENTRATION_FLOOR))

    def mean_topics(self, document_topics: TorchDistribution) -> Tensor:
        """E[theta] under q, shape (documents, topics)."""
        return document_topics.mean

    def concentration_of(self, document_topics: TorchDistribution, offsets: Tensor) -> Tensor:
        """Concentration from which the fixed point starts, shape (documents, topics).

        The concentration of a Dirichlet; for other families alpha + n E[theta] for n words.
        """
        if isinstance(document_topics, Dirichlet):
            return document_topics.concentration
        weight = offsets.diff().unsqueeze(-1)
        return self.model.document_concentration + weight * self.mean_topics(document_topics)

    def encode(self, words: Tensor, offsets: Tensor) -> Tensor:
        """Encode the words of documents, shape (documents, 1 + topics); for subclasses.

        Arguments as for :meth:`document_topics`.
        """
        raise NotImplementedError

    @torch.no_grad()
    def infer(self, words: Tensor, offsets: Tensor, *, steps: int = 0) -> Tensor:
        """Posterior mean of theta after refinement, shape (documents, topics).

        Arguments as for :meth:`document_topics`, and the number of ``steps`` of refinement.
        """
        if not steps:
            return self.mean_topics(self.document_topics(words, offsets))
        concentration = self.infer_concentration(words, offsets, steps=steps)
        return concentration / concentration.sum(-1, keepdim=True)

    @torch.no_grad()
    def infer_concentration(self, words: Tensor, offsets: Tensor, *, steps: int = 0) -> Tensor:
        """Concentration of theta after refinement, (documents, topics); see :meth:`infer`."""
        start = self.concentration_of(self.document_topics(words, offsets), offsets)
        if not steps:
            return start
        return self.refined(start, words, offsets, steps, only_concentration=True).concentration

    def refined(
        self,
        concentration: Tensor,
        words: Tensor,
        offsets: Tensor,
        steps: int,
        *,
        counts: Tensor | None = None,
        only_concentration: bool = False,
    ) -> LocalPosterior:
        """Run the fixed point, see :func:`~exvae.guides.fixed_point.refine`, of the topics' mean.

        ``concentration`` is where it starts, shape (documents, topics).
        """
        return refine(
            concentration,
            self.model.document_concentration,
            self.topics.mean(),
            words,
            offsets,
            steps=steps,
            counts=counts,
            update=self.update,
            only_concentration=only_concentration,
        )

    def learn_from(
        self,
        words: Tensor,
        offsets: Tensor,
        num_documents: int,
        concentration: Tensor,
        *,
        least_step_size: float | None = None,
    ) -> None:
        """Take one step on the topics, alpha and beta, which all documents share.

        Parameters
        ----------
        words, offsets
            As for :meth:`document_topics`.
        num_documents
            Number of documents in the corpus.
        concentration
            Initial concentration of the fixed point, shape (documents, topics).
        least_step_size
            Smallest step size after the warm-up; by default the share of the corpus, at most 0.1.
        """
        step = int(self.topics.steps)
        if self.training and step - self.warm_up in LATE_SPLITS:
            self._split_late()
        warming_up, separating = step < self.warm_up, step < int(self.separating_until)
        steps = self.refinement_steps
        if warming_up or separating:
            concentration = self.random_concentration(offsets)
            steps = self.warm_up_refinement_steps
        merged = distinct_words(words, offsets, self.model.vocabulary_size)
        words, bounds, counts = merged[:3]
        local = self.refined(concentration, words, bounds, steps, counts=counts)
        scale = num_documents / shares.total(len(offsets) - 1)
        least = min(1.0 / scale, LARGEST_LEAST_STEP) if least_step_size is None else least_step_size
        if warming_up or separating:
            least = LARGEST_LEAST_STEP if separating else 0.0
        step_size = self.topics.step_size(least)
        beta = self.model.topic_concentration
        self.topics.natural_step(words, local.responsibilities, scale, beta, least, counts)
        if not (warming_up or separating):
            # Before, topics are noise, which alpha and beta should not learn from.
            self.learn_concentrations(local, bounds, step_size, counts)
        elif self.topics.steps % SPLIT_EVERY == 0 and self.topics.steps < 0.9 * self.warm_up:
            self.topics.split_into_dead(beta)

    def _split_late(self) -> None:
        """Split topics into those that have died since the warm-up, and separate them again.

        A duplicate of a topic loses its words only when alpha is learned. The topic that holds two
        subjects instead comes apart as in the warm-up, from random starts of the fixed point. Where
        many topics have died there are more topics than subjects, and nothing is split.
        """
        beta = self.model.topic_concentration
        few = max(1, int(MOST_DEAD * self.model.num_topics))
        if not 0 < len(self.topics.dead(beta)) <= few:
            return
        changed = self.topics.split_into_dead(beta)
        self.separating_until.fill_(int(self.topics.steps) + SEPARATION)
        alpha = self.model.document_concentration
        if self.learn_document_concentration != "fixed":
            alpha[changed] = alpha.mean()

    def learn_concentrations(
        self, local: LocalPosterior, offsets: Tensor, step_size: float, counts: Tensor
    ) -> None:
        """Move alpha and beta by a step towards their estimates.

        ``offsets`` are the bounds of the documents' distinct words, shape (documents + 1,), and
        ``counts`` tell how often each occurs, shape (words,), both int64.
        """
        alpha, beta = self.model.document_concentration, self.model.topic_concentration
        if self.learn_document_concentration != "fixed":
            symmetric = self.learn_document_concentration == "symmetric"
            estimate = document_concentration_fixed_point(
                alpha, local, offsets, symmetric=symmetric, occurrences=counts
            )
            alpha.lerp_(estimate, step_size)
        if self.learn_topic_concentration:
            estimate = topic_concentration_fixed_point(beta, self.topics.concentration)
            beta.lerp_(estimate, step_size)

    def random_concentration(self, offsets: Tensor) -> Tensor:
        """Random concentration that separates the topics, shape (documents, topics)."""
        alpha = self.model.document_concentration
        shape = len(offsets) - 1, len(alpha)
        with shares.drawing():
            noise = torch.randn(shape, dtype=alpha.dtype, device=alpha.device)
        return alpha + offsets.diff().unsqueeze(-1) * noise.softmax(-1)


class ExchangeableGuide(LDAGuide):
    """Guide whose encoder reads a document as a set of words of any size, without order.

    Parameters
    ----------
    model
        The model.
    pooling
        A name in :data:`~exvae.guides.sets.POOLINGS`, or a class of your own.
    element_sizes, readout_sizes
        Layer sizes of f and hidden layer sizes of h, see :class:`~exvae.guides.sets.SetEncoder`.
    output_size
        Number of outputs of ``encode``; 1 + topics by default.
    **options
        Arguments of :class:`LDAGuide`.
    """

    def __init__(
        self,
        model: LDA,
        *,
        pooling: str | type[Pooling] = "mean",
        element_sizes: Sequence[int] = (64,),
        readout_sizes: Sequence[int] = (64,),
        output_size: int | None = None,
        **options,
    ) -> None:
        super().__init__(model, **options)
        self.encoder = SetEncoder(
            model.vocabulary_size,
            output_size or 1 + model.num_topics,
            element_sizes=element_sizes,
            readout_sizes=readout_sizes,
            pooling=pooling,
        )

    def encode(self, words: Tensor, offsets: Tensor) -> Tensor:
        """Apply the permutation-invariant encoder, shape (documents, output_size)."""
        return self.encoder.forward_one_hot(words, offsets)


class FixedLengthGuide(LDAGuide):
    """The paper's non-exchangeable baseline, which reads the first words of a document in order.

    A network reads the concatenated embeddings of the first ``length`` words. Shorter documents are
    padded with zeros, and words beyond the length are ignored.

    Parameters
    ----------
    model
        The model.
    length
        Number of words that the network reads.
    embedding_size
        Size of a word's embedding.
    readout_sizes
        Sizes of the hidden layers.
    **options
        Arguments of :class:`LDAGuide`.
    """

    def __init__(
        self,
        model: LDA,
        *,
        length: int = 100,
        embedding_size: int = 32,
        readout_sizes: Sequence[int] = (128, 128),
        **options,
    ) -> None:
        super().__init__(model, **options)
        self.length = length
        self.embedding = nn.Embedding(model.vocabulary_size, embedding_size)
        self.readout = multilayer_perceptron(
            [length * embedding_size, *readout_sizes, 1 + model.num_topics]
        )

    def encode(self, words: Tensor, offsets: Tensor) -> Tensor:
        """Apply the fixed-length network, shape (documents, 1 + topics)."""
        positions = offsets[:-1, None] + torch.arange(self.length, device=words.device)
        real = positions < offsets[1:, None]
        embedded = self.embedding(words[positions.clamp(max=len(words) - 1)])
        return self.readout((embedded * real.unsqueeze(-1)).flatten(1))
