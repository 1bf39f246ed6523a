"""Cost of the likelihoods of bootstraps, value and gradient, beside alternatives in one run.

Prints seconds and ratios for normal noise, with all combinations of error and noise, the paper's
first, and for effective reads: many bootstraps against few, and against a zero-inflated negative
binomial, that of scvi-tools where it is installed; and for normal noise the paper's grid
(extrapolated from a slice) against the sums of the package.

    python experiments/benchmarks/bootstrap_likelihood.py --cells 128 --isoforms 5000
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from itertools import product

import torch
from torch import Tensor
from torch.distributions import Distribution

from exvae.data.bootstraps import BootstrapMean, BootstrapSummary
from exvae.data.genes import Genes
from exvae.models.distributions.bootstrap_zinb import ERRORS, NOISES, BootstrapZINB
from exvae.models.distributions.gamma_poisson import BootstrapGammaPoisson
from exvae.models.distributions.gene_reads import BootstrapGeneReads, Division
from exvae.models.distributions.negative_binomial import ZINB

# Entries of the slice on which the paper's grid is timed.
SLICE = 40
# About as in transcriptomes.
ISOFORMS_OF_A_GENE = 3
PEER, GRID = "plain ZINB", "paper's grid, 30"
PAPER, READS = "independent, absolute", "effective reads"


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
def draw_bootstraps(parameters: list[Tensor], numbers: list[int], noise: str) -> Tensor:
    """Draw as many bootstraps as the last of some rising numbers; the first few are for the others.

    About half of the entries are zero in every bootstrap, as in real cells: an isoform without a
    read that may be its own gets none in any bootstrap, so where the count is zero all bootstraps
    are. Where the fewest bootstraps are all zero the others are too, so that any number has the
    same entries to sum, and times differ by the number alone.
    """
    drawn = BootstrapZINB(*parameters, num_bootstraps=numbers[-1], noise=noise).sample()
    counts = ZINB(*parameters[:3]).sample()
    present = (counts > 0) & (drawn[..., : numbers[0]] > 0).any(-1)
    return drawn * present.unsqueeze(-1)


def value_and_gradient(parameters: list[Tensor], log_prob: Callable[..., Tensor]) -> None:
    """Evaluate once, forwards and backwards."""
    leaves = [part.clone().requires_grad_() for part in parameters]
    log_prob(*leaves).sum().backward()


def seconds(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Time the fastest of some runs of each, one after the other, after one that compiles."""
    fastest = {}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            taken = time.perf_counter() - started
            if repeat:
                fastest[name] = min(taken, fastest.get(name, taken))
    return fastest


def run_of_bootstraps(
    parameters: list[Tensor],
    distribution: Callable[..., Distribution],
    summary: BootstrapSummary | BootstrapMean,
) -> Callable[[], None]:
    """Likelihood of bootstraps from their sufficient statistics."""

    def log_prob(*parts: Tensor) -> Tensor:
        # Statistics say themselves how many bootstraps there are.
        return distribution(*parts, num_bootstraps=1).log_prob(summary)

    return partial(value_and_gradient, parameters, log_prob)


def genes_of(isoforms: int) -> Genes:
    """Make genes of a few isoforms each."""
    codes = torch.arange(isoforms) // ISOFORMS_OF_A_GENE
    return Genes(codes, int(codes[-1]) + 1)


def parameters_of_genes(parameters: list[Tensor]) -> list[Tensor]:
    """Take those of isoforms for the model of effective reads, with usage that varies."""
    mean, inverse_dispersion, dropout = parameters[:3]
    number = genes_of(mean.shape[-1]).number
    concentration = torch.full((number,), 20.0)
    return [mean, inverse_dispersion[:, :number], dropout[:, :number], concentration]


