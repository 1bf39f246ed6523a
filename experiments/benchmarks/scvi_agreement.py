"""Agreement of our scVI with the scVI of scvi-tools on the same cells, and reasons for differences.

Both are fitted to the same simulated cells and scored on the same held-out cells by the same code:
the importance-weighted bound of ``log_prob_of_point_estimates`` with our likelihood, given the
parameters from either decoder. Besides the defaults there are variants with one change each, down
to a pair with the same network sizes, priors, likelihood, learning rate, minibatches and epochs.

    python experiments/benchmarks/scvi_agreement.py --cells 2000 --isoforms 400 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pyro.distributions import LogNormal, Normal, TorchDistribution
from torch import Tensor

from exvae.data.cell_batches import CountTensors
from exvae.data.cells import Cells
from exvae.experiments.figures import scvi_tools
from exvae.experiments.figures.isoform_runs import IsoformSizes, simulated
from exvae.experiments.figures.workshop import Workshop
from exvae.experiments.fitting.training import Trainer, TrainingConfig
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.inference import log_prob_of_point_estimates
from exvae.experiments.isoforms.settings import (
    BATCH_SIZE,
    EPOCHS,
    LEARNING_RATE,
    IsoformConfig,
)
from exvae.guides.cells import CellGuide
from exvae.models.distributions.negative_binomial import ZINB
from exvae.models.scvi import SCVI

HELD_OUT = 0.2
# Sizes of all hidden layers of the matched pair.
HIDDEN = 64

# Options of SCVI of scvi-tools, and of its training plan.
FROM_THE_START = {"n_epochs_kl_warmup": None}
LIKE_OURS = {"n_hidden": HIDDEN, "dropout_rate": 0.0}
NORMALISED_ALIKE = {"use_batch_norm": "none", "use_layer_norm": "both"}
PLAN_LIKE_OURS = {**FROM_THE_START, "weight_decay": 0.0, "eps": 1e-8, "lr": LEARNING_RATE}


class Variant(NamedTuple):
    """A way to fit one of the two models.

    Attributes
    ----------
    name
        Name in the output.
    fit
        Takes cells, positions of the training cells, epochs and seed; gives model and guide.
    epochs
        ``short`` or ``long``.
    """

    name: str
    fit: Callable[[Cells, np.ndarray, int, int], tuple[Any, Any]]
    epochs: str


def fit_ours(hidden: int | None = None, **guide_options) -> Callable:
    """Fit our scVI, with other sizes of the hidden layers or options of the guide."""
    pooling = guide_options.pop("pooling", "mean")
    if hidden is not None:
        guide_options |= {"hidden_sizes": (hidden,), "element_sizes": (hidden,)}
    config = IsoformConfig("scvi", pooling=pooling, options=guide_options)

    def fit(cells: Cells, positions: np.ndarray, epochs: int, seed: int) -> tuple[SCVI, CellGuide]:
        torch.manual_seed(seed)
        data, model, guide = fitting.prepare(cells, config, positions, torch.device("cpu"))
        training = TrainingConfig(epochs, BATCH_SIZE, LEARNING_RATE, seed, "cpu")
        Trainer(model, guide, data, training).train()
        return model.eval(), guide.eval()

    return fit


def fit_scvi_tools(plan: dict[str, Any] | None = None, **options) -> Callable:
    """Fit SCVI of scvi-tools, with options of the model and of its training plan."""
    training = {"train_size": 1.0, "batch_size": BATCH_SIZE, "plan_kwargs": plan}

    def fit(cells: Cells, positions: np.ndarray, epochs: int, seed: int) -> tuple[Any, Any]:
        counts = CountTensors(cells).estimates(positions).toarray()
        model = scvi_tools.fit_scvi(
            counts, epochs, seed, training=training, use_observed_lib_size=False, **options
        )
        module = model.module.cpu().eval()
        return _as_model(module), SimpleNamespace(posteriors=_posteriors_of(module))

    return fit


def _as_model(module: Any) -> SimpleNamespace:
    """Give a module of scvi-tools the methods of our model that scoring calls."""
    mean = torch.as_tensor(module.library_log_means).float().reshape(1, 1)
    sd = torch.as_tensor(module.library_log_vars).float().reshape(1, 1).sqrt()
    zeros = torch.zeros(module.n_latent)
    priors = {"z": Normal(zeros, 1.0).to_event(1), "library": LogNormal(mean, sd)}

    def log_prob_of_counts(latents: dict[str, Tensor], batches: Tensor, counts: Tensor) -> Tensor:
        z, library = latents["z"].squeeze(-2), latents["library"].log()
        px = module.generative(z, library, batches.unsqueeze(-1))["px"]
        return ZINB(px.mu.clamp(min=1e-8), px.theta, px.zi_logits).log_prob(counts).sum(-1)

    return SimpleNamespace(priors=lambda batches: priors, log_prob_of_counts=log_prob_of_counts)


def _posteriors_of(module: Any) -> Callable[..., dict[str, TorchDistribution]]:
    def posteriors(counts: Tensor, offsets: Tensor, batches: Tensor) -> dict:
        inferred = module.inference(counts, batches.unsqueeze(-1))
        qz, ql = inferred["qz"], inferred["ql"]
        z = Normal(qz.loc.unsqueeze(-2), qz.scale.unsqueeze(-2)).to_event(1)
        return {"z": z, "library": LogNormal(ql.loc, ql.scale)}

    return posteriors


VARIANTS = [
    Variant("ours: defaults", fit_ours(), "short"),
    Variant("ours: defaults, long", fit_ours(), "long"),
    Variant("ours: no isoform hidden", fit_ours(input_dropout=0.0), "short"),
    Variant(f"ours: layers of {HIDDEN}, long", fit_ours(HIDDEN), "long"),
    Variant(
        f"ours: layers of {HIDDEN}, no isoform hidden, long",
        fit_ours(HIDDEN, input_dropout=0.0),
        "long",
    ),
    Variant("scvi-tools: defaults", fit_scvi_tools(), "long"),
    Variant("scvi-tools: divergence whole from the start", fit_scvi_tools(FROM_THE_START), "long"),
    Variant(
        f"scvi-tools: that, layers of {HIDDEN}, no dropout",
        fit_scvi_tools(FROM_THE_START, **LIKE_OURS),
        "long",
    ),
    Variant(
        "scvi-tools: that, optimiser as ours",
        fit_scvi_tools(PLAN_LIKE_OURS, **LIKE_OURS),
        "long",
    ),
    Variant(
        "scvi-tools: that, layer norm for batch norm",
        fit_scvi_tools(PLAN_LIKE_OURS, **LIKE_OURS, **NORMALISED_ALIKE),
        "long",
    ),
]


def score(
    model: Any, guide: Any, cells: Cells, positions: np.ndarray, num_samples: int, seed: int
) -> float:
    """Negative log-likelihood of the rounded estimates of some cells (nats per entry)."""
    torch.manual_seed(seed)
    total = log_prob_of_point_estimates(
        model, guide, CountTensors(cells), positions, num_samples=num_samples
    )
    return -total / (len(positions) * cells.num_isoforms)


def measure(options: argparse.Namespace) -> pd.DataFrame:
    """Fit all variants; a row for each variant and seed, with seconds and losses."""
    lengths = {"short": options.epochs, "long": options.long}
    rows = []
    for seed in options.seeds:
        with TemporaryDirectory() as folder:
            sizes = IsoformSizes(options.cells, options.isoforms, 2)
            cells = simulated(Workshop(Path(folder)), sizes, seed).cells
        trained_on, held_out = fitting.split_cells(cells.num_cells, 1 - HELD_OUT, seed)
        for variant in VARIANTS:
            if variant.name.startswith("scvi-tools") and not scvi_tools.is_installed():
                continue
            started = time.perf_counter()
            fitted = variant.fit(cells, trained_on, lengths[variant.epochs], seed)
            seconds = time.perf_counter() - started
            losses = [
                score(*fitted, cells, positions, options.samples, seed)
                for positions in (trained_on[: len(held_out)], held_out)
            ]
            rows.append((variant.name, lengths[variant.epochs], seed, seconds, *losses))
            print(
                f"{variant.name:<52} {lengths[variant.epochs]:5d} epochs, seed {seed}: "
                f"{seconds:6.1f} s, {losses[0]:.4f}, {losses[1]:.4f}",
                flush=True,
            )
    columns = ["variant", "epochs", "seed", "seconds", "trained_on", "held_out"]
    return pd.DataFrame(rows, columns=columns)


def main() -> None:
    """Fit, and print losses and their distance from the best."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--isoforms", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--long", type=int, default=400, help="epochs of the long fits")
    parser.add_argument(
        "--samples", type=int, default=100, help="draws of the latent variables behind the bound"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, help="CSV file for all numbers")
    options = parser.parse_args()
    print("loss (nats per entry of the rounded estimates) of training cells, and of held-out cells")
    table = measure(options)
    if options.out:
        table.to_csv(options.out, index=False)
    means = table.groupby("variant", sort=False)[["trained_on", "held_out"]].mean()
    means["beyond the best (%)"] = 100 * (means["held_out"] / means["held_out"].min() - 1)
    print(means.round(4).to_string())


if __name__ == "__main__":
    main()
