"""`BootstrapZINB` as a distribution: mass, samples, moments, limits, and as one of Pyro's."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
from collections.abc import Sequence

import numpy as np
import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyro.distributions.testing.gof import multinomial_goodness_of_fit
from pyro.infer import SVI, Predictive, Trace_ELBO
from torch import Tensor
from torch.distributions import constraints

from exvae.data.bootstraps import BootstrapSummary
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB
from exvae.models.distributions.count_posterior import CountPosterior
from exvae.models.distributions.negative_binomial import log_negative_binomial

# Every test draws with a fixed seed, so this is how unlikely a seed has to be bad.
SMALLEST_P_VALUE = 1e-3

EXAMPLE = {
    "mean": 4.0,
    "inverse_dispersion": 2.5,
    "dropout_logits": -1.2,
    "noise_scale": 0.9,
    "bootstrap_dropout_logits": -0.7,
    "noise_concentration": 30.0,
}


def double(values: Sequence | float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def example(kind, num_bootstraps: int, dtype=torch.float64, **changes) -> BootstrapZINB:
    arguments = {
        name: torch.as_tensor(value, dtype=dtype) for name, value in (EXAMPLE | changes).items()
    }
    return BootstrapZINB(**arguments, num_bootstraps=num_bootstraps, **kind._asdict())


def batch(kind, num_bootstraps: int = 4, dtype=torch.float64) -> BootstrapZINB:
    """Give a distribution with batch shape (3, 2)."""
    return example(kind, num_bootstraps, dtype, mean=[[0.3], [4.0], [60.0]], noise_scale=[0.5, 1.5])


# Mass and samples


def cells(kind, edges: list[float], order: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes on the real line, their weights, and the cell between edges that each lies in.

    The first cell is zero, an atom; negative numbers, where they are, belong to it as in samples.
    """
    nodes, weights, cell = [np.zeros(1)], [np.ones(1)], [np.zeros(1)]
    abscissas, shares = np.polynomial.legendre.leggauss(order)
    panels = list(itertools.pairwise(edges))
    if kind.zeros == "atom":
        panels += [(-5.0, 0.0), (-20.0, -5.0)]
    for i, (low, high) in enumerate(panels):
        nodes.append(low + (high - low) * (abscissas + 1) / 2)
        weights.append(shares * (high - low) / 2)
        cell.append(np.full(order, i + 1 if low >= 0 else 0))
    nodes, weights, cell = (torch.from_numpy(np.concatenate(x)) for x in (nodes, weights, cell))
    return nodes, weights, cell.long()


def density(bootstraps: BootstrapZINB, value: Tensor) -> Tensor:
    return bootstraps.log_prob_summary(BootstrapSummary.of(value)).exp()


def fits(masses: Tensor, observed: Tensor) -> float:
    """P-value of counts in cells; cells where less than 10 are expected are taken together."""
    rare = masses * observed.sum() < 10
    masses = torch.cat([masses[~rare], masses[rare].sum().unsqueeze(0)])
    observed = torch.cat([observed[~rare], observed[rare].sum().unsqueeze(0)])
    return multinomial_goodness_of_fit(masses, observed)


ONE_EDGES = [*np.arange(0, 12, 0.5), *range(12, 40, 2), 40.0, 60.0, 100.0, 200.0]


def test_one_bootstrap(kind) -> None:
    bootstraps = example(kind, 1)
    nodes, weights, cell = cells(kind, ONE_EDGES, 8)
    masses = weights * density(bootstraps, nodes.unsqueeze(-1))
    assert masses.sum().item() == pytest.approx(1.0, abs=2e-5)

    value = nodes.clamp(min=0.0)
    mean = (masses * value).sum()
    variance = (masses * value.square()).sum() - mean.square()
    torch.testing.assert_close(bootstraps.mean, mean.expand(1), rtol=1e-4, atol=0)
    torch.testing.assert_close(bootstraps.variance, variance.expand(1), rtol=1e-3, atol=0)

    draws = bootstraps.sample((100_000,)).squeeze(-1)
    assert (draws >= 0).all()
    observed = torch.searchsorted(torch.tensor(ONE_EDGES), draws).bincount(minlength=cell.max() + 1)
    in_cells = torch.zeros(len(observed)).double().index_add(0, cell, masses)
    assert fits(in_cells, observed) > SMALLEST_P_VALUE