def effective_reads(
    mean: Tensor, inverse_dispersion: Tensor, dropout: Tensor, concentration: Tensor, **options
) -> Distribution:
    """Distribution of bootstraps of the default model; dispersions are known, one for each gene."""
    genes = genes_of(mean.shape[-1])
    one = torch.ones(genes.number)
    totals = BootstrapGammaPoisson(
        genes.sums(mean), inverse_dispersion, dropout, one, one, **options
    )
    division = Division(genes.shares(mean), concentration, 2 * one, 5 * one)
    return BootstrapGeneReads(totals, division, genes)


def time_grid(parameters: list[Tensor], num_bootstraps: int) -> float:
    """Time the paper's product over bootstraps on its grid for a slice of the entries."""
    entries = parameters[0].numel()
    parts = [part.flatten()[:SLICE] for part in torch.broadcast_tensors(*parameters)]
    options = {"quadrature": "grid", "error": "independent", "noise": "absolute"}
    with torch.no_grad():
        drawn = BootstrapZINB(*parts, num_bootstraps=num_bootstraps, **options).sample()

    def log_prob(*leaves: Tensor) -> Tensor:
        singles = BootstrapZINB(
            *(leaf.unsqueeze(-1) for leaf in leaves), num_bootstraps=1, **options
        )
        # Without sufficient statistics every bootstrap is evaluated on the whole grid.
        return singles.log_prob(drawn.unsqueeze(-1))

    taken = seconds({"grid": partial(value_and_gradient, parts, log_prob)}, 1)
    return taken["grid"] * entries / SLICE


def runs_of_peer(parameters: list[Tensor]) -> dict[str, Callable[[], None]]:
    """Zero-inflated negative binomial of scvi-tools by name; nothing where it is not installed."""
    try:
        from scvi.distributions import ZeroInflatedNegativeBinomial
    except ImportError:
        print("scvi-tools is not installed")
        return {}
    counts = torch.poisson(parameters[0])

    def log_prob(mean: Tensor, inverse_dispersion: Tensor, logits: Tensor) -> Tensor:
        return ZeroInflatedNegativeBinomial(
            mu=mean, theta=inverse_dispersion, zi_logits=logits, validate_args=False
        ).log_prob(counts)

    return {PEER: partial(value_and_gradient, parameters[:3], log_prob)}


def runs_of_bootstraps(parameters: list[Tensor], numbers: list[int]) -> dict[str, Callable]:
    """Likelihoods of all kinds with these numbers of bootstraps, by name."""
    runs = {}
    for noise in NOISES:
        drawn = draw_bootstraps(parameters, numbers, noise)
        for number in numbers:
            bootstraps = drawn[..., :number]
            summary = BootstrapSummary.of(bootstraps)
            for error in ERRORS:
                distribution = partial(BootstrapZINB, error=error, noise=noise)
                run = run_of_bootstraps(parameters, distribution, summary)
                runs[f"{error}, {noise}, {number}"] = run
            if noise == "absolute":
                parts = parameters_of_genes(parameters)
                runs[f"{READS}, {number}"] = run_of_bootstraps(
                    parts, effective_reads, BootstrapMean.of(bootstraps)
                )
    return runs


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=128)
    parser.add_argument("--isoforms", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    parameters = draw_parameters(options.cells, options.isoforms)
    runs = runs_of_bootstraps(parameters, [2, 30, 100])
    taken = seconds({**runs, **runs_of_peer(parameters)}, options.repeats)
    taken[GRID] = time_grid(parameters, 30)
    print(f"{options.cells} cells x {options.isoforms} isoforms, value and gradient")
    print(f"{'bootstraps of':28}{'seconds':>14}")
    for name, own in taken.items():
        beside = f"{own / taken[PEER]:14.2f} x ZINB" if PEER in taken else ""
        print(f"{name:28}{own:14.4f}{beside}")
    kinds = [f"{error}, {noise}" for error, noise in product(ERRORS, NOISES)]
    for name in (*kinds, READS):
        print(f"{name}, 100 against 2 {taken[f'{name}, 100'] / taken[f'{name}, 2']:6.2f} x")
    print(f"grid against sums {taken[GRID] / taken[f'{PAPER}, 30']:10.0f} x")


if __name__ == "__main__":
    main()
