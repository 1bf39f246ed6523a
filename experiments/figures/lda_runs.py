"""Topic models that several figures show, and the scores of documents under them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pyro.distributions import Dirichlet
from torch import Tensor

from ...data.corpora import Corpus, halve, select_split, split_corpus
from ...data.simulators.documents import SimulatedCorpus, simulate_corpus
from ...guides.lda import LDAGuide
from ..fitting import fits
from ..fitting.devices import choose_device
from ..fitting.training import Trainer, TrainingConfig
from ..lda import evaluation, fitting
from ..lda.completion import batches, completion_perplexity
from .workshop import Workshop

SIMULATED = "simulated"
# The two guides that the paper compares, by their names on the command line.
EXCHANGEABLE, FIXED_LENGTH = "exchangeable", "fixed-length"

# Refinement steps after the encoder, the default of the command line.
REFINED = 5


@dataclass(frozen=True)
class LDASizes:
    """Sizes of the simulated corpus, and settings of the fits."""

    training_documents: int = 1000
    test_documents: int = 200
    num_topics: int = 10
    vocabulary_size: int = 500
    length: int = 100
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 5e-3
    corpus_topics: int = 20
    # Other corpora are larger, and fitted fewer times.
    corpus_epochs: int = 12
    corpus_seeds: int = 3
    # Samples of a document's topics behind a bound on its log probability.
    samples: int = 50


QUICK = LDASizes(
    60, 12, 3, 40, 20, epochs=2, batch_size=16, corpus_topics=3, corpus_epochs=2, samples=3
)


class LDARun(NamedTuple):
    """A fit, and the measurements after each epoch.

    Attributes
    ----------
    fit
        The fit.
    history
        Columns ``epoch``, ``steps``, ``seconds`` (of training alone), ``held_out_loss`` (nats per
        token), ``perplexity`` and ``perplexity_amortised`` (of document completion).
    """

    fit: fitting.LDAFit
    history: pd.DataFrame


def sizes_of(workshop: Workshop) -> LDASizes:
    """Sizes of this run."""
    return workshop.choose(LDASizes(), QUICK)


def simulated(workshop: Workshop, length: int) -> SimulatedCorpus:
    """Simulate documents of one length: first the training documents, then the test documents.

    Topics, and the topic proportions of the documents, are the same at every length.
    """
    sizes = sizes_of(workshop)
    return workshop.once(
        ("simulated", length),
        lambda: simulate_corpus(
            sizes.training_documents + sizes.test_documents,
            sizes.num_topics,
            sizes.vocabulary_size,
            length,
            lengths="fixed",
            seed=workshop.seed,
        ),
    )


def test_documents(workshop: Workshop, length: int) -> Corpus:
    """Simulated test documents of this length."""
    sizes = sizes_of(workshop)
    return simulated(workshop, length).corpus.select(slice(sizes.training_documents, None))


def corpus_of(workshop: Workshop, name: str) -> tuple[Corpus, Corpus]:
    """Training and test documents of a corpus."""
    if name == SIMULATED:
        length = sizes_of(workshop).length
        training = slice(sizes_of(workshop).training_documents)
        whole = simulated(workshop, length).corpus
        return whole.select(training), test_documents(workshop, length)
    whole = split_corpus(workshop.corpora[name], workshop.seed)
    return select_split(whole, "train", "val"), select_split(whole, "test")


def corpora_of(workshop: Workshop) -> list[str]:
    """Names of all corpora, the simulated one first."""
    return [SIMULATED, *workshop.corpora]


def seeds_of(workshop: Workshop, name: str) -> list[int]:
    """Seeds of the fits to a corpus."""
    number = None if name == SIMULATED else sizes_of(workshop).corpus_seeds
    return workshop.seeds[:number]


def run(
    workshop: Workshop, name: str, guide: str, seed: int, pooling: str = fitting.LDAConfig.pooling
) -> LDARun:
    """Fit a topic model to a corpus; the same model is fitted once."""
    key = ("lda", name, guide, pooling, seed)
    return workshop.once(key, lambda: _run(workshop, name, guide, seed, pooling))


def _run(workshop: Workshop, name: str, guide_name: str, seed: int, pooling: str) -> LDARun:
    sizes = sizes_of(workshop)
    training_documents, held_out = corpus_of(workshop, name)
    is_simulated = name == SIMULATED
    length = sizes.length if is_simulated else int(np.median(training_documents.lengths))
    config = fitting.LDAConfig(
        num_topics=sizes.num_topics if is_simulated else sizes.corpus_topics,
        guide=guide_name,
        pooling=pooling,
        options={"length": length} if guide_name == "fixed-length" else {},
    )
    training = TrainingConfig(
        sizes.epochs if is_simulated else sizes.corpus_epochs,
        sizes.batch_size,
        sizes.learning_rate,
        seed,
        "cpu",
    )
    torch.manual_seed(seed)
    size = training_documents.num_documents
    device = choose_device(training.device)
    documents, model, guide = fitting.prepare(training_documents, config, np.arange(size), device)
    folder = workshop.folder / "-".join(["lda", name, guide_name, pooling, str(seed)])
    folder.mkdir()
    described = {"data": {"training_documents": size}}
    fit = fitting.LDAFit(guide, training_documents.vocabulary, described, device)
    halves = halve(held_out)

    def monitor() -> dict[str, float]:
        with torch.random.fork_rng():
            loss = evaluation.loss_per_token(fit, held_out, seed=0)
        return {
            "held_out_loss": loss,
            "perplexity": completion_perplexity(guide, *halves, steps=REFINED),
            "perplexity_amortised": completion_perplexity(guide, *halves, steps=0),
        }

    Trainer(model, guide, documents, training, folder, monitor=monitor).train()
    history = fits.read_metrics(folder)
    history["steps"] = history["epoch"] * -(-size // sizes.batch_size)
    return LDARun(fit, history)


# Scores of documents


@torch.no_grad()
def negative_log_likelihood(
    guide: LDAGuide, corpus: Corpus, *, steps: int, num_samples: int, seed: int = 0
) -> float:
    """Bound on the negative log-likelihood of documents (nats per token) given E[phi].

    The bound is importance-weighted (Burda, Grosse & Salakhutdinov, 2016), with samples of q(theta)
    after ``steps`` refinements of the encoder's q.
    """
    torch.manual_seed(seed)
    total = 0.0
    for batch in batches(corpus, torch.device("cpu")):
        concentration = guide.infer_concentration(batch.words, batch.offsets, steps=steps)
        total += log_likelihood_bound(
            concentration,
            guide.model.document_concentration,
            guide.topics.mean(),
            batch.words,
            batch.offsets,
            num_samples=num_samples,
        )
    return -total / corpus.num_tokens


@torch.no_grad()
def log_likelihood_bound(
    concentration: Tensor,
    prior: Tensor,
    topic_words: Tensor,
    words: Tensor,
    offsets: Tensor,
    *,
    num_samples: int,
) -> float:
    """Importance-weighted bound on the log-likelihood (nats) of documents.

    Parameters
    ----------
    concentration
        Concentration of q(theta), shape (documents, topics).
    prior
        alpha, shape (topics,).
    topic_words
        phi, shape (topics, vocabulary).
    words, offsets
        The documents, shapes (words,) and (documents + 1,), int64.
    num_samples
        Samples of theta for each document.
    """
    # float64: theta of a topic that the document lacks can be as small as 1e-300.
    posterior, prior_distribution = Dirichlet(concentration.double()), Dirichlet(prior.double())
    word_topics = topic_words.double().T[words]
    lengths = offsets.diff()
    log_weights = []
    for _ in range(num_samples):
        theta = posterior.sample()
        log_weight = prior_distribution.log_prob(theta) - posterior.log_prob(theta)
        of_words = torch.linalg.vecdot(theta.repeat_interleave(lengths, 0), word_topics).log()
        documents = torch.arange(len(lengths)).repeat_interleave(lengths)
        log_weights.append(log_weight.index_add(0, documents, of_words))
    bound = torch.stack(log_weights).logsumexp(0) - math.log(num_samples)
    return float(bound.sum())


def unigram_loss(training: Corpus, test: Corpus) -> float:
    """Negative log-likelihood (nats per token) of test documents under training frequencies."""
    counts = np.bincount(training.words, minlength=training.vocabulary_size) + 0.01
    return float(-np.log(counts / counts.sum())[test.words].mean())