TWO_EDGES = [0.0, 0.7, 1.5, 2.5, 4.0, 6.0, 9.0, 14.0, 25.0, 60.0]


def test_two_bootstraps_together(kind) -> None:
    bootstraps = example(kind, 2)
    nodes, weights, cell = cells(kind, TWO_EDGES, 7)
    # They are exchangeable, so that one half of the plane says all.
    first, second = torch.triu_indices(len(nodes), len(nodes))
    pairs = torch.stack([nodes[first], nodes[second]], dim=-1)
    masses = torch.zeros(len(nodes), len(nodes)).double()
    masses[first, second] = masses[second, first] = density(bootstraps, pairs)
    masses *= weights.outer(weights)
    assert masses.sum().item() == pytest.approx(1.0, abs=1e-4)

    number = len(TWO_EDGES)
    both = number * cell.unsqueeze(-1) + cell
    in_cells = torch.zeros(number**2).double()
    in_cells.index_add_(0, both.flatten(), masses.flatten())
    draws = torch.searchsorted(torch.tensor(TWO_EDGES), bootstraps.sample((100_000,)))
    draws = draws.clamp(max=number - 1)
    observed = (number * draws[:, 0] + draws[:, 1]).bincount(minlength=number**2)
    assert fits(in_cells / in_cells.sum(), observed) > SMALLEST_P_VALUE


@pytest.mark.parametrize("error", ["shared", "independent"])
@pytest.mark.parametrize("noise", ["adaptive", "relative", "absolute"])
def test_zeros_among_five_bootstraps(brute_force, error, noise) -> None:
    kind = brute_force.Kind(error, "rectified", noise)
    bootstraps = example(kind, 5, mean=2.0, noise_scale=0.6)
    number = 100_000
    draws = bootstraps.sample((number,)) == 0
    for k in range(1, 6):
        mass = density(bootstraps, torch.zeros(k).double()).item()
        deviation = math.sqrt(mass * (1 - mass) / number)
        frequency = draws[:, :k].all(-1).double().mean().item()
        assert frequency == pytest.approx(mass, abs=4 * deviation)


def test_moments_of_samples(kind) -> None:
    bootstraps = batch(kind, num_bootstraps=1)
    draws = bootstraps.sample((100_000,))
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - bootstraps.mean).abs() < 4 * error).all()
    squares = (draws - bootstraps.mean).square()
    error = squares.std(0) / math.sqrt(len(draws))
    assert ((squares.mean(0) - bootstraps.variance).abs() < 5 * error).all()


# What the value may be


one_value = st.lists(
    st.one_of(st.just(0.0), st.floats(0.0, 200.0, width=32)), min_size=4, max_size=4
)


@settings(deadline=None, max_examples=3)
@given(values=st.lists(one_value, min_size=6, max_size=6), order=st.permutations(range(4)))
def test_bootstraps_are_exchangeable(kinds, values, order) -> None:
    value = double(values)
    for kind in kinds:
        bootstraps = example(kind, 4)
        log_prob = bootstraps.log_prob(value)
        permuted = bootstraps.log_prob(value[:, order])
        torch.testing.assert_close(permuted, log_prob, rtol=1e-6, atol=1e-6)
        summary = BootstrapSummary.of(value)
        assert torch.equal(bootstraps.log_prob_summary(summary), log_prob)


