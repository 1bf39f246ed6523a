"""Accuracy of the model of reads and of effective reads, by ambiguity and by number of cells.

Fits both models to some of the cells, chosen at random, for each number of cells and each seed.
Measured are seconds of the fit, the root mean squared error of log(1 + expression), the shares of
50, 80 and 95 % intervals that hold the truth (of all entries by ranks), the median width of 80 %
intervals, and the agreement of k-means with the true types (adjusted Rand index). By ambiguity they
are those of expressed entries with the most cells and the first seed. A gene's ambiguity is the
share of its reads, over all cells, that fit several of its isoforms; genes of one isoform are
apart.

    python experiments/benchmarks/reads_accuracy.py CELLS.h5ad --truth TRUTH.npz --out reads.png
"""

from __future__ import annotations

import argparse
import time
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix

from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import IsoformTruth, read_truth
from exvae.data.random_draws import sample_positions
from exvae.data.reads.classes import ClassCounts
from exvae.experiments.drawing.saving import save
from exvae.experiments.drawing.style import BLACK, label, new_figure, style_of
from exvae.experiments.figures.isoform_models import EFFECTIVE_READS
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting, inference, settings
from exvae.experiments.isoforms.calibration import COVERAGES, EXPRESSED, WIDTH_OF, Calibration
from exvae.experiments.isoforms.evaluation import rand_index
from exvae.experiments.isoforms.expression import posteriors_of_expression

MODELS = {"reads": "reads", EFFECTIVE_READS: "effective-reads"}
FIGURES = {
    "error": "RMSE of log1p",
    "coverage": "share of 80 % intervals that hold",
    "width": "median width (log1p)",
}
# Genes of several isoforms are divided into so many groups by ambiguity.
_GROUPS = 4


def ambiguity(classes: ClassCounts, genes: np.ndarray) -> np.ndarray:
    """Share of the reads of the gene of each isoform that fit several of its isoforms.

    Reads that fit several genes count for each. ``genes`` are codes, shape (isoforms,), and so has
    the result; it is 0 for genes without reads.
    """
    ones = np.ones(len(classes.members))
    shape = (len(classes.starts) - 1, genes.max() + 1)
    number = csr_matrix((ones, genes[classes.members], classes.starts), shape)
    number.sum_duplicates()
    reads = np.asarray(classes.counts.sum(0)).ravel()
    several = (number > 1).T @ reads
    return (several / np.maximum((number > 0).T @ reads, 1))[genes]


def groups_of(classes: ClassCounts, genes: np.ndarray) -> dict[str, np.ndarray]:
    """Which isoforms, shape (isoforms,), bool, belong to each group of genes by ambiguity."""
    several = np.bincount(genes)[genes] > 1
    share = ambiguity(classes, genes)
    ends = np.quantile(share[several], np.linspace(0, 1, _GROUPS + 1))
    place = np.searchsorted(ends[1:-1], share, side="right")
    found = {"one isoform": ~several}
    for number in range(_GROUPS):
        name = f"{100 * ends[number]:.0f} to {100 * ends[number + 1]:.0f} %"
        found[name] = several & (place == number)
    return found


def fitted(adata: anndata.AnnData, model: str, epochs: int, seed: int) -> fitting.IsoformFit:
    """Fit a model to all cells."""
    training = TrainingConfig(epochs, settings.BATCH_SIZE, settings.LEARNING_RATE, seed)
    with TemporaryDirectory() as folder:
        out = Path(folder) / "fit"
        config = settings.IsoformConfig(model)
        fitting.fit(read_cells(adata), config, training, out, train_fraction=1.0)
        return fitting.load(out, "cpu")


def calibrated(
    fit: fitting.IsoformFit, adata: anndata.AnnData, truth: IsoformTruth
) -> tuple[Calibration, float]:
    """Compare posteriors of all entries with the truth; also gives the index of the types."""
    cells = read_cells(adata)
    source, positions, calibration = fit.source(cells), np.arange(adata.n_obs), Calibration()
    torch.manual_seed(0)
    for rows, posterior in posteriors_of_expression(
        fit, source, positions, settings.POSTERIOR_SAMPLES
    ):
        expected = torch.as_tensor(truth.expected[rows], dtype=torch.float32)
        expressed = cells.mean_bootstraps[rows].toarray() > EXPRESSED
        calibration.add(posterior, expected, torch.as_tensor(expressed))
    states = inference.mean_states(fit.guide, source, positions)
    return calibration, rand_index(states, truth.cell_types)


