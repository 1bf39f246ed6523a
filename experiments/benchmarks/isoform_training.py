"""Time of a training step of the models of bootstraps beside one of scvi-tools' SCVI, in one run.

All take the same minibatch of simulated cells, forwards, backwards and with Adam's update; the
guides of the models of bootstraps read a few of each cell's bootstraps.

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
from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import expression_scales
from exvae.data.overdispersion import InferentialDispersions
from exvae.guides.cells import SCVIGuide
from exvae.guides.paper_isoforms import IsoformGuide
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms

# How many isoforms a gene has, about as in transcriptomes.
ISOFORMS_OF_A_GENE = 3


def simulate(cells: int, isoforms: int, bootstraps: int) -> Tensor:
    """Draw bootstraps (reads) of which about half are zero, shape (cells, isoforms, bootstraps)."""
    shape = (cells, isoforms)
    mean = (2.5 * torch.randn(isoforms) - 1.0 + 0.5 * torch.randn(shape)).exp()
    inverse_dispersion = (0.5 + 0.5 * torch.randn(isoforms)).exp()
    noise_scale = (0.5 * torch.randn(shape) - 0.5).exp()
    logits = torch.full(shape, -4.0)
    parameters = mean, inverse_dispersion, logits, noise_scale, logits
    return BootstrapZINB(*parameters, num_bootstraps=bootstraps).sample()


def seconds_per_step(step: Callable[[], object], steps: int) -> float:
    """Time the median step, after two that compile."""
    times = []
    for index in range(steps + 2):
        started = time.perf_counter()
        step()
        if index >= 2:
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def step_of_bootstraps(drawn: Tensor, num_read: int, *, effective: bool) -> Callable[[], object]:
    """Prepare a step of a model of bootstraps, whose guide reads ``num_read`` of them.

    That of ``effective`` reads, the default of fits, or that of latent counts.
    """
    cells, isoforms, _ = drawn.shape
    mean = drawn.mean(-1)
    if effective:
        genes = torch.arange(isoforms) // ISOFORMS_OF_A_GENE
        model = EffectiveReadIsoforms(genes)
        guide = SCVIGuide(model)
        ones = torch.ones_like(model.total_dispersion)
        model.initialise_noise(InferentialDispersions(ones, 5 * ones))
    else:
        model = BootstrapIsoforms(isoforms, dropout="none")
        guide = IsoformGuide(model)
        model.initialise_noise((drawn.var(-1) / (1 + mean)).mean(0))
    model.initialise(expression_scales(csr_matrix(mean.numpy()), np.zeros(cells, int), 1))
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
    """Prepare a step of scvi-tools' module, None where it is not installed."""
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
    for name, effective in (("effective reads", True), ("latent counts", False)):
        step = step_of_bootstraps(drawn, options.read, effective=effective)
        own[name] = seconds_per_step(step, options.steps)
        print(f"model of {name:<15} {own[name]:8.3f} s a step", flush=True)
    step = step_of_scvi(drawn[..., 0].round())
    if step is None:
        print("scvi-tools is not installed")
    else:
        peer = seconds_per_step(step, options.steps)
        print(f"scvi-tools' SCVI         {peer:8.3f} s a step")
        for name, seconds in own.items():
            print(f"{name} takes {seconds / peer:.1f} x as long as scvi-tools' SCVI")


if __name__ == "__main__":
    main()