def test_entries_with_different_numbers_of_bootstraps(kind) -> None:
    bootstraps = batch(kind, num_bootstraps=4)
    value = bootstraps.sample()
    summaries = [BootstrapSummary.of(value[..., :number]) for number in (2, 4)]
    ragged = BootstrapSummary(*(torch.stack(pair) for pair in zip(*summaries, strict=True)))
    log_prob = bootstraps.log_prob(ragged)
    assert log_prob.shape == (2, 3, 2)
    assert torch.equal(bootstraps.log_prob_summary(ragged), log_prob)
    for part, summary in zip(log_prob, summaries, strict=True):
        torch.testing.assert_close(part, bootstraps.log_prob(summary), rtol=1e-9, atol=1e-9)


def test_support(kind) -> None:
    bootstraps = batch(kind)
    assert bootstraps.support.event_dim == 1
    assert not bootstraps.support.is_discrete
    inside = bootstraps.support.check(bootstraps.sample((5,)))
    assert inside.shape == (5, 3, 2)
    assert inside.all()
    assert not bootstraps.has_rsample
    assert not bootstraps.has_enumerate_support
    with pytest.raises(NotImplementedError):
        bootstraps.enumerate_support()


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_impossible_bootstraps_are_errors(brute_force, value: float) -> None:
    bootstraps = batch(brute_force.Kind("shared", "rectified", "adaptive"))
    with pytest.raises(ValueError, match="support"):
        bootstraps.log_prob(double([1.0, value, 0.0, 2.0]))


def test_values_of_wrong_shapes_are_errors(kind) -> None:
    bootstraps = batch(kind)
    with pytest.raises(ValueError):
        bootstraps.log_prob(torch.ones(3, 2, 5).double())
    with pytest.raises(ValueError):
        bootstraps.log_prob(torch.ones(3, 5, 4).double())


# Options and parameters


@pytest.mark.parametrize("option", ["error", "zeros", "noise", "quadrature"])
def test_unknown_options_are_errors(brute_force, option: str) -> None:
    arguments = {name: torch.tensor(value) for name, value in EXAMPLE.items()}
    options = {"error": "shared", "zeros": "atom", "noise": "absolute", "quadrature": "grid"}
    BootstrapZINB(**arguments, num_bootstraps=2, **options)
    with pytest.raises(ValueError, match=rf"{option} is 'none'; choose"):
        BootstrapZINB(**arguments, num_bootstraps=2, **options | {option: "none"})


@pytest.mark.parametrize("name", EXAMPLE)
def test_impossible_parameters_are_errors(brute_force, name: str) -> None:
    kind = brute_force.Kind("shared", "rectified", "adaptive")
    impossible = [float("nan")] if name.endswith("logits") else [float("nan"), -1.0, 0.0]
    for value in impossible:
        with pytest.raises(ValueError, match=name):
            example(kind, 2, **{name: value})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sample_shape", [(), (4,), (5, 4)])
def test_shapes(kind, dtype: torch.dtype, sample_shape: tuple[int, ...]) -> None:
    bootstraps = batch(kind, dtype=dtype)
    assert (bootstraps.batch_shape, bootstraps.event_shape) == ((3, 2), (4,))
    draws = bootstraps.sample(torch.Size(sample_shape))
    assert draws.shape == (*sample_shape, 3, 2, 4)
    assert bootstraps.mean.shape == bootstraps.variance.shape == (3, 2, 4)
    log_prob = bootstraps.log_prob(draws)
    assert log_prob.shape == (*sample_shape, 3, 2)
    assert draws.dtype == bootstraps.mean.dtype == log_prob.dtype == dtype


def test_parameters_and_values_broadcast(kind) -> None:
    bootstraps = batch(kind)
    value = double([3.0, 0.0, 2.0, 5.5])
    log_prob = bootstraps.log_prob(value.expand(5, 1, 1, 4))
    assert log_prob.shape == (5, 3, 2)
    for i, mean in enumerate((0.3, 4.0, 60.0)):
        for j, scale in enumerate((0.5, 1.5)):
            single = example(kind, 4, mean=mean, noise_scale=scale)
            assert single.batch_shape == ()
            expected = single.log_prob(value).expand(5)
            torch.testing.assert_close(log_prob[:, i, j], expected, rtol=1e-9, atol=1e-9)
    # A batch of values against a single distribution.
    values = bootstraps.sample((7,))
    assert example(kind, 4).log_prob(values).shape == (7, 3, 2)


