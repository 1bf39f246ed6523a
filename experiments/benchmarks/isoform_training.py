"""Time of a training step of our models and of SCVI of scvi-tools, in one run.

All take the same minibatch of simulated cells through a forward pass, a backward pass and an update
by Adam; the guides of the bootstrap models read a few bootstraps of each cell, those of both SCVI
whole counts.

    export GOMP_SPINCOUNT=10000
    python experiments/benchmarks/isoform_training.py --cells 128 --isoforms 5000

The variable is what the commands set: without it torch's waiting threads keep compiled loops from
the cores.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pyro
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from scipy.sparse import csr_matrix
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean, BootstrapSummary
from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import Totals, expression_scales
from exvae.data.overdispersion import InferentialDispersions
from exvae.experiments.fitting.optimizers import optimizer
from exvae.guides.cells import CellGuide
from exvae.guides.paper_isoforms import PaperGuide
from exvae.models.cells import CellModel
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI

# Isoforms per gene, about as in transcriptomes.
ISOFORMS_OF_A_GENE = 3


def simulate(cells: int, isoforms: int, bootstraps: int) -> Tensor:
    """Draw bootstraps (reads) of which about half are zero, shape (cells, isoforms, bootstraps)."""
    shape = (cells, isoforms)
    mean = (2.5 * torch.randn(isoforms) - 1.0 + 0.5 * torch.randn(shape)).exp()
    inverse_dispersion = (0.5 + 0.5 * torch.randn(isoforms)).exp()
    noise_scale = (0.5 * torch.randn(shape) - 0.5).exp()
    logits = torch.full(shape, -4.0)
    parameters = mean, inverse_dispersion, logits, noise_scale, logits
    return BootstrapZINB(*parameters, num_bootstraps=bootstraps, noise="relative").sample()


def seconds_per_step(step: Callable[[], object], steps: int) -> float:
    """Median seconds of a step, after two steps that compile."""
    times = []
    for index in range(steps + 2):
        started = time.perf_counter()
        step()
        if index >= 2:
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def effective_reads(num_isoforms: int) -> tuple[CellModel, CellGuide]:
    """Make the default model of fits."""
    model = EffectiveReadIsoforms(torch.arange(num_isoforms) // ISOFORMS_OF_A_GENE)
    return model, CellGuide(model)


def paper(num_isoforms: int) -> tuple[CellModel, CellGuide]:
    """Make the paper's model."""
    model = BootstrapIsoforms(num_isoforms)
    return model, PaperGuide(model)


def scvi(num_isoforms: int) -> tuple[CellModel, CellGuide]:
    """Make our SCVI."""
    model = SCVI(torch.arange(num_isoforms) // ISOFORMS_OF_A_GENE)
    return model, CellGuide(model)


MODELS = {"effective reads": effective_reads, "paper's model": paper, "our SCVI": scvi}


def values_of(drawn: Tensor) -> SimpleNamespace:
    """Measure what models start from; bootstraps (reads) of (cells, isoforms, bootstraps)."""
    cells, isoforms, _ = drawn.shape
    totals = Totals.of([csr_matrix(drawn.mean(-1).numpy())])
    ones = torch.ones(-(-isoforms // ISOFORMS_OF_A_GENE))
    return SimpleNamespace(
        expression=expression_scales(totals, np.zeros(cells, int), 1),
        overdispersion=lambda codes: InferentialDispersions(ones, 5 * ones),
        noise_variances=lambda relative: drawn.var(-1).mean(0),
    )


def step_of_exvae(model: CellModel, guide: CellGuide, drawn: Tensor, num_read: int) -> Callable:
    """Prepare a training step.

    Parameters
    ----------
    model, guide
        The model and its guide.
    drawn
        Bootstraps (reads), shape (cells, isoforms, bootstraps).
    num_read
        Bootstraps of each cell that the guide reads.
    """
    cells, isoforms, _ = drawn.shape
    model.initialise(values_of(drawn))
    if model.observes == "counts":
        num_read, drawn = 1, drawn[..., :1].round()
        observed = drawn[..., 0]
    else:
        statistics = BootstrapMean if model.observes == "bootstrap_mean" else BootstrapSummary
        observed = statistics.of(drawn).stacked()
    batch = CellBatch(
        drawn[..., :num_read].movedim(-1, 1).reshape(-1, isoforms).contiguous(),
        num_read * torch.arange(cells + 1),
        torch.zeros(cells, dtype=torch.int64),
        torch.arange(cells),
        cells,
        observed,
    )
    svi = SVI(model, guide, optimizer(model, guide, 1e-3), TraceMeanField_ELBO())
    return lambda: svi.step(*batch)


def step_of_scvi(counts: Tensor) -> Callable[[], object] | None:
    """Prepare a step of scvi-tools' module on reads, shape (cells, isoforms); None without it."""
    try:
        from scvi import REGISTRY_KEYS
        from scvi.module import VAE
    except ImportError:
        return None
    cells, isoforms = counts.shape
    module = VAE(isoforms)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    none = torch.zeros(cells, 1, dtype=torch.int64)
    batch = {
        REGISTRY_KEYS.X_KEY: counts,
        REGISTRY_KEYS.BATCH_KEY: none,
        REGISTRY_KEYS.LABELS_KEY: none,
    }

    def step() -> None:
        optimizer.zero_grad()
        _, _, losses = module(batch)
        losses.loss.backward()
        optimizer.step()

    return step


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=128)
    parser.add_argument("--isoforms", type=int, default=5000)
    parser.add_argument("--bootstraps", type=int, default=30)
    parser.add_argument("--read", type=int, default=5, help="bootstraps that the guide reads")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    pyro.set_rng_seed(0)
    drawn = simulate(options.cells, options.isoforms, options.bootstraps)
    print(f"{options.cells} cells x {options.isoforms} isoforms x {options.bootstraps} bootstraps")
    own = {}
    for name, make in MODELS.items():
        step = step_of_exvae(*make(options.isoforms), drawn, options.read)
        own[name] = seconds_per_step(step, options.steps)
        print(f"{name:<18} {own[name]:8.3f} s per step", flush=True)
    step = step_of_scvi(drawn[..., 0].round())
    if step is None:
        print("scvi-tools is not installed")
    else:
        peer = seconds_per_step(step, options.steps)
        print(f"{'SCVI of scvi-tools':<18} {peer:8.3f} s per step")
        for name, seconds in own.items():
            print(f"{name} takes {seconds / peer:.1f} x as long as SCVI of scvi-tools")


if __name__ == "__main__":
    main()
