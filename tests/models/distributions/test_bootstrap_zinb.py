"""`BootstrapZINB` as a distribution: mass, samples, moments, limits, and as one of Pyro's."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle

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
from exvae.models.distributions.negative_binomial import log_negative_binomial

# Every test draws with a fixed seed, so this is how unlikely a seed has to be bad.
SMALLEST_P_VALUE = 1e-3
NAMES = (
    "mean",
    "inverse_dispersion",
    "dropout_logits",
    "noise_scale",
    "bootstrap_dropout_logits",
)


# Mass and samples


def cells(edges: list[float], order: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes on the real line, their weights, and the cell between edges that each lies in.

    The first cell is zero, an atom; negative numbers belong to it as in samples.
    """
    nodes, weights, cell = [np.zeros(1)], [np.ones(1)], [np.zeros(1)]
    abscissas, shares = np.polynomial.legendre.leggauss(order)
    panels = [*itertools.pairwise(edges), (-5.0, 0.0), (-20.0, -5.0)]
    for i, (low, high) in enumerate(panels):
        nodes.append(low + (high - low) * (abscissas + 1) / 2)
        weights.append(shares * (high - low) / 2)
        cell.append(np.full(order, i + 1 if low >= 0 else 0))
    nodes, weights, cell = (torch.from_numpy(np.concatenate(x)) for x in (nodes, weights, cell))
    return nodes, weights, cell.long()


def density(bootstraps: BootstrapZINB, value: Tensor) -> Tensor:
    return bootstraps.log_prob(BootstrapSummary.of(value)).exp()


def fits(masses: Tensor, observed: Tensor) -> float:
    """P-value of counts in cells; cells where less than 10 are expected are taken together."""
    rare = masses * observed.sum() < 10
    masses = torch.cat([masses[~rare], masses[rare].sum().unsqueeze(0)])
    observed = torch.cat([observed[~rare], observed[rare].sum().unsqueeze(0)])
    return multinomial_goodness_of_fit(masses, observed)


ONE_EDGES = [*np.arange(0, 12, 0.5), *range(12, 40, 2), 40.0, 60.0, 100.0, 200.0]


def test_one_bootstrap(examples, kind) -> None:
    bootstraps = examples.example(kind, 1)
    nodes, weights, cell = cells(ONE_EDGES, 8)
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


def test_two_bootstraps_together(examples, kind) -> None:
    bootstraps = examples.example(kind, 2)
    nodes, weights, cell = cells(TWO_EDGES, 7)
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


def test_moments_of_samples(examples, kind) -> None:
    bootstraps = examples.batch(kind, num_bootstraps=1)
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
def test_bootstraps_are_exchangeable(examples, kinds, values, order) -> None:
    value = examples.double(values)
    for kind in kinds:
        bootstraps = examples.example(kind, 4)
        log_prob = bootstraps.log_prob(value)
        permuted = bootstraps.log_prob(value[:, order])
        torch.testing.assert_close(permuted, log_prob, rtol=1e-6, atol=1e-6)
        summary = BootstrapSummary.of(value)
        assert torch.equal(bootstraps.log_prob(summary), log_prob)


def test_entries_with_different_numbers_of_bootstraps(examples, kind) -> None:
    bootstraps = examples.batch(kind, num_bootstraps=4)
    value = bootstraps.sample()
    summaries = [BootstrapSummary.of(value[..., :number]) for number in (2, 4)]
    ragged = BootstrapSummary(*(torch.stack(pair) for pair in zip(*summaries, strict=True)))
    log_prob = bootstraps.log_prob(ragged)
    assert log_prob.shape == (2, 3, 2)
    for part, summary in zip(log_prob, summaries, strict=True):
        torch.testing.assert_close(part, bootstraps.log_prob(summary), rtol=1e-9, atol=1e-9)


def test_support(examples, kind) -> None:
    bootstraps = examples.batch(kind)
    assert bootstraps.support.event_dim == 1
    assert not bootstraps.support.is_discrete
    inside = bootstraps.support.check(bootstraps.sample((5,)))
    assert inside.shape == (5, 3, 2)
    assert inside.all()
    assert not bootstraps.has_rsample
    assert not bootstraps.has_enumerate_support
    with pytest.raises(NotImplementedError):
        bootstraps.enumerate_support()


