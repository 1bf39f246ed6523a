"""Time of a training step of the bootstrap models and of SCVI of scvi-tools, in one run.

All take the same minibatch of simulated cells through a forward pass, a backward pass and an update
by Adam; the guides of the bootstrap models read a few bootstraps of each cell.

    python experiments/benchmarks/isoform_training.py --cells 128 --isoforms 5000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pyro
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from scipy.sparse import csr_matrix
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cells import CellBatch, expression_scales
from exvae.data.overdispersion import InferentialDispersions
from exvae.guides.cells import SCVIGuide
from exvae.guides.paper_isoforms import IsoformGuide
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


def effective_reads(drawn: Tensor) -> tuple[EffectiveReadIsoforms, SCVIGuide]:
    """Make the default model of fits; bootstraps (reads) of (cells, isoforms, bootstraps)."""
    model = EffectiveReadIsoforms(torch.arange(drawn.shape[1]) // ISOFORMS_OF_A_GENE)
    ones = torch.ones_like(model.total_dispersion)
    model.initialise_noise(InferentialDispersions(ones, 5 * ones))
    return model, SCVIGuide(model)


def paper(drawn: Tensor) -> tuple[BootstrapIsoforms, IsoformGuide]:
    """Make the paper's model; bootstraps (reads) of (cells, isoforms, bootstraps)."""
    model = BootstrapIsoforms(drawn.shape[1], error="independent", noise="absolute", dropout="none")
    model.initialise_noise(drawn.var(-1).mean(0))
    return model, IsoformGuide(model)


def step_of_exvae(model: SCVI, guide: SCVIGuide, drawn: Tensor, num_read: int) -> Callable:
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
    counts = csr_matrix(drawn.mean(-1).numpy())
    model.initialise(expression_scales(counts, np.zeros(cells, int), 1))
    batch = CellBatch(
        drawn[..., :num_read].movedim(-1, 1).reshape(-1, isoforms).contiguous(),
        num_read * torch.arange(cells + 1),
        torch.zeros(cells, dtype=torch.int64),
        torch.arange(cells),
        cells,
        BootstrapSummary.of(drawn),
    )
    svi = SVI(model, guide, ClippedAdam({"lr": 1e-3}), TraceMeanField_ELBO())
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
    for name, make in (("effective reads", effective_reads), ("paper's model", paper)):
        step = step_of_exvae(*make(drawn), drawn, options.read)
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
