"""Document completion: infer topics from one half of a document, predict the other half."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ...data.corpora import Corpus, halve
from ...data.document_batches import DocumentBatch
from ...guides.lda import LDAGuide

# Number of documents encoded at once, which bounds memory.
INFERENCE_BATCH = 1024
# Number of held-out documents scored after each epoch.
MONITORED_DOCUMENTS = 2000


def batches(
    corpus: Corpus, device: torch.device, *, block_size: int = INFERENCE_BATCH
) -> Iterator[DocumentBatch]:
    """Gather a corpus in blocks of ``block_size`` documents, in order."""
    tensors = corpus.tensors(device)
    for start in range(0, corpus.num_documents, block_size):
        yield tensors.successive(start, min(start + block_size, corpus.num_documents))


def infer(
    guide: LDAGuide, corpus: Corpus, *, steps: int, block_size: int = INFERENCE_BATCH
) -> Tensor:
    """Posterior mean topic proportions, shape (documents, topics), on the CPU.

    Documents without words get the prior mean.

    Parameters
    ----------
    guide
        A guide in evaluation mode.
    corpus
        Documents in the vocabulary of the guide.
    steps
        Number of refinement steps after the encoder.
    block_size
        Number of documents encoded at once.
    """
    device = guide.topics.concentration.device
    has_words = corpus.lengths > 0
    if not has_words.all():
        prior = guide.model.document_topics_prior().mean.cpu()
        found = prior.repeat(corpus.num_documents, 1)
        if has_words.any():
            own = infer(guide, corpus.select(has_words), steps=steps, block_size=block_size)
            found[torch.from_numpy(has_words)] = own
        return found
    proportions = [
        guide.infer(batch.words, batch.offsets, steps=steps)
        for batch in batches(corpus, device, block_size=block_size)
    ]
    return torch.cat(proportions).cpu()


def completion_perplexity(
    guide: LDAGuide,
    observed: Corpus,
    held_out: Corpus,
    *,
    steps: int,
    block_size: int = INFERENCE_BATCH,
) -> float:
    """Perplexity of the held-out halves of documents given the observed halves.

    exp(-sum log(sum_k E[theta_dk] E[phi_kw]) / held-out words); :func:`~exvae.data.corpora.halve`
    makes the halves.
    """
    proportions = infer(guide, observed, steps=steps, block_size=block_size)
    return perplexity(proportions, guide.topics.mean().cpu(), held_out, block_size=block_size)


def perplexity(
    document_topics: Tensor,
    topic_words: Tensor,
    held_out: Corpus,
    *,
    block_size: int = INFERENCE_BATCH,
) -> float:
    """Perplexity of held-out words given point estimates of theta and phi.

    Arguments as for :func:`log_prob_of_words`.
    """
    log_prob = log_prob_of_words(document_topics, topic_words, held_out, block_size=block_size)
    return math.exp(-log_prob / held_out.num_tokens)


def log_prob_of_words(
    document_topics: Tensor,
    topic_words: Tensor,
    held_out: Corpus,
    *,
    block_size: int = INFERENCE_BATCH,
) -> float:
    """Log probability (nats) of held-out words given point estimates of theta and phi.

    Parameters
    ----------
    document_topics
        Topic proportions theta, shape (documents, topics).
    topic_words
        Word probabilities phi, shape (topics, vocabulary).
    held_out
        The words to predict.
    block_size
        Number of documents scored at once.
    """
    total = 0.0
    # float64, transposed so that a word's probabilities are contiguous.
    word_topics = topic_words.double().T.contiguous()
    for batch in batches(held_out, torch.device("cpu"), block_size=block_size):
        proportions = document_topics[batch.indices].double()
        proportions = proportions.repeat_interleave(batch.offsets.diff(), 0)
        total += float(torch.linalg.vecdot(proportions, word_topics[batch.words]).log().sum())
    return total


class Monitor:
    """Perplexity of held-out documents after each epoch, refined and amortised.

    Parameters
    ----------
    guide
        The guide in training.
    corpus
        A corpus with splits.
    split
        The held-out split.
    seed
        Seed of the choice of documents if there are more than :data:`MONITORED_DOCUMENTS`.
    """

    def __init__(self, guide: LDAGuide, corpus: Corpus, split: str, seed: int) -> None:
        self.guide = guide
        self.halves: tuple[Corpus, Corpus] | None = None
        positions = np.flatnonzero((corpus.splits == split) & (corpus.lengths >= 2))
        if len(positions):
            chosen = np.random.default_rng(seed).permutation(positions)[:MONITORED_DOCUMENTS]
            self.halves = halve(corpus.select(np.sort(chosen)))

    def __call__(self) -> dict[str, float]:
        """Compute both perplexities; an empty dict if no document is held out."""
        if self.halves is None:
            return {}
        with torch.random.fork_rng():  # draws of the guide must not change the training
            return {
                "perplexity": completion_perplexity(self.guide, *self.halves, steps=5),
                "perplexity_amortised": completion_perplexity(self.guide, *self.halves, steps=0),
            }
