"""Negative log-likelihood of held-out cells: effective reads beside scVI.

The figure compares bounds on the probability of the same whole numbers, the rounded estimates:
scVI's probability mass, and the mass that effective reads give to the unit bin around each number
(``log_prob_of_point_estimates``). Beside them stands scVI of scvi-tools, where it is installed,
fitted to the same cells.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from ...data.cell_batches import CountTensors
from ..drawing.style import LIGHT_GREY, label, new_figure, show_legends, style_of
from ..isoforms import inference
from ..isoforms.evaluation import chosen_positions
from . import scvi_tools
from .isoform_comparison import compared
from .isoform_models import EFFECTIVE_READS, SCVI
from .workshop import Workshop

SCVI_TOOLS = "scVI of scvi-tools"
_ORDER = (EFFECTIVE_READS, SCVI, SCVI_TOOLS)


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
        if model == SCVI and scvi_tools.is_installed():
            everything = np.arange(known.cells.num_cells)
            counts = CountTensors(known.cells).estimates(everything)
            loss = scvi_tools.loss_of_held_out(
                counts.toarray(), positions, epochs, seed, num_samples
            )
            rows.append((SCVI_TOOLS, seed, loss))
    return pd.DataFrame(rows, columns=["model", "seed", "loss"])


def draw(table: pd.DataFrame) -> Figure:
    """Draw the losses of every seed, and the differences from effective reads."""
    figure, ((left, right),) = new_figure(1, 2)
    models = [model for model in _ORDER if model in set(table["model"])]
    wide = table.pivot(index="seed", columns="model", values="loss")
    for number, model in enumerate(models):
        style = {**style_of(number), "linestyle": "none"}
        left.plot(np.full(len(wide), number), wide[model], label=model, **style)
    for seed in wide.index:
        left.plot(range(len(models)), wide.loc[seed, models], color=LIGHT_GREY, zorder=0)
    label(left, "held-out cells, a line for each seed", "", "loss (nats per entry)")
    others = [model for model in models if model != EFFECTIVE_READS]
    for number, model in enumerate(others, start=1):
        difference = wide[model] - wide[EFFECTIVE_READS]
        style = {**style_of(number), "linestyle": "none"}
        right.errorbar(
            number, difference.mean(), yerr=difference.sem(), capsize=4, label=model, **style
        )
    right.axhline(0, color=LIGHT_GREY)
    right.set_xlim(0.5, len(others) + 0.5)
    label(
        right, f"difference from {EFFECTIVE_READS}", "", "mean and standard error (nats per entry)"
    )
    for axis in (left, right):
        axis.set_xticks([])
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Means over seeds, differences from effective reads, and the ratio of the two scVI."""
    wide = table.pivot(index="seed", columns="model", values="loss")
    found = {f"{model}: loss (nats per entry)": wide[model].mean() for model in wide}
    for model in wide:
        if model != EFFECTIVE_READS:
            difference = wide[model] - wide[EFFECTIVE_READS]
            found[f"{model} - {EFFECTIVE_READS}: mean"] = difference.mean()
            found[f"{model} - {EFFECTIVE_READS}: standard error"] = difference.sem()
    if SCVI_TOOLS in wide:
        relative = (wide[SCVI] / wide[SCVI_TOOLS] - 1).mean()
        found[f"{SCVI} / {SCVI_TOOLS} - 1, mean"] = relative
    return {name: float(value) for name, value in found.items()}
