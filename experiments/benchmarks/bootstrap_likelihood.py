"""Cost of the likelihood of bootstraps, value and gradient, beside its alternatives in one run.

Prints seconds and ratios: many bootstraps against few, the nodes of the package against the
paper's grid (extrapolated from a slice), and, where scvi-tools is installed, against its
zero-inflated negative binomial.

    python experiments/benchmarks/bootstrap_likelihood.py --cells 128 --isoforms 5000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.models.distributions import BootstrapZINB
from exvae.models.negative_binomial import ZINB

# Entries of the slice on which the paper's grid is timed.
SLICE = 200


def draw_parameters(cells: int, isoforms: int) -> list[Tensor]:
    """Draw parameters of the likelihood, each of shape (cells, isoforms)."""
    shape = (cells, isoforms)
    mean = (2.5 * torch.randn(isoforms) + 0.5 * torch.randn(shape)).exp()
    inverse_dispersion = (0.5 + 0.5 * torch.randn(isoforms)).exp().expand(shape)
    noise_scale = (0.5 * torch.randn(shape) - 0.5).exp()
    dropout = -3 + torch.randn(shape)
    bootstrap_dropout = -7 + torch.randn(shape)
    return [mean, inverse_dispersion, dropout, noise_scale, bootstrap_dropout]


@torch.no_grad()
def draw_bootstraps(parameters: list[Tensor], num_bootstraps: int) -> Tensor:
    """Draw bootstraps of which about half are zero in every bootstrap, as in real cells.

    An isoform without a read that may be its own gets none in any bootstrap, so where the count is
    zero all bootstraps are.
    """
    drawn = BootstrapZINB(*parameters, num_bootstraps=num_bootstraps).sample()
    counts = ZINB(*parameters[:3]).sample()
    return drawn * (counts > 0).unsqueeze(-1)


def value_and_gradient(parameters: list[Tensor], log_prob: Callable[..., Tensor]) -> None:
    """Evaluate once, forwards and backwards."""
    leaves = [part.clone().requires_grad_() for part in parameters]
    log_prob(*leaves).sum().backward()


def seconds(run: Callable[[], None], repeats: int) -> float:
    """Time the fastest of some runs, after one that compiles."""
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def time_bootstraps(parameters: list[Tensor], num_bootstraps: int, repeats: int) -> float:
    """Time the likelihood of bootstraps drawn from it, from their sufficient statistics."""
    summary = BootstrapSummary.of(draw_bootstraps(parameters, num_bootstraps))

    def log_prob(*parts: Tensor) -> Tensor:
        return BootstrapZINB(*parts, num_bootstraps=num_bootstraps).log_prob_summary(summary)

    return seconds(lambda: value_and_gradient(parameters, log_prob), repeats)


def time_grid(parameters: list[Tensor], num_bootstraps: int, repeats: int) -> float:
    """Time the paper's product over bootstraps on its grid for a slice of the entries."""
    entries = parameters[0].numel()
    parts = [part.flatten()[:SLICE] for part in torch.broadcast_tensors(*parameters)]
    options = {"quadrature": "grid", "error": "independent", "zeros": "atom", "noise": "absolute"}
    with torch.no_grad():
        drawn = BootstrapZINB(*parts, num_bootstraps=num_bootstraps, **options).sample()

    def log_prob(*leaves: Tensor) -> Tensor:
        singles = BootstrapZINB(
            *(leaf.unsqueeze(-1) for leaf in leaves), num_bootstraps=1, **options
        )
        # Without sufficient statistics every bootstrap is evaluated on the whole grid.
        return singles.log_prob(drawn.unsqueeze(-1))

    taken = seconds(lambda: value_and_gradient(parts, log_prob), repeats)
    return taken * entries / SLICE


def time_scvi(parameters: list[Tensor], repeats: int) -> float | None:
    """Time the zero-inflated negative binomial of scvi-tools; None where it is not installed."""
    try:
        from scvi.distributions import ZeroInflatedNegativeBinomial
    except ImportError:
        return None
    counts = torch.poisson(parameters[0])

    def log_prob(mean: Tensor, inverse_dispersion: Tensor, logits: Tensor) -> Tensor:
        return ZeroInflatedNegativeBinomial(
            mu=mean, theta=inverse_dispersion, zi_logits=logits, validate_args=False
        ).log_prob(counts)

    return seconds(lambda: value_and_gradient(parameters[:3], log_prob), repeats)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=128)
    parser.add_argument("--isoforms", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    parameters = draw_parameters(options.cells, options.isoforms)
    few, some, many = (time_bootstraps(parameters, b, options.repeats) for b in (2, 30, 100))
    grid = time_grid(parameters, 30, 1)
    print(f"{options.cells} cells x {options.isoforms} isoforms, value and gradient")
    for bootstraps, taken in ((2, few), (30, some), (100, many)):
        print(f"{bootstraps:>4} bootstraps      {taken:10.4f} s")
    print(f"100 against 2        {many / few:10.2f} x")
    print(f"paper's grid, 30     {grid:10.1f} s (extrapolated), {grid / some:.0f} x as long")
    peer = time_scvi(parameters, options.repeats)
    if peer is None:
        print("scvi-tools is not installed")
    else:
        print(
            f"scvi-tools' ZINB     {peer:10.4f} s, 30 bootstraps take {some / peer:.1f} x as long"
        )


if __name__ == "__main__":
    main()
