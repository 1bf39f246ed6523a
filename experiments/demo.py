"""The main jobs on simulated data, small enough to watch, with the truth known."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.optimize import linear_sum_assignment

from ..data.corpora import halve, select_split, split_corpus, write_corpus
from ..data.corpus_formats import read_corpus
from ..data.errors import DataError
from ..data.lda_simulator import SimulatedCorpus, simulate_corpus
from . import completion, fits, lda
from .pictures import draw_topics, draw_training
from .reports import report
from .training import TrainingConfig


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")] = Path("demo"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Run the main jobs on simulated data: figures and pictures in a few minutes."""
    if out.exists() and not (out / "lda").is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: holds other files; choose an empty --out")
    shutil.rmtree(out / "lda", ignore_errors=True)
    report({"lda": demo_lda(out / "lda", seed)}, as_json=json)


def demo_lda(folder: Path, seed: int) -> dict[str, object]:
    """Simulate a corpus, fit it, and compare with the truth."""
    folder.mkdir(parents=True)
    simulated = simulate_corpus(3000, 20, 2000, 80, document_concentration=0.08, seed=seed)
    write_corpus(simulated.corpus, folder / "corpus.npz")
    corpus = read_corpus(folder / "corpus.npz")
    fit_folder = folder / "fit"
    training = TrainingConfig(epochs=20, batch_size=128, learning_rate=5e-3, seed=seed)
    lda.fit(corpus, lda.LDAConfig(num_topics=20), training, fit_folder)
    fit = lda.load(fit_folder)
    measured = lda.evaluate(fit, corpus)
    pictures = [folder / "topics.png", folder / "training.png"]
    draw_topics(lda.top_words(fit, 8), pictures[0])
    draw_training(fits.read_metrics(fit_folder), pictures[1])
    similarity = matched_topics(simulated.topic_words, fit.guide.topics.mean().cpu().numpy())
    return {
        **measured,
        "perplexity_of_the_truth": true_perplexity(simulated, fit),
        "cosine_with_true_topics_median": float(np.median(similarity)),
        "cosine_with_true_topics_least": float(similarity.min()),
        "pictures": [str(picture) for picture in pictures],
    }


def matched_topics(true_topics: np.ndarray, fitted_topics: np.ndarray) -> np.ndarray:
    """Cosine of each true topic with the fitted one that it is matched to.

    Parameters
    ----------
    true_topics, fitted_topics
        Word probabilities, shape (topics, vocabulary).

    Returns
    -------
    numpy.ndarray
        Shape (topics,), under the matching of the largest sum.
    """
    left, right = (
        topics / np.linalg.norm(topics, axis=-1, keepdims=True)
        for topics in (true_topics, fitted_topics)
    )
    cosine = left @ right.T
    return cosine[linear_sum_assignment(cosine, maximize=True)]


def true_perplexity(simulated: SimulatedCorpus, fit: lda.LDAFit) -> float:
    """Perplexity of the test documents' second halves under the true theta and phi."""
    corpus = split_corpus(simulated.corpus, **fit.config["split"])
    chosen = np.flatnonzero((corpus.splits == "test") & (corpus.lengths >= 2))
    _, held_out = halve(select_split(corpus, "test"))
    return completion.perplexity(
        torch.from_numpy(simulated.document_topics[chosen]),
        torch.from_numpy(simulated.topic_words),
        held_out,
    )
