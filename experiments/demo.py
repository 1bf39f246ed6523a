"""The main jobs on simulated data, small enough to watch, with the truth known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyro
import torch
from anndata import AnnData
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix

from ..data.cells import read_cells
from ..data.corpora import halve, select_split, split_corpus, write_corpus
from ..data.corpus_formats import read_corpus
from ..data.isoform_truth import IsoformTruth
from ..data.lda_simulator import SimulatedCorpus, simulate_corpus
from ..models.distributions import BootstrapZINB
from . import completion, fits, isoform_evaluation, isoform_export, isoform_inference, isoforms, lda
from .isoform_config import IsoformConfig
from .isoform_pictures import draw_gene, draw_states
from .isoform_pictures import draw_training as draw_isoform_training
from .pictures import draw_topics, draw_training
from .training import TrainingConfig


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


def demo_isoforms(folder: Path, seed: int) -> dict[str, object]:
    """Simulate cells of three types with bootstraps, fit them, and compare with the truth."""
    folder.mkdir(parents=True)
    simulated = simulate_cells(120, 80, 20, num_types=3, seed=seed)
    simulated.write_h5ad(folder / "cells.h5ad")
    cells = read_cells(folder / "cells.h5ad")
    fit_folder = folder / "fit"
    training = TrainingConfig(epochs=60, batch_size=32, learning_rate=5e-3, seed=seed)
    isoforms.fit(cells, IsoformConfig(), training, fit_folder, train_fraction=1.0)
    fit = isoforms.load(fit_folder)
    truth = IsoformTruth(
        simulated.layers["expected_counts"], simulated.obs["cell_type"].cat.codes.to_numpy()
    )
    measured = isoform_evaluation.evaluate(fit, cells, truth=truth, likelihood_samples=10)
    exported = folder / "exported.h5ad"
    isoform_export.export(fit, folder / "cells.h5ad", exported)
    pictures = [folder / name for name in ("states.png", "gene.png", "training.png")]
    positions = np.arange(cells.num_cells)
    states = isoform_inference.mean_states(
        fit.guide, isoforms.tensors_of(IsoformConfig(), cells, fit.device), positions
    )
    draw_states(states, simulated.obs["cell_type"], pictures[0])
    gene = str(simulated.var["gene"].iloc[0])
    draw_gene(isoform_export.read_gene(exported, gene, "cell_type"), gene, pictures[1])
    draw_isoform_training(fits.read_metrics(fit_folder), pictures[2])
    return {**measured, "pictures": [str(picture) for picture in pictures]}


def simulate_cells(
    num_cells: int, num_isoforms: int, num_bootstraps: int, *, num_types: int, seed: int
) -> AnnData:
    """Draw cells from the likelihood itself, isoforms in pairs to a gene.

    Types differ in the expression of genes; the truth is in ``obs["cell_type"]`` and
    ``layers["expected_counts"]``.
    """
    pyro.set_rng_seed(seed)
    types = torch.arange(num_cells) % num_types
    levels = (torch.randn(num_isoforms) + 1.5 * torch.randn(num_types, num_isoforms)).exp()
    depth = (0.3 * torch.randn(num_cells, 1)).exp()
    expected = (
        4
        * depth
        * levels[types]
        * torch.distributions.Gamma(4.0, 4.0).sample((num_cells, num_isoforms))
    )
    noise = BootstrapZINB(
        expected,
        torch.tensor(1e4),
        torch.tensor(-12.0),
        (0.5 * torch.randn(num_isoforms) - 0.5).exp(),
        torch.tensor(-6.0),
        num_bootstraps=num_bootstraps,
    )
    bootstraps = noise.sample()
    names = [f"isoform_{index}" for index in range(num_isoforms)]
    cells = AnnData(
        csr_matrix(bootstraps.mean(-1).numpy()),
        obs=pd.DataFrame(
            {
                "cell_type": pd.Categorical([f"type_{index}" for index in types]),
                "n_bootstraps": num_bootstraps,
            },
            index=[f"cell_{index}" for index in range(num_cells)],
        ),
        var=pd.DataFrame({"gene": [f"gene_{index // 2}" for index in range(num_isoforms)]}, names),
    )
    for index in range(num_bootstraps):
        cells.layers[f"infRep{index + 1}"] = csr_matrix(bootstraps[..., index].numpy())
    cells.layers["expected_counts"] = expected.numpy()
    return cells


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
