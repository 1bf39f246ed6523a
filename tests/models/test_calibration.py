"""Posteriors of counts are calibrated, given the true latent variables.

Simulation-based calibration (Talts et al., 2018, arXiv:1804.06788): where counts are drawn from
their prior and bootstraps given them, the true count has a uniform rank in its posterior. As counts
are whole numbers the rank is drawn between P(U < u) and P(U <= u). The bootstraps are drawn from
the definitions of the brute-force reference, which keep those below zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import scipy.stats
import torch

from exvae.models.distributions.bootstrap_zinb import BootstrapZINB

BOOTSTRAPS = 4
ENTRIES = {torch.float64: 600, torch.float32: 5000}
# Every test draws with a fixed seed, so this is how unlikely a seed has to be bad.
SMALLEST_P_VALUE = 1e-4
SMALLEST_TAIL = 5e-4


class Simulation(NamedTuple):
    """Entries with parameters of their own, and their counts, shape (entries,), and bootstraps."""

    parameters: dict[str, np.ndarray]
    counts: dict[str, np.ndarray]
    bootstraps: np.ndarray


def simulate(brute_force, kind, entries: int) -> Simulation:
    """Draw entries in which neither prior nor bootstraps say everything of the count."""
    rng = np.random.default_rng([1, *map(ord, "".join(kind))])

    def log_uniform(low: float, high: float) -> np.ndarray:
        return np.exp(rng.uniform(np.log(low), np.log(high), (entries, 1)))

    parameters = brute_force.Parameters(
        mean=log_uniform(0.5, 500),
        inverse_dispersion=log_uniform(0.5, 20),
        dropout_logits=rng.uniform(-4, -1, (entries, 1)),
        noise_scale=log_uniform(0.3, 20 if kind.noise == "absolute" else 2),
        bootstrap_dropout_logits=rng.uniform(-4, -0.5, (entries, 1)),
    )
    drawn = brute_force.sample_with_counts(parameters, BOOTSTRAPS, kind, rng, entries)
    flat = {name: values[:, 0] for name, values in parameters._asdict().items()}
    return Simulation(flat, {"u": drawn.u, "y": drawn.y}, drawn.bootstraps)


def p_values(
    simulation: Simulation, kind, dtype: torch.dtype, *, of: str = "u", noise_factor: float = 1.0
) -> tuple[float, float, float]:
    """Test whether ranks of the true counts are uniform.

    By Kolmogorov and Smirnov, by chi-squared, and whether too many are next to 0 or 1, where true
    counts lie that a posterior leaves out.

    ``kind`` and ``noise_factor`` are what the posterior takes for true.
    """
    arguments = {
        name: torch.as_tensor(value, dtype=dtype) for name, value in simulation.parameters.items()
    }
    arguments["noise_scale"] = arguments["noise_scale"] * noise_factor
    bootstraps = BootstrapZINB(**arguments, num_bootstraps=BOOTSTRAPS, **kind._asdict())
    posterior = bootstraps.posterior(torch.as_tensor(simulation.bootstraps, dtype=dtype), of=of)
    counts = torch.as_tensor(simulation.counts[of], dtype=dtype)
    below, up_to = (part.numpy() for part in posterior.cumulative(counts))
    ranks = np.random.default_rng(2).uniform(below, up_to)
    observed, _ = np.histogram(ranks, bins=20, range=(0.0, 1.0))
    assert observed.sum() == len(ranks)
    outermost = int((np.abs(ranks - 0.5) > 0.5 - SMALLEST_TAIL).sum())
    return (
        scipy.stats.kstest(ranks, "uniform").pvalue,
        scipy.stats.chisquare(observed).pvalue,
        scipy.stats.binomtest(outermost, len(ranks), 2 * SMALLEST_TAIL, "greater").pvalue,
    )


every_dtype = pytest.mark.parametrize("dtype", ENTRIES)


@every_dtype
def test_posteriors_are_calibrated(brute_force, kind, dtype: torch.dtype) -> None:
    simulation = simulate(brute_force, kind, ENTRIES[dtype])
    assert min(p_values(simulation, kind, dtype)) > SMALLEST_P_VALUE


@every_dtype
def test_posteriors_before_dropout_are_calibrated(brute_force, kind, dtype: torch.dtype) -> None:
    simulation = simulate(brute_force, kind, ENTRIES[dtype])
    assert min(p_values(simulation, kind, dtype, of="y")) > SMALLEST_P_VALUE


@every_dtype
def test_posteriors_of_the_wrong_error_are_not(brute_force, kind, dtype: torch.dtype) -> None:
    simulation = simulate(brute_force, kind, ENTRIES[dtype])
    wrong = kind._replace(error="independent" if kind.error == "shared" else "shared")
    assert min(p_values(simulation, wrong, dtype)) < SMALLEST_P_VALUE


@every_dtype
@pytest.mark.parametrize("noise_factor", [0.5, 2.0])
def test_posteriors_of_the_wrong_noise_are_not(
    brute_force, kind, dtype: torch.dtype, noise_factor: float
) -> None:
    simulation = simulate(brute_force, kind, ENTRIES[dtype])
    wrong = p_values(simulation, kind, dtype, noise_factor=noise_factor)
    assert min(wrong) < SMALLEST_P_VALUE


def test_counts_before_and_after_dropout_are_told_apart(brute_force) -> None:
    kind = brute_force.Kind("shared", "relative")
    simulation = simulate(brute_force, kind, ENTRIES[torch.float32])
    exchanged = simulation._replace(
        counts={"u": simulation.counts["y"], "y": simulation.counts["u"]}
    )
    for of in ("u", "y"):
        assert min(p_values(exchanged, kind, torch.float32, of=of)) < SMALLEST_P_VALUE