def test_impossible_bootstraps_are_errors(examples, kind) -> None:
    bootstraps = examples.batch(kind)
    with pytest.raises(ValueError, match="support"):
        bootstraps.log_prob(examples.double([1.0, float("nan"), 0.0, 2.0]))


def test_values_of_wrong_shapes_are_errors(examples, kind) -> None:
    bootstraps = examples.batch(kind)
    with pytest.raises(ValueError):
        bootstraps.log_prob(torch.ones(3, 2, 5).double())
    with pytest.raises(ValueError):
        bootstraps.log_prob(torch.ones(3, 5, 4).double())


# Options and parameters


@pytest.mark.parametrize("option", ["error", "noise", "quadrature"])
def test_unknown_options_are_errors(examples, option: str) -> None:
    arguments = {name: torch.tensor(value) for name, value in examples.PARAMETERS.items()}
    options = {"error": "shared", "noise": "absolute", "quadrature": "grid"}
    BootstrapZINB(**arguments, num_bootstraps=2, **options)
    with pytest.raises(ValueError, match=rf"{option} is 'none'; choose"):
        BootstrapZINB(**arguments, num_bootstraps=2, **options | {option: "none"})


@pytest.mark.parametrize("name", NAMES)
def test_impossible_parameters_are_errors(examples, kind, name: str) -> None:
    impossible = [float("nan")] if name.endswith("logits") else [float("nan"), -1.0, 0.0]
    for value in impossible:
        with pytest.raises(ValueError, match=name):
            examples.example(kind, 2, **{name: value})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sample_shape", [(), (4,), (5, 4)])
def test_shapes(examples, kind, dtype: torch.dtype, sample_shape: tuple[int, ...]) -> None:
    bootstraps = examples.batch(kind, dtype=dtype)
    assert (bootstraps.batch_shape, bootstraps.event_shape) == ((3, 2), (4,))
    draws = bootstraps.sample(torch.Size(sample_shape))
    assert draws.shape == (*sample_shape, 3, 2, 4)
    assert bootstraps.mean.shape == bootstraps.variance.shape == (3, 2, 4)
    log_prob = bootstraps.log_prob(draws)
    assert log_prob.shape == (*sample_shape, 3, 2)
    assert draws.dtype == bootstraps.mean.dtype == log_prob.dtype == dtype


def test_parameters_and_values_broadcast(examples, kind) -> None:
    bootstraps = examples.batch(kind)
    value = examples.double([3.0, 0.0, 2.0, 5.5])
    log_prob = bootstraps.log_prob(value.expand(5, 1, 1, 4))
    assert log_prob.shape == (5, 3, 2)
    for i, mean in enumerate((0.3, 4.0, 60.0)):
        for j, scale in enumerate((0.5, 1.5)):
            single = examples.example(kind, 4, mean=mean, noise_scale=scale)
            assert single.batch_shape == ()
            expected = single.log_prob(value).expand(5)
            torch.testing.assert_close(log_prob[:, i, j], expected, rtol=1e-9, atol=1e-9)
    # A batch of values against a single distribution.
    values = bootstraps.sample((7,))
    assert examples.example(kind, 4).log_prob(values).shape == (7, 3, 2)


@pytest.mark.parametrize("quadrature", ["sum", "grid"])
def test_expand(examples, kind, quadrature: str) -> None:
    arguments = {name: examples.double(value) for name, value in examples.PARAMETERS.items()}
    arguments["mean"] = examples.double([[1.0], [400.0]])
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


def test_expand_by_and_masks_and_events(examples, kind) -> None:
    bootstraps = examples.batch(kind)
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


