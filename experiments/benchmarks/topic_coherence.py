"""Coherence of the top words of topic models, beside their perplexity.

    python experiments/benchmarks/topic_coherence.py CORPUS --topics 20 --seeds 0 1 2

Every method trains on the splits train and val. Its ten top words of each topic are scored by
gensim's c_npmi (Röder, Both & Hinneburg, 2015) with the whole corpus as reference: words occur
together within a document, or within a window of ten words, gensim's default. Top words are taken
by relevance with two weights, alike for all methods: 1 gives the most probable words, 0.6 is the
default of ``exvae lda topics``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from gensim.corpora import Dictionary
from gensim.models import CoherenceModel
from lda_methods import METHODS, Method, Task
from torch import from_numpy

from exvae.data.corpora import Corpus, halve, select_split, split_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.experiments.lda.completion import perplexity
from exvae.experiments.lda.tables import RELEVANCE

TOP = 10
WEIGHTS = (1.0, RELEVANCE)
WINDOW = 10


def scorer(corpus: Corpus, window: int) -> Callable[[np.ndarray], float]:
    """Make a function of top words, shape (topics, top), that gives the mean c_npmi of topics."""
    bounds = zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
    texts = [corpus.vocabulary[corpus.words[first:last]].tolist() for first, last in bounds]
    dictionary = Dictionary(texts)

    def score(words: np.ndarray) -> float:
        model = CoherenceModel(
            topics=corpus.vocabulary[words].tolist(),
            texts=texts,
            dictionary=dictionary,
            coherence="c_npmi",
            window_size=window,
            topn=words.shape[1],
            processes=1,
        )
        return model.get_coherence()

    return score


def top_words(topic_words: np.ndarray, share: np.ndarray, weight: float) -> np.ndarray:
    """Words of highest relevance, shape (topics, top).

    ``topic_words`` is phi, shape (topics, vocabulary), and ``share`` the share of each word in the
    corpus, shape (vocabulary,).
    """
    relevance = np.log(topic_words) - (1 - weight) * np.log(share)
    return np.argsort(-relevance, axis=1)[:, :TOP]


def train_and_infer(
    method: Method, train: Corpus, observed: Corpus
) -> tuple[np.ndarray, np.ndarray]:
    """Train; phi, shape (topics, vocabulary), and theta of observed halves, (documents, topics)."""
    method.train(method.convert(train), lambda: None)
    phi = np.asarray(method.topic_words(), np.float64)
    infer = next(iter(method.infer.values()))
    return phi, infer(method.documents(method.convert(observed)))


def main() -> None:
    """Print a row for each method and seed, then the medians over seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--topics", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="of exvae; by default its own")
    parser.add_argument("--threads", type=int, default=1)
    methods = ["exvae", "sklearn-online", "tomotopy"]
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=methods)
    arguments = parser.parse_args()
    corpus = split_corpus(read_corpus(arguments.corpus), seed=0)
    train = select_split(corpus, "train", "val")
    observed, held_out = halve(select_split(corpus, "test"), seed=0)
    share = (np.bincount(train.words, minlength=train.vocabulary_size) + 0.1) / train.num_tokens
    windows = {"documents": int(corpus.lengths.max()), f"{WINDOW} words": WINDOW}
    scorers = {name: scorer(corpus, window) for name, window in windows.items()}
    options = {"epochs": arguments.epochs, "scvi_epochs": 100, "device": "cpu"}
    rows = []
    for name in arguments.methods:
        for seed in arguments.seeds:
            task = Task(corpus.vocabulary, arguments.topics, seed, arguments.threads, **options)
            phi, theta = train_and_infer(METHODS[name][1](task), train, observed)
            row = {"method": name, "seed": seed}
            row["perplexity"] = perplexity(from_numpy(theta), from_numpy(phi), held_out)
            for window, score in scorers.items():
                for weight in WEIGHTS:
                    row[f"{window}, relevance {weight:g}"] = score(top_words(phi, share, weight))
            rows.append(row)
    table = pd.DataFrame(rows)
    medians = table.drop(columns="seed").groupby("method", sort=False).median().reset_index()
    for heading, part in (("each seed", table), ("medians over seeds", medians)):
        print(f"{heading}\n{part.round(4).to_string(index=False)}\n", flush=True)


if __name__ == "__main__":
    main()