def of_all_entries(calibration: Calibration) -> dict[str, object]:
    """Error of all entries, and the shares of intervals of expressed and of all that hold."""
    figures = calibration.figures()
    return {
        "error of all": figures["rmse_log1p"],
        "intervals": in_percent(figures["coverage"]),
        "of all": in_percent(figures["coverage_all"]),
    }


def in_percent(shares: dict[str, float]) -> str:
    """Write the shares of intervals that hold the truth, lowest level first."""
    return "/".join(f"{100 * share:.1f}" for share in shares.values())


def root_mean_square(values: np.ndarray) -> float:
    """Root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def by_isoforms(calibration: Calibration, num_isoforms: int) -> dict[str, np.ndarray]:
    """Entries of a calibration, each of shape (cells, isoforms)."""
    level = COVERAGES.index(WIDTH_OF)
    parts = [{**part, "inside": part["inside"][level]} for part in calibration.parts]
    names = ("error", "inside", "width", "expressed")
    return {
        name: np.concatenate([part[name] for part in parts]).reshape(-1, num_isoforms)
        for name in names
    }


def summary(entries: dict[str, np.ndarray], chosen: np.ndarray) -> dict[str, float]:
    """Figures of the expressed entries of the chosen isoforms, shape (isoforms,), bool."""
    expressed = entries["expressed"] & chosen
    return {
        "error": root_mean_square(entries["error"][expressed]),
        "coverage": float(entries["inside"][expressed].mean()),
        "width": float(np.median(entries["width"][expressed])),
    }


def measure(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit all; figures by number of cells and seed, and with the most cells by ambiguity."""
    adata = anndata.read_h5ad(options.cells)
    cells = read_cells(adata)
    truth = read_truth(options.truth or options.cells, cells)
    groups = groups_of(cells.reads, np.unique(cells.genes, return_inverse=True)[1])
    by_number, by_ambiguity = [], []
    for seed, number, (name, model) in product(options.seeds, options.numbers, MODELS.items()):
        rows = sample_positions(np.arange(adata.n_obs), number, seed)
        part = adata[rows].copy()
        started = time.perf_counter()
        fit = fitted(part, model, options.epochs, seed)
        seconds = time.perf_counter() - started
        calibration, index = calibrated(fit, part, truth.select(rows))
        entries = by_isoforms(calibration, adata.n_vars)
        of_fit = {"model": name, "cells": len(rows), "seed": seed, "seconds": seconds}
        expressed = summary(entries, np.ones(adata.n_vars, bool))
        by_number.append({**of_fit, **expressed, **of_all_entries(calibration), "types": index})
        if number == max(options.numbers) and seed == options.seeds[0]:
            by_ambiguity += [
                {"model": name, "ambiguity": group, **summary(entries, chosen)}
                for group, chosen in groups.items()
            ]
    return pd.DataFrame(by_number), pd.DataFrame(by_ambiguity)


def draw(by_number: pd.DataFrame, by_ambiguity: pd.DataFrame, out: Path) -> None:
    """Draw a row of axes for each table."""
    figure, axes = new_figure(2, len(FIGURES), width=3.2, height=2.6)
    by_number = by_number.groupby(["model", "cells"], as_index=False).mean(numeric_only=True)
    for row, (table, x) in zip(
        axes, ((by_number, "cells"), (by_ambiguity, "ambiguity")), strict=True
    ):
        for axis, (name, text) in zip(row, FIGURES.items(), strict=True):
            for place, model in enumerate(MODELS):
                own = table[table["model"] == model]
                axis.plot(own[x].astype(str), own[name], label=model, **style_of(place))
            if name == "coverage":
                axis.axhline(WIDTH_OF, color=BLACK, linewidth=0.8)
                axis.set_ylim(0.6, 1)
            else:
                axis.set_ylim(0, 1.1 * table[name].max())
            label(axis, "", x, text)
    for axis in axes[1]:
        axis.tick_params(axis="x", labelrotation=30)
    axes[0, 0].legend(frameon=False, fontsize=8)
    save(figure, out)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path, help="with reads by class")
    parser.add_argument("--truth", type=Path, help="an .npz; by default simulated cells hold it")
    parser.add_argument("--numbers", type=int, nargs="+", default=[50, 150, 600])
    parser.add_argument("--epochs", type=int, default=settings.EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="picture to draw")
    options = parser.parse_args()
    tables = measure(options)
    for table in tables:
        print(table.round(3).to_string(index=False), end="\n\n")
    if options.out:
        draw(*tables, options.out)


if __name__ == "__main__":
    main()