def test_copies_are_equal(examples, kind) -> None:
    bootstraps = examples.batch(kind)
    value = bootstraps.sample()
    log_prob = bootstraps.log_prob(value)
    for copied in (pickle.loads(pickle.dumps(bootstraps)), saved_and_loaded(bootstraps)):
        assert torch.equal(copied.log_prob(value), log_prob)
        assert torch.equal(copied.mean, bootstraps.mean)
    assert torch.equal(copy.deepcopy(bootstraps).log_prob(value), log_prob)


def test_default_options_are_those_of_the_paper(examples) -> None:
    tensors = [torch.tensor(value) for value in examples.PARAMETERS.values()]
    chosen = BootstrapZINB(
        *tensors, num_bootstraps=3, error="independent", noise="absolute", quadrature="sum"
    )
    value = chosen.sample((20,))
    assert torch.equal(
        BootstrapZINB(*tensors, num_bootstraps=3).log_prob(value), chosen.log_prob(value)
    )


# Limits


def test_without_noise_the_masses_of_the_count_are_left(examples, kind) -> None:
    scale = 1e-3
    changes = {"bootstrap_dropout_logits": -40.0, "noise_scale": scale}
    bootstraps = examples.example(kind, 1, **changes)
    u = torch.arange(1.0, 30.0).double()
    variance = scale**2 * (torch.ones_like(u) if kind.noise == "absolute" else 1 + u)
    if kind.error == "shared":
        variance = 2 * variance
    p_count = torch.tensor(-1.2).sigmoid().neg().add(1).log() + log_negative_binomial(
        u, *examples.double([4.0, 2.5])
    )
    expected = p_count - 0.5 * (2 * math.pi * variance).log()
    actual = bootstraps.log_prob(u.unsqueeze(-1))
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-3)


def test_large_inverse_dispersion_is_poisson(examples, kind) -> None:
    changes = {"inverse_dispersion": 1e9, "dropout_logits": -40.0}
    bootstraps = examples.example(kind, 1, **changes)
    u = torch.arange(200.0).double()
    variance = 0.81 * (torch.ones_like(u) if kind.noise == "absolute" else 1 + u)
    variance = variance * (2 if kind.error == "shared" else 1)
    value = examples.double([0.5, 3.3, 9.1])
    terms = torch.distributions.Poisson(examples.double(4.0)).log_prob(u)
    terms = terms + torch.distributions.Normal(u, variance.sqrt()).log_prob(value.unsqueeze(-1))
    expected = terms.logsumexp(-1) + examples.double(0.7).sigmoid().log()
    torch.testing.assert_close(
        bootstraps.log_prob(value.unsqueeze(-1)), expected, atol=1e-3, rtol=0
    )


def test_bootstraps_that_are_all_dropped_out(examples, kind) -> None:
    bootstraps = examples.example(kind, 3, bootstrap_dropout_logits=40.0)
    assert bootstraps.log_prob(torch.zeros(3).double()).item() == pytest.approx(0.0, abs=1e-6)
    assert (bootstraps.sample((50,)) == 0).all()
    assert bootstraps.mean.abs().max() < 1e-6


def test_a_known_count_makes_bootstraps_independent(examples, brute_force) -> None:
    # With u = 0 for certain and no error of the estimate's own, nothing is shared.
    for noise in brute_force.NOISES:
        kind = brute_force.Kind("independent", noise)
        value = examples.double([0.0, 0.4, 1.3])
        together = examples.example(kind, 3, dropout_logits=60.0).log_prob(value)
        apart = examples.example(kind, 1, dropout_logits=60.0).log_prob(value.unsqueeze(-1)).sum()
        torch.testing.assert_close(together, apart, rtol=0, atol=1e-3)


# As a site of Pyro


def test_observed_as_bootstraps_or_as_their_summary(examples, kind) -> None:
    arguments = dict(zip(NAMES, examples.batch(kind).parameters, strict=True))
    value = examples.batch(kind).sample()

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
    start = examples.example(kind, 4, mean=[[0.3], [4.0], [60.0]], noise_scale=[0.45, 1.35])
    assert losses[0][0] == pytest.approx(-10 * start.log_prob(value).sum().item())
    draws = Predictive(model, num_samples=6)()["bootstraps"]
    assert draws.shape == (6, 3, 2, 4)