@pytest.mark.parametrize("quadrature", ["adaptive", "grid"])
def test_expand(kind, quadrature: str) -> None:
    arguments = {name: double(value) for name, value in EXAMPLE.items()}
    arguments["mean"] = double([[1.0], [400.0]])
    bootstraps = BootstrapZINB(
        **arguments, num_bootstraps=2, **kind._asdict(), quadrature=quadrature, grid_size=300
    )
    larger = bootstraps.expand(torch.Size([2, 3]))  # a dimension of size one
    larger = larger.expand((4, 2, 3)).expand([5, 4, 2, 3])  # and new ones, twice
    assert larger.batch_shape == (5, 4, 2, 3)
    assert larger.event_shape == (2,)
    assert larger._validate_args == bootstraps._validate_args
    value = larger.sample()
    assert value.shape == (5, 4, 2, 3, 2)
    value = value[0, 0]
    torch.testing.assert_close(
        larger.log_prob(value)[0, 0], bootstraps.log_prob(value), rtol=1e-9, atol=1e-9
    )
    assert torch.equal(larger.mean[0, 0], bootstraps.mean.expand(2, 3, 2))
    with pytest.raises(RuntimeError):
        bootstraps.expand(torch.Size([3, 1]))


def test_expand_by_and_masks_and_events(kind) -> None:
    bootstraps = batch(kind)
    value = bootstraps.sample()
    log_prob = bootstraps.log_prob(value)
    assert bootstraps.expand_by([7]).sample().shape == (7, 3, 2, 4)
    mask = torch.tensor([True, False])
    assert torch.equal(bootstraps.mask(mask).log_prob(value), log_prob * mask)
    event = bootstraps.to_event(1)
    assert (event.batch_shape, event.event_shape) == ((3,), (2, 4))
    assert torch.equal(event.log_prob(value), log_prob.sum(-1))


def saved_and_loaded(bootstraps: BootstrapZINB) -> BootstrapZINB:
    buffer = io.BytesIO()
    torch.save(bootstraps, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


def test_copies_are_equal(kind) -> None:
    bootstraps = batch(kind)
    value = bootstraps.sample()
    log_prob = bootstraps.log_prob(value)
    for copied in (pickle.loads(pickle.dumps(bootstraps)), saved_and_loaded(bootstraps)):
        assert torch.equal(copied.log_prob(value), log_prob)
        assert torch.equal(copied.mean, bootstraps.mean)
    assert torch.equal(copy.deepcopy(bootstraps).log_prob(value), log_prob)


def test_default_options_are_those_of_the_interface() -> None:
    tensors = [torch.tensor(value) for value in EXAMPLE.values()][:5]
    chosen = BootstrapZINB(
        *tensors, num_bootstraps=3, error="shared", zeros="rectified", noise="adaptive"
    )
    value = chosen.sample((20,))
    assert torch.equal(
        BootstrapZINB(*tensors, num_bootstraps=3).log_prob(value), chosen.log_prob(value)
    )


# Limits


def test_without_noise_the_masses_of_the_count_are_left(kind) -> None:
    scale = 1e-3
    changes = {"bootstrap_dropout_logits": -40.0, "noise_scale": scale, "noise_concentration": 1e8}
    bootstraps = example(kind, 1, **changes)
    u = torch.arange(1.0, 30.0).double()
    variance = scale**2 * (torch.ones_like(u) if kind.noise == "absolute" else 1 + u)
    if kind.error == "shared":
        variance = 2 * variance
    p_count = torch.tensor(-1.2).sigmoid().neg().add(1).log() + log_negative_binomial(
        u, *double([4.0, 2.5])
    )
    expected = p_count - 0.5 * (2 * math.pi * variance).log()
    actual = bootstraps.log_prob(u.unsqueeze(-1))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-3)


