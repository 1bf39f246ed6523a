"""Posteriors of counts: moments, quantiles and ranks, against every count by itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.count_posterior import CountPosterior

SUMMARIES = [
    (2, 0, 0.0, 0.0),
    (1, 3, 2.2, 1.5),
    (0, 4, 11.3, 20.0),
    (0, 1, 70.0, 0.0),
    (9, 1, 5, 0),
]


@pytest.mark.parametrize("of", ["u", "y"])
def test_posterior(examples, brute_force, kind, of: str) -> None:
    parameters = brute_force.Parameters(*examples.PARAMETERS.values())
    posterior = examples.example(kind, 4).posterior(
        BootstrapSummary(*examples.double(SUMMARIES).T), of=of
    )
    levels = [0.025, 0.25, 0.5, 0.9, 0.975]
    quantiles = posterior.quantile(levels)
    assert quantiles.shape == (5, len(SUMMARIES))
    torch.testing.assert_close(posterior.quantile(0.5), quantiles[2])
    with pytest.raises(ValueError, match="q is 95; give probabilities between 0 and 1"):
        posterior.quantile(95)
    u = np.arange(1500.0)
    for i, summary in enumerate(SUMMARIES):
        mass = brute_force.posterior(parameters, brute_force.Summary(*summary), kind, of, 1500)
        mean = mass @ u
        assert posterior.mean[i].item() == pytest.approx(mean, rel=1e-3)
        variance = mass @ (u - mean) ** 2
        assert posterior.variance[i].item() == pytest.approx(variance, rel=1e-2)
        assert posterior.log1p_mean[i].item() == pytest.approx(mass @ np.log1p(u), rel=1e-3)
        check_quantiles(quantiles[:, i], levels, mass)
        check_cumulative(posterior, mass, i)


def check_cumulative(posterior: CountPosterior, mass: np.ndarray, entry: int = 0) -> None:
    """Compare P(U < u) and P(U <= u) of one entry, at counts all over its mass."""
    cumulative = np.concatenate([[0.0], mass.cumsum()])
    counts = np.searchsorted(mass.cumsum(), [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999])
    for u in (0, 1, *counts, len(mass) - 1):
        below, up_to = (
            part[entry].item()
            for part in posterior.cumulative(torch.tensor(float(u), dtype=torch.float64))
        )
        assert below == pytest.approx(cumulative[u], abs=2e-3)
        assert up_to == pytest.approx(cumulative[u + 1], abs=2e-3)
        assert up_to - below == pytest.approx(mass[u], rel=0.05, abs=1e-4)


def check_quantiles(quantiles: Tensor, levels: list[float], mass: np.ndarray) -> None:
    """Quantiles are the smallest counts whose cumulative probability reaches the level."""
    cumulative = np.concatenate([[0.0], mass.cumsum()])
    for quantile, level in zip(quantiles.tolist(), levels, strict=True):
        assert cumulative[math.ceil(quantile) + 1] >= level - 2e-3
        assert cumulative[math.floor(quantile)] <= level + 2e-3


def test_mixture_of_posteriors(examples, brute_force, kind) -> None:
    means = (2.0, 30.0)
    summary = BootstrapSummary(*(examples.double([x]) for x in (0.0, 2.0, 12.0, 8.0)))
    parts = [examples.example(kind, 2, mean=mean).posterior(summary) for mean in means]
    mixture = type(parts[0]).mixture(parts)
    mass = np.mean(
        [
            brute_force.posterior(
                brute_force.Parameters(*(examples.PARAMETERS | {"mean": mean}).values()),
                brute_force.Summary(0, 2, 12.0, 8.0),
                kind,
                "u",
                1500,
            )
            for mean in means
        ],
        axis=0,
    )
    u = np.arange(1500.0)
    assert mixture.mean.item() == pytest.approx(mass @ u, rel=1e-3)
    variance = mass @ (u - mass @ u) ** 2
    assert mixture.variance.item() == pytest.approx(variance, rel=1e-2)
    check_quantiles(mixture.quantile([0.1, 0.5, 0.9])[:, 0], [0.1, 0.5, 0.9], mass)
    check_cumulative(mixture, mass)


def test_posterior_of_large_counts(examples, brute_force, kind) -> None:
    changes = {"mean": 900.0, "noise_scale": 40.0 if kind.noise == "absolute" else 1.5}
    parameters = brute_force.Parameters(*(examples.PARAMETERS | changes).values())
    summary = (0, 5, 1200.0, 4 * 1500.0)
    tensors = BootstrapSummary(*examples.double(summary))
    posterior = examples.example(kind, 5, **changes).posterior(tensors)
    mass = brute_force.posterior(parameters, brute_force.Summary(*summary), kind, "u", 6000)
    u = np.arange(6000.0)
    mean = mass @ u
    assert posterior.mean.item() == pytest.approx(mean, rel=1e-4)
    assert posterior.variance.item() == pytest.approx(mass @ (u - mean) ** 2, rel=1e-2)
    levels = [0.025, 0.5, 0.975]
    check_quantiles(posterior.quantile(levels), levels, mass)
    for count in (0, 1150, 1203, 1270, 5999):
        below, up_to = posterior.cumulative(examples.double(count))
        assert below.item() == pytest.approx(mass[:count].sum(), abs=3e-3)
        assert up_to.item() == pytest.approx(mass[: count + 1].sum(), abs=3e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bootstraps_of_a_count_that_was_dropped_do_not_tell_the_count(
    examples, brute_force, kind, dtype: torch.dtype
) -> None:
    # Next to zero where hundreds are expected: u = 0, and y is anything that the prior allows.
    changes = {"mean": 400.0, "inverse_dispersion": 12.0, "noise_scale": 0.9}
    values = torch.tensor([[1.8, 0.7, 0.4, 0.0], [0.0, 0.0, 0.0, 0.1], [2.3, 2.2, 0.0, 0.6]])
    posterior = examples.example(kind, 4, dtype, **changes).posterior(values.to(dtype), of="y")
    parameters = brute_force.Parameters(*(examples.PARAMETERS | changes).values())
    levels = [0.1, 0.5, 0.9]
    quantiles = posterior.quantile(levels)
    for entry, value in enumerate(values.double().numpy()):
        summary = brute_force.Summary.of(value)
        mass = brute_force.posterior(parameters, summary, kind, "y", 2500)
        assert posterior.mean[entry].item() == pytest.approx(mass @ np.arange(2500), rel=0.02)
        cumulative = mass.cumsum()
        for quantile, level in zip(quantiles[:, entry].tolist(), levels, strict=True):
            assert cumulative[round(quantile)] == pytest.approx(level, abs=0.05)


def test_cumulative_probabilities_of_each_entry(examples, kind) -> None:
    posterior = examples.batch(kind).posterior(examples.batch(kind).sample())
    counts = examples.double([[0.0, 1.0], [3.0, 4.0], [58.0, 61.0]])
    below, up_to = posterior.cumulative(counts)
    assert below.shape == up_to.shape == (3, 2)
    assert below[0, 0] == 0
    assert (below <= up_to).all()
    for row, column in itertools.product(range(3), range(2)):
        single = posterior.cumulative(counts[row, column])
        assert single[0][row, column] == below[row, column]
        assert single[1][row, column] == up_to[row, column]
    shifted = counts + examples.double([[0.3, -0.2], [0.4, 0.2], [-0.3, 0.1]])
    for found, expected in zip(posterior.rank(shifted), (below, up_to), strict=True):
        assert torch.equal(found, expected)
    for end in posterior.cumulative(examples.double(1e6)):
        torch.testing.assert_close(end, torch.ones(3, 2).double())


def test_an_unknown_count_is_an_error(examples, brute_force) -> None:
    bootstraps = examples.example(brute_force.Kind("shared", "relative"), 2)
    with pytest.raises(ValueError, match="of is 'h'"):
        bootstraps.posterior(torch.ones(2).double(), of="h")


def overlapping() -> CountPosterior:
    """Nodes of two entries: 100 stands for eight counts among which is 101, a node of its own."""
    entry = torch.tensor([1, 0, 0, 1, 1])
    u, width = torch.tensor([3.0, 100.0, 101.0, 9.0, 1e5]), torch.tensor([1.0, 8.0, 1.0, 1.0, 50.0])
    return CountPosterior(
        torch.Size([2]), entry, u, width, torch.tensor([0.5, 0.5, 0.5, 0.25, 0.25])
    )


def test_quantiles_are_in_order_where_nodes_overlap() -> None:
    quantiles = overlapping().quantile(torch.linspace(0.001, 0.999, 500))
    assert (quantiles.diff(dim=0) >= 0).all()


def test_quantiles_are_the_smallest_counts_that_reach_a_level() -> None:
    posterior = overlapping()
    levels = torch.linspace(0.01, 0.99, 99)
    for level, quantile in zip(levels, posterior.quantile(levels), strict=True):
        assert torch.equal(quantile, quantile.round())
        assert (posterior.cumulative(quantile)[1] >= level - 1e-6).all()
        assert (posterior.cumulative(quantile)[0] < level + 1e-6).all()


def test_quantiles_of_single_counts(examples) -> None:
    mass = examples.double([0.5, 0.2, 0.0, 0.3])
    u = torch.arange(4).double()
    posterior = CountPosterior(torch.Size([]), torch.zeros(4).long(), u, torch.ones(4), mass)
    levels = [0.0, 0.4999, 0.5, 0.5001, 0.7, 0.70001, 1.0]
    assert posterior.quantile(levels).tolist() == [0, 0, 0, 1, 1, 3, 3]


def test_draws_have_the_probabilities_of_the_nodes() -> None:
    probability = torch.tensor([0.2, 0.5, 0.3, 1.0, 0.4, 0.6])
    posterior = CountPosterior(
        torch.Size([3]),
        torch.tensor([0, 0, 0, 1, 2, 2]),
        torch.tensor([0.0, 3.0, 9.0, 5.0, 1.0, 50.0]),
        torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 9.0]),
        probability,
    )
    draws = posterior.sample(40_000)
    assert draws.shape == (40_000, 3)
    assert (draws[:, 1] == 5).all()
    for count, share in ((0.0, 0.2), (3.0, 0.5), (9.0, 0.3)):
        assert (draws[:, 0] == count).double().mean() == pytest.approx(share, abs=0.012)
    # A node that stands for nine counts gives each of them the same.
    for count in range(46, 55):
        assert (draws[:, 2] == count).double().mean() == pytest.approx(0.6 / 9, abs=0.007)
