"""The main jobs on small simulated data sets with known truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from ..data.corpora import halve, select_split, split_corpus, write_corpus
from ..data.corpus_formats import read_corpus
from ..data.h5ad.reading import read_cells
from ..data.isoform_truth import read_truth
from ..data.simulators.cells import SimulationOptions, simulate_cells
from ..data.simulators.documents import SimulatedCorpus, simulate_corpus
from ..data.simulators.expression import draw_simple_expression
from ..data.simulators.gene_structures import draw_transcripts
from . import pl
from .drawing.embeddings import draw_states
from .drawing.lda import draw_topics
from .drawing.saving import save
from .drawing.training import draw_training
from .fitting import fits
from .fitting.training import TrainingConfig
from .isoforms import evaluation, exporting, inference
from .isoforms import fitting as isoforms
from .isoforms.exported import ESTIMATES, read_exported
from .isoforms.settings import IsoformConfig
from .lda import completion, tables
from .lda import evaluation as topic_evaluation
from .lda import fitting as lda
from .lda.comparison import match_topics

# Figures that are printed.
OF_TOPICS = ("documents", "perplexity", "perplexity_amortised")
OF_ISOFORMS = (
    *("cells", "isoforms", "nll_point_estimates", "coverage", "rmse_log1p"),
    *("rmse_log1p_bootstraps", "rmse_log1p_quantifier", "adjusted_rand_index"),
)


def chosen(measured: dict[str, object], names: Sequence[str]) -> dict[str, object]:
    """Choose figures by name."""
    return {name: measured[name] for name in names}


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
    measured = chosen(topic_evaluation.evaluate(fit, corpus), OF_TOPICS)
    pictures = [folder / "topics.png", folder / "training.png"]
    save(draw_topics(tables.top_words(fit, 8)), pictures[0])
    save(draw_training(fits.read_metrics(fit_folder)), pictures[1])
    similarity = match_topics(simulated.topic_words, fit.guide.topics.mean().cpu().numpy())[1]
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
    path = folder / "cells.h5ad"
    simulate_isoforms(path, 120, 80, 20, num_types=3, depth=2400.0, seed=seed)
    cells = read_cells(path)
    fit_folder = folder / "fit"
    training = TrainingConfig(epochs=60, batch_size=32, learning_rate=5e-3, seed=seed)
    isoforms.fit(cells, IsoformConfig(), training, fit_folder, train_fraction=1.0)
    fit = isoforms.load(fit_folder)
    found = evaluation.evaluate(fit, cells, truth=read_truth(path, cells), likelihood_samples=10)
    measured = chosen(found, OF_ISOFORMS)
    exported = folder / "exported.h5ad"
    exporting.export(fit, path, exported)
    pictures = [folder / name for name in ("states.png", "gene.png", "training.png")]
    positions = np.arange(cells.num_cells)
    states = inference.mean_states(fit.guide, fit.source(cells), positions)
    save(draw_states(states, cells.obs["cell_type"].astype(str)).figure, pictures[0])
    gene = most_switching_gene(anndata.read_h5ad(path))
    shown, interval = read_exported(exported, [gene], "cell_type")
    options = {"interval": interval, "estimates": ESTIMATES}
    save(pl.gene(shown, gene, "cell_type", **options), pictures[1])
    save(draw_training(fits.read_metrics(fit_folder)), pictures[2])
    return {**measured, "pictures": [str(picture) for picture in pictures]}


def simulate_isoforms(
    out: Path,
    num_cells: int,
    num_isoforms: int,
    num_bootstraps: int,
    *,
    num_types: int,
    depth: float,
    seed: int,
) -> None:
    """Simulate cells and write them to an ``.h5ad``, with ``depth`` reads on average."""
    generator = np.random.default_rng(seed)
    transcripts = draw_transcripts(num_isoforms, generator)
    num_genes = len(transcripts.gene_lengths)
    # So few isoforms tell cell types apart only if the types change every gene.
    expression = draw_simple_expression(
        num_cells, num_types, num_genes, depth, generator, changed_share=1.0
    )
    simulate_cells(
        out,
        transcripts,
        expression.molecules,
        expression.cell_types,
        generator,
        SimulationOptions(num_bootstraps),
        provenance={**expression.provenance, "seed": seed},
    )


def most_switching_gene(cells: AnnData) -> str:
    """Name the gene with most reads among genes that switch isoforms between cell types."""
    reads = pd.Series(np.asarray(cells.X.sum(0)).ravel(), cells.var_names)
    chosen = cells.var["switching"].to_numpy()
    return str(reads[chosen].groupby(cells.var["gene"][chosen].astype(str)).sum().idxmax())


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