def test_large_inverse_dispersion_is_poisson(kind) -> None:
    changes = {"inverse_dispersion": 1e9, "dropout_logits": -40.0, "noise_concentration": 1e8}
    bootstraps = example(kind, 1, **changes)
    u = torch.arange(200.0).double()
    variance = 0.81 * (torch.ones_like(u) if kind.noise == "absolute" else 1 + u)
    variance = variance * (2 if kind.error == "shared" else 1)
    value = double([0.5, 3.3, 9.1])
    terms = torch.distributions.Poisson(double(4.0)).log_prob(u)
    terms = terms + torch.distributions.Normal(u, variance.sqrt()).log_prob(value.unsqueeze(-1))
    expected = terms.logsumexp(-1) + double(0.7).sigmoid().log()
    torch.testing.assert_close(
        bootstraps.log_prob(value.unsqueeze(-1)), expected, atol=1e-3, rtol=0
    )


def test_bootstraps_that_are_all_dropped_out(kind) -> None:
    bootstraps = example(kind, 3, bootstrap_dropout_logits=40.0)
    assert bootstraps.log_prob(torch.zeros(3).double()).item() == pytest.approx(0.0, abs=1e-6)
    assert (bootstraps.sample((50,)) == 0).all()
    assert bootstraps.mean.abs().max() < 1e-6


def test_a_known_count_makes_bootstraps_independent(brute_force) -> None:
    # With u = 0 for certain and no error of the estimate's own, nothing is shared.
    for zeros, noise in itertools.product(["rectified", "atom"], ["relative", "absolute"]):
        kind = brute_force.Kind("independent", zeros, noise)
        value = double([0.0, 0.4, 1.3])
        together = example(kind, 3, dropout_logits=60.0).log_prob(value)
        apart = example(kind, 1, dropout_logits=60.0).log_prob(value.unsqueeze(-1)).sum()
        torch.testing.assert_close(together, apart, rtol=0, atol=1e-3)


# The posterior of the count, and the masses of bins


SUMMARIES = [
    (2, 0, 0.0, 0.0),
    (1, 3, 2.2, 1.5),
    (0, 4, 11.3, 20.0),
    (0, 1, 70.0, 0.0),
    (9, 1, 5, 0),
]


@pytest.mark.parametrize("of", ["u", "y"])
def test_posterior(brute_force, kind, of: str) -> None:
    changes = {"noise_concentration": 7.0}
    parameters = brute_force.Parameters(*(EXAMPLE | changes).values())
    posterior = example(kind, 4, **changes).posterior(BootstrapSummary(*double(SUMMARIES).T), of=of)
    levels = [0.025, 0.25, 0.5, 0.9, 0.975]
    quantiles = posterior.quantile(levels)
    assert quantiles.shape == (5, len(SUMMARIES))
    torch.testing.assert_close(posterior.quantile(0.5), quantiles[2])
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
        below, up_to = (part[entry].item() for part in posterior.cumulative(double(float(u))))
        assert below == pytest.approx(cumulative[u], abs=2e-3)
        assert up_to == pytest.approx(cumulative[u + 1], abs=2e-3)
        assert up_to - below == pytest.approx(mass[u], rel=0.05, abs=1e-4)


def check_quantiles(quantiles: Tensor, levels: list[float], mass: np.ndarray) -> None:
    """Quantiles are the smallest counts whose cumulative probability reaches the level."""
    cumulative = np.concatenate([[0.0], mass.cumsum()])
    for quantile, level in zip(quantiles.tolist(), levels, strict=True):
        assert cumulative[math.ceil(quantile) + 1] >= level - 2e-3
        assert cumulative[math.floor(quantile)] <= level + 2e-3


