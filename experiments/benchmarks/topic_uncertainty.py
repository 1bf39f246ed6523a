"""Coverage of the intervals of topic proportions in held-out documents, and its cost.

    python experiments/benchmarks/topic_uncertainty.py --lengths 30 100 300 --seeds 0 1 2

Each seed simulates a corpus, fits it, and infers held-out documents in three ways: the Dirichlet of
the guide after five refinement steps, draws given the fitted topics, and the same draws given the
true topics and concentration. Coverage counts all pairs of document and topic, and apart from that
the pairs whose true proportion exceeds 0.01. Choosing pairs by their truth biases even exact
intervals; the draws given the truth show by how much. A topic counts as found if its cosine
with the matched true topic exceeds 0.95.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from exvae.data.corpora import Corpus
from exvae.data.simulators.documents import SimulatedCorpus, simulate_corpus
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import fitting
from exvae.experiments.lda.completion import infer
from exvae.experiments.lda.uncertainty import NUM_SAMPLES, topic_uncertainty
from exvae.guides.lda import LDAGuide

LEVELS = (0.5, 0.8, 0.95)
BOUNDS = tuple((1 + sign * level) / 2 for level in LEVELS for sign in (-1, 1))
REFINEMENT_STEPS = 5
SMALLEST_SHARE = 0.01
SMALLEST_COSINE = 0.95
VOCABULARY_SIZE = 1000


@dataclass(frozen=True)
class Example:
    """A fitted guide, held-out documents, and their truth.

    Attributes
    ----------
    guide
        The guide in evaluation mode.
    documents
        The held-out documents.
    proportions
        True topic proportions, shape (documents, topics), in the order of the guide's topics.
    topic_words
        True topics, shape (topics, vocabulary), in the same order.
    concentration
        True alpha.
    found
        Number of true topics that the guide has found.
    """

    guide: LDAGuide
    documents: Corpus
    proportions: Tensor
    topic_words: Tensor
    concentration: float
    found: int


def fit_example(
    length: float, concentration: float, seed: int, arguments: argparse.Namespace
) -> Example:
    """Simulate a corpus of documents of this mean length and alpha, and fit it."""
    total = arguments.documents + arguments.held_out
    simulated = simulate_corpus(
        total,
        arguments.topics,
        VOCABULARY_SIZE,
        length,
        document_concentration=concentration,
        seed=seed,
    )
    splits = np.where(np.arange(total) < arguments.documents, "train", "test")
    corpus = replace(simulated.corpus, splits=splits)
    training = TrainingConfig(arguments.epochs, 128, 5e-3, seed, "cpu")
    with TemporaryDirectory() as folder:
        fitting.fit(corpus, fitting.LDAConfig(arguments.topics), training, Path(folder) / "fit")
        guide = fitting.load(Path(folder) / "fit", "cpu").guide
    return match(guide, corpus, simulated, concentration)


def match(
    guide: LDAGuide, corpus: Corpus, simulated: SimulatedCorpus, concentration: float
) -> Example:
    """Put the true topics in the order of the fitted ones."""
    fitted, truth = guide.topics.mean().double().numpy(), simulated.topic_words
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (fitted, truth))
    cosines = one @ other.T
    own, order = linear_sum_assignment(-cosines)
    held_out = corpus.splits == "test"
    return Example(
        guide,
        corpus.select(held_out),
        torch.from_numpy(simulated.document_topics[held_out][:, order]),
        torch.from_numpy(truth[order]),
        concentration,
        int((cosines[own, order] > SMALLEST_COSINE).sum()),
    )


def given_the_truth(example: Example) -> LDAGuide:
    """Copy the guide with the true topics and alpha."""
    model, guide = copy.deepcopy((example.guide.model, example.guide))
    model.document_concentration.fill_(example.concentration)
    guide.topics.concentration.copy_(example.topic_words.clamp(min=1e-30) * 1e6)
    return guide


def quantiles_of_guide(example: Example) -> Tensor:
    """Quantiles of the guide's Dirichlet, shape (quantiles, documents, topics), by 400 draws."""
    documents = example.documents
    batch = documents.batch(range(documents.num_documents))
    concentration = example.guide.infer_concentration(
        batch.words, batch.offsets, steps=REFINEMENT_STEPS
    )
    draws = torch.distributions.Dirichlet(concentration).sample((400,))
    return draws.quantile(torch.tensor(BOUNDS), 0)


def coverage(quantiles: Tensor, truth: Tensor) -> dict[str, float]:
    """Percentages of true proportions inside the intervals.

    Parameters
    ----------
    quantiles
        At :data:`BOUNDS`, shape (quantiles, documents, topics).
    truth
        True proportions, shape (documents, topics).
    """
    found = {}
    for label, chosen in (("all", truth >= 0), ("above", truth > SMALLEST_SHARE)):
        for level, low, high in zip(LEVELS, quantiles[::2], quantiles[1::2], strict=True):
            held = (low <= truth) & (truth <= high)
            found[f"{label} {level:.0%}"] = 100 * held[chosen].float().mean().item()
    return found


def measure(example: Example, num_samples: int) -> Iterator[dict[str, float | str]]:
    """Yield a row for each way to infer: coverage and milliseconds per document."""
    per_document = 1000 / example.documents.num_documents
    # The first call loads and compiles, which is not timed.
    first = example.documents.select([0])
    infer(example.guide, first, steps=REFINEMENT_STEPS)
    topic_uncertainty(example.guide, first)
    started = time.perf_counter()
    infer(example.guide, example.documents, steps=REFINEMENT_STEPS)
    mean_only = (time.perf_counter() - started) * per_document
    truth = example.proportions
    yield {
        "posterior": "Dirichlet of the guide",
        **coverage(quantiles_of_guide(example), truth),
        "ms": mean_only,
    }
    for name, guide in (
        ("draws", example.guide),
        ("draws given the truth", given_the_truth(example)),
    ):
        started = time.perf_counter()
        found = topic_uncertainty(
            guide, example.documents, quantiles=BOUNDS, num_samples=num_samples
        )
        seconds = time.perf_counter() - started
        yield {
            "posterior": name,
            **coverage(found.quantiles, truth),
            "ms": seconds * per_document,
        }


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=float, nargs="+", default=[30, 100, 300])
    parser.add_argument("--concentrations", type=float, nargs="+", default=[0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--topics", type=int, default=10)
    parser.add_argument("--documents", type=int, default=1500, help="to train on")
    parser.add_argument("--held-out", type=int, default=500, help="documents")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--samples", type=int, default=NUM_SAMPLES, help="draws of a document")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Print a row for each fit and way to infer, then the means over seeds."""
    arguments = parse_arguments()
    torch.set_num_threads(arguments.threads)
    rows = []
    for length in arguments.lengths:
        for concentration in arguments.concentrations:
            for seed in arguments.seeds:
                example = fit_example(length, concentration, seed, arguments)
                about = {"words": length, "alpha": concentration, "seed": seed}
                about["found"] = example.found
                rows += [about | row for row in measure(example, arguments.samples)]
    table = pd.DataFrame(rows)
    keys = ["words", "alpha", "posterior"]
    means = table.drop(columns="seed").groupby(keys, sort=False).mean().reset_index()
    for heading, part in (("each seed", table), ("means over seeds", means)):
        print(f"{heading}\n{part.to_string(index=False, float_format='{:.2f}'.format)}\n")


if __name__ == "__main__":
    main()
