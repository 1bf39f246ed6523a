"""Negative log-likelihood of held-out cells: the model of bootstraps beside scVI.

Compared are bounds on the probability of the same whole numbers, the rounded estimates: scVI by its
probability mass, ours by the mass of the unit bin around each (``log_prob_of_point_estimates``).
Beside them, fitted to the same cells, stands scVI of scvi-tools, where it is installed.
"""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ...data.cell_batches import CountTensors
from ..drawing.figures import finish, label, panels, style_of
from ..isoforms import inference
from ..isoforms.evaluation import chosen_positions
from .isoform_comparison import OURS, SCVI, compared
from .workshop import Workshop

SCVI_TOOLS = "scVI of scvi-tools"
_ORDER = (OURS, SCVI, SCVI_TOOLS)


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``model``, ``seed``, ``loss`` (nats per entry of held-out cells)."""
    num_samples, epochs = workshop.choose((30, None), (2, 2))
    rows = []
    for model, seed, known, fit in compared(workshop):
        positions = chosen_positions(fit, known.cells, "held-out")
        torch.manual_seed(0)
        total = inference.log_prob_of_point_estimates(
            fit.model,
            fit.guide,
            CountTensors(known.cells, fit.device),
            positions,
            num_samples=num_samples,
        )
        entries = len(positions) * known.cells.num_isoforms
        rows.append((model, seed, -total / entries))
        if model == SCVI and find_spec("scvi"):
            counts = CountTensors(known.cells).estimates
            loss = loss_of_scvi_tools(counts.toarray(), positions, epochs, seed, num_samples)
            rows.append((SCVI_TOOLS, seed, loss))
    return pd.DataFrame(rows, columns=["model", "seed", "loss"])


def loss_of_scvi_tools(
    counts: np.ndarray, held_out: np.ndarray, epochs: int | None, seed: int, num_samples: int
) -> float:
    """Negative log-likelihood (nats per entry) of cells held out from SCVI of scvi-tools.

    Parameters
    ----------
    counts
        Whole reads, shape (cells, isoforms).
    held_out
        Positions of the cells held out, shape (held-out cells,).
    epochs
        As many as scvi-tools chooses if None.
    seed
        Of the fit.
    num_samples
        Of the latent variables, behind the bound.
    """
    import anndata
    import scvi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scvi.settings.seed = seed
        scvi.settings.verbosity = logging.ERROR  # otherwise it prints where results go
        trained_on = np.setdiff1d(np.arange(len(counts)), held_out)
        training = anndata.AnnData(counts[trained_on].astype(np.float32))
        scvi.model.SCVI.setup_anndata(training)
        model = scvi.model.SCVI(training, use_observed_lib_size=False)
        model.train(epochs, train_size=1.0, enable_progress_bar=False, logger=False)
        test = anndata.AnnData(counts[held_out].astype(np.float32))
        bound = model.get_marginal_ll(
            test, n_mc_samples=num_samples, batch_size=len(held_out), return_mean=True
        )
    return -float(bound) / counts.shape[1]


def draw(table: pd.DataFrame) -> Figure:
    """Draw every seed, and the difference from scVI."""
    figure, ((left, right),) = panels(1, 2)
    models = [model for model in _ORDER if model in set(table["model"])]
    wide = table.pivot(index="seed", columns="model", values="loss")
    for number, model in enumerate(models):
        style = {**style_of(number), "linestyle": "none"}
        left.plot(np.full(len(wide), number), wide[model], label=model, **style)
    for seed in wide.index:
        left.plot(range(len(models)), wide.loc[seed, models], color="#BBBBBB", zorder=0)
    label(left, "held-out cells, a line for each seed", "", "loss (nats per entry)")
    others = [model for model in models if model != OURS]
    for number, model in enumerate(others, start=1):
        difference = wide[model] - wide[OURS]
        style = {**style_of(number), "linestyle": "none"}
        right.errorbar(
            number, difference.mean(), yerr=difference.sem(), capsize=4, label=model, **style
        )
    right.axhline(0, color="#BBBBBB")
    right.set_xlim(0.5, len(others) + 0.5)
    label(right, f"above the {OURS}", "", "mean and standard error (nats per entry)")
    for axis in (left, right):
        axis.set_xticks([])
    return finish(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Means over seeds, differences from ours, and how far the two kinds of scVI are apart."""
    wide = table.pivot(index="seed", columns="model", values="loss")
    found = {f"{model}: loss (nats per entry)": wide[model].mean() for model in wide}
    for model in wide:
        if model != OURS:
            difference = wide[model] - wide[OURS]
            found[f"{model} - {OURS}: mean"] = difference.mean()
            found[f"{model} - {OURS}: standard error"] = difference.sem()
    if SCVI_TOOLS in wide:
        relative = (wide[SCVI] / wide[SCVI_TOOLS] - 1).mean()
        found[f"{SCVI} / {SCVI_TOOLS} - 1, mean"] = relative
    return {name: float(value) for name, value in found.items()}