def test_mixture_of_posteriors(brute_force, kind) -> None:
    means = (2.0, 30.0)
    summary = BootstrapSummary(*(double([x]) for x in (0.0, 2.0, 12.0, 8.0)))
    parts = [example(kind, 2, mean=mean).posterior(summary) for mean in means]
    mixture = type(parts[0]).mixture(parts)
    mass = np.mean(
        [
            brute_force.posterior(
                brute_force.Parameters(*(EXAMPLE | {"mean": mean}).values()),
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


def test_posterior_of_large_counts(brute_force, kind) -> None:
    changes = {"mean": 900.0, "noise_scale": 40.0 if kind.noise == "absolute" else 1.5}
    parameters = brute_force.Parameters(*(EXAMPLE | changes).values())
    summary = (0, 5, 1200.0, 4 * 1500.0)
    tensors = BootstrapSummary(*double(summary))
    posterior = example(kind, 5, **changes).posterior(tensors)
    mass = brute_force.posterior(parameters, brute_force.Summary(*summary), kind, "u", 6000)
    u = np.arange(6000.0)
    mean = mass @ u
    assert posterior.mean.item() == pytest.approx(mean, rel=1e-4)
    assert posterior.variance.item() == pytest.approx(mass @ (u - mean) ** 2, rel=1e-2)
    levels = [0.025, 0.5, 0.975]
    check_quantiles(posterior.quantile(levels), levels, mass)
    for count in (0, 1150, 1203, 1270, 5999):
        below, up_to = posterior.cumulative(double(count))
        assert below.item() == pytest.approx(mass[:count].sum(), abs=3e-3)
        assert up_to.item() == pytest.approx(mass[: count + 1].sum(), abs=3e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bootstraps_of_a_count_that_was_dropped_do_not_tell_the_count(
    brute_force, kind, dtype: torch.dtype
) -> None:
    # Next to zero where hundreds are expected: u = 0, and y is anything that the prior allows.
    changes = {"mean": 400.0, "inverse_dispersion": 12.0, "noise_scale": 0.9}
    values = torch.tensor([[1.8, 0.7, 0.4, 0.0], [0.0, 0.0, 0.0, 0.1], [2.3, 2.2, 0.0, 0.6]])
    posterior = example(kind, 4, dtype, **changes).posterior(values.to(dtype), of="y")
    parameters = brute_force.Parameters(*(EXAMPLE | changes).values())
    levels = [0.1, 0.5, 0.9]
    quantiles = posterior.quantile(levels)
    for entry, value in enumerate(values.double().numpy()):
        summary = brute_force.Summary.of(value)
        mass = brute_force.posterior(parameters, summary, kind, "y", 2500)
        assert posterior.mean[entry].item() == pytest.approx(mass @ np.arange(2500), rel=0.02)
        cumulative = mass.cumsum()
        for quantile, level in zip(quantiles[:, entry].tolist(), levels, strict=True):
            assert cumulative[round(quantile)] == pytest.approx(level, abs=0.05)


def test_cumulative_probabilities_of_each_entry(kind) -> None:
    posterior = batch(kind).posterior(batch(kind).sample())
    counts = double([[0.0, 1.0], [3.0, 4.0], [58.0, 61.0]])
    below, up_to = posterior.cumulative(counts)
    assert below.shape == up_to.shape == (3, 2)
    assert below[0, 0] == 0
    assert (below <= up_to).all()
    for row, column in itertools.product(range(3), range(2)):
        single = posterior.cumulative(counts[row, column])
        assert single[0][row, column] == below[row, column]
        assert single[1][row, column] == up_to[row, column]
    shifted = counts + double([[0.3, -0.2], [0.4, 0.2], [-0.3, 0.1]])
    for found, expected in zip(posterior.rank(shifted), (below, up_to), strict=True):
        assert torch.equal(found, expected)
    for end in posterior.cumulative(double(1e6)):
        torch.testing.assert_close(end, torch.ones(3, 2).double())


def test_an_unknown_count_is_an_error(brute_force) -> None:
    bootstraps = example(brute_force.Kind("shared", "rectified", "adaptive"), 2)
    with pytest.raises(ValueError, match="of is 'h'"):
        bootstraps.posterior(torch.ones(2).double(), of="h")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_bins_sum_to_one(kind, dtype: torch.dtype) -> None:
    bootstraps = example(kind, 1, dtype, mean=[[0.3], [20.0]])
    log_mass = bootstraps.log_prob_of_bin(torch.arange(250.0, dtype=dtype))
    assert log_mass.shape == (2, 250)
    total = log_mass.double().exp().sum(-1)
    torch.testing.assert_close(total, torch.ones(2).double(), rtol=0, atol=2e-5)


def bins(stress_points, brute_force, kind) -> tuple[list, Tensor, Tensor]:
    """Draw parameters and counts near zero, near the mean and elsewhere, and find the masses."""
    rng = np.random.default_rng([5, *map(ord, "".join(kind))])
    parameters, counts, expected = [], [], []
    for point, _ in stress_points.draw(brute_force, kind, 40, seed=5):
        k = int(rng.choice([0, 1, round(point.mean), round(10 ** rng.uniform(0, 4))]))
        parameters.append(point)
        counts.append(float(k))
        expected.append(brute_force.log_prob_of_bin(k, point, kind))
    return parameters, *(double(x) for x in (counts, expected))


def test_masses_of_bins(brute_force, stress_points, kind) -> None:
    parameters, k, expected = bins(stress_points, brute_force, kind)
    for dtype in (torch.float64, torch.float32):
        tensors = torch.tensor(parameters, dtype=dtype).T
        bootstraps = BootstrapZINB(
            *tensors[:5], num_bootstraps=1, **kind._asdict(), noise_concentration=tensors[5]
        )
        log_mass = bootstraps.log_prob_of_bin(k.to(dtype)).double()
        # Smaller masses than e^-60 are lost where differences of distribution functions underflow.
        likely = expected > -60
        assert likely.sum() > 20
        torch.testing.assert_close(log_mass[likely], expected[likely], rtol=0, atol=2e-3)
        assert (log_mass[~likely] < -50).all()


def test_bins_hold_the_density(kind) -> None:
    bootstraps = example(kind, 1)
    abscissas, weights = np.polynomial.legendre.leggauss(10)
    for k in (1, 4, 20):
        value = k + torch.from_numpy(abscissas) / 2
        mass = torch.from_numpy(weights) / 2 @ bootstraps.log_prob(value.unsqueeze(-1)).exp()
        actual = bootstraps.log_prob_of_bin(double(k))
        torch.testing.assert_close(actual, mass.log(), rtol=0, atol=1e-3)


# As a site of Pyro


def test_observed_as_bootstraps_or_as_their_summary(kind) -> None:
    arguments = batch(kind).parameters._asdict()
    value = batch(kind).sample()

    def model(obs: Tensor | BootstrapSummary | None = None) -> Tensor:
        scale = pyro.param("scale", arguments["noise_scale"] * 0.9, constraint=constraints.positive)
        site = BootstrapZINB(
            **arguments | {"noise_scale": scale}, num_bootstraps=4, **kind._asdict()
        )
        with (
            pyro.plate("cells", 30, subsample=torch.arange(3), dim=-2),
            pyro.plate("isoforms", 2, dim=-1),
        ):
            return pyro.sample("bootstraps", site, obs=obs)

    losses = []
    for obs in (value, BootstrapSummary.of(value)):
        pyro.clear_param_store()
        svi = SVI(model, lambda obs: None, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
        losses.append([svi.step(obs) for _ in range(3)])
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]
    start = example(kind, 4, mean=[[0.3], [4.0], [60.0]], noise_scale=[0.45, 1.35])
    assert losses[0][0] == pytest.approx(-10 * start.log_prob(value).sum().item())
    draws = Predictive(model, num_samples=6)()["bootstraps"]
    assert draws.shape == (6, 3, 2, 4)
