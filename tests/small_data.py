"""Small data of either kind, for tests of what models and guides have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import stats
from scipy.sparse import csr_matrix

from exvae.data.corpora import Corpus

from .data.quantified.quantifier_output import draw_cell, write_kallisto_plaintext

NUM_CELLS, NUM_GENES, ISOFORMS_OF_A_GENE, NUM_BOOTSTRAPS = 24, 8, 3, 4


def draw_cells(seed: int = 0) -> AnnData:
    """Draw cells of two types in two batches, their isoforms with bootstraps."""
    rng = np.random.default_rng(seed)
    num_isoforms = NUM_GENES * ISOFORMS_OF_A_GENE
    types, batches = np.arange(NUM_CELLS) % 2, np.arange(NUM_CELLS) // 2 % 2
    profiles = rng.gamma(0.5, 20, (2, num_isoforms))
    depth = rng.lognormal(0, 0.3, (NUM_CELLS, 1))
    estimates = rng.poisson(depth * profiles[types]).astype(np.float32)
    bootstraps = rng.poisson(estimates, (NUM_BOOTSTRAPS, *estimates.shape)).astype(np.float32)
    genes = [f"gene{number // ISOFORMS_OF_A_GENE}" for number in range(num_isoforms)]
    reads, classes = draw_classes(estimates.astype(np.int64), rng)
    return AnnData(
        csr_matrix(estimates),
        obs=pd.DataFrame(
            {"cell_type": [f"type{t}" for t in types], "batch": [f"batch{b}" for b in batches]},
            index=[f"cell{number}" for number in range(NUM_CELLS)],
        ),
        var=pd.DataFrame(
            {"gene": genes}, index=[f"isoform{number}" for number in range(num_isoforms)]
        ),
        layers={f"infRep{n + 1}": csr_matrix(own) for n, own in enumerate(bootstraps)},
        obsm={"reads": reads},
        uns={"reads": classes},
    )


def draw_classes(counts: np.ndarray, rng: np.random.Generator) -> tuple[csr_matrix, dict]:
    """Let half of the reads fit one isoform, and the others all isoforms of a gene.

    Parameters
    ----------
    counts
        Reads, shape (cells, isoforms), the isoforms of a gene one after another.
    rng
        Source of the random numbers.
    """
    num_isoforms = counts.shape[1]
    alone = rng.binomial(counts, 0.5)
    shared = (counts - alone).reshape(len(counts), -1, ISOFORMS_OF_A_GENE).sum(-1)
    sizes = np.repeat([1, ISOFORMS_OF_A_GENE], [num_isoforms, shared.shape[1]])
    members = np.tile(np.arange(num_isoforms, dtype=np.int32), 2)
    classes = {
        "starts": np.concatenate([[0], np.cumsum(sizes)]),
        "members": members,
        "weights": 1 / (1000.0 + 10 * members),
        "isoforms": np.array([f"isoform{number}" for number in range(num_isoforms)], object),
    }
    return csr_matrix(np.hstack([alone, shared]).astype(np.int32)), classes


def draw_expression(seed: int = 0) -> AnnData:
    """Draw the cells with layers of expression and states, as of a posterior known to be Gamma."""
    adata = draw_cells(seed)
    estimates = adata.X.toarray().astype(float)
    posterior = stats.gamma(estimates + 0.5)
    adata.layers["expression"] = posterior.mean().astype(np.float32)
    adata.layers["expression_sd"] = posterior.std().astype(np.float32)
    for level in (0.025, 0.25, 0.75, 0.975):
        adata.layers[f"expression_q{level:g}"] = posterior.ppf(level).astype(np.float32)
    adata.obsm["X_exvae"] = np.random.default_rng(seed).normal(size=(NUM_CELLS, 3))
    return adata


def draw_corpus(seed: int = 0) -> Corpus:
    """Draw documents of two topics over twenty words."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(20, 0.2), 2)
    lengths = rng.integers(3, 12, 30)
    words = [rng.choice(20, n, p=topics[number % 2]) for number, n in enumerate(lengths)]
    return Corpus(
        words=np.concatenate(words).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        vocabulary=np.array([f"word{number}" for number in range(20)]),
    )


def write_data(folder: Path) -> None:
    """Write the cells, ``expression.h5ad``, ``corpus.tsv`` and ``news.csv``, which pages name."""
    draw_cells().write_h5ad(folder / "cells.h5ad")
    draw_expression().write_h5ad(folder / "expression.h5ad")
    corpus = draw_corpus()
    words = np.split(corpus.vocabulary[corpus.words], corpus.offsets[1:-1])
    lines = [" ".join(own) + "\n" for own in words]
    (folder / "corpus.tsv").write_text("".join(lines), encoding="utf-8")
    news = draw_texts().rename(columns={"text": "body", "label": "section"})
    news.to_csv(folder / "news.csv", index=False)


def write_quantified(folder: Path) -> None:
    """Write ``quantified``, 20 cells of kallisto, and ``t2g.tsv`` and ``cells.csv`` about them."""
    cells = [draw_cell(seed=seed, bootstraps=3) for seed in range(20)]
    for number, cell in enumerate(cells):
        write_kallisto_plaintext(folder / "quantified" / f"cell{number}", cell)
    rows = [f"{name}\tgene{n // 20}\n" for n, name in enumerate(cells[0].transcripts)]
    (folder / "t2g.tsv").write_text("".join(rows), encoding="utf-8")
    cell_types = [f"type{number % 2}" for number in range(20)]
    table = pd.DataFrame({"cell": [f"cell{n}" for n in range(20)], "cell_type": cell_types})
    table.to_csv(folder / "cells.csv", index=False)


def draw_texts(seed: int = 0) -> pd.DataFrame:
    """Draw 40 texts of 8 words, on the weather and on sport in turn."""
    rng = np.random.default_rng(seed)
    weather = "rain wind cloud sun storm cold heat snow forecast thunder"
    sport = "goal match striker team coach penalty league win season player"
    subjects = {"weather": weather.split(), "sport": sport.split()}
    labels = [*subjects] * 20
    texts = []
    for label in labels:
        words = rng.choice(subjects[label], 8)
        texts.append(f"The {' and '.join(words[:4])}. {' '.join(words[4:]).capitalize()}!")
    ids = [f"text{number}" for number in range(40)]
    return pd.DataFrame({"id": ids, "text": texts, "label": labels})
