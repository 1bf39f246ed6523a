"""Negative binomial and its zero-inflated form: values, tails, gradients, samples, shapes."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pyro
import pytest
import torch
from pyro.distributions.testing.gof import multinomial_goodness_of_fit
from pyro.infer import SVI, Predictive, Trace_ELBO
from torch import Tensor

from exvae.models.distributions.negative_binomial import ZINB, log_negative_binomial

# Every test draws with a fixed seed, so this is how unlikely a seed has to be bad.
SMALLEST_P_VALUE = 1e-3


def stress() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw counts near the mean, 0, 1 and in the tail, with means and inverse dispersions."""
    rng = np.random.default_rng(0)
    mean = 10 ** rng.uniform(-3, 5, 4000)
    theta = 10 ** rng.uniform(-2, 6, 4000)
    near = rng.poisson(rng.gamma(theta, mean / theta)).astype(float)
    far = np.round(10 ** rng.uniform(0, 6, 4000))
    u = np.choose(rng.integers(0, 4, 4000), [near, far, np.zeros(4000), np.ones(4000)])
    u, mean, theta = (np.float32(x).astype(float) for x in (u, mean, theta))
    return np.round(u), mean, theta


def test_log_mass_in_both_precisions(brute_force) -> None:
    points = stress()
    expected = torch.from_numpy(brute_force.log_negative_binomial(*points))
    exact = log_negative_binomial(*map(torch.from_numpy, points))
    # Stirling's formula is continued to 2e-5 nats.
    torch.testing.assert_close(exact, expected, rtol=1e-9, atol=3e-5)
    single = log_negative_binomial(*(torch.from_numpy(x).float() for x in points))
    torch.testing.assert_close(single.double(), expected, rtol=1e-6, atol=1e-3)


def test_counts_need_not_be_integers(brute_force) -> None:
    u, mean, theta = stress()
    u = 1 + u * 1.37
    expected = torch.from_numpy(brute_force.log_negative_binomial(u, mean, theta))
    actual = log_negative_binomial(*map(torch.from_numpy, (u, mean, theta)))
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=3e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients(brute_force, dtype: torch.dtype) -> None:
    u, mean, theta = stress()
    logs = [torch.from_numpy(np.log(x)).requires_grad_() for x in (mean, theta)]
    # The parameters are rounded, not their logarithms.
    rounded = [x.exp().to(dtype) for x in logs]
    log_negative_binomial(torch.from_numpy(u).to(dtype), *rounded).sum().backward()
    step = 1e-3
    for i, log in enumerate(logs):
        shifted = []
        for shift in (-2 * step, -step, step, 2 * step):
            moved = [mean, theta]
            moved[i] = moved[i] * np.exp(shift)
            shifted.append(brute_force.log_negative_binomial(u, *moved))
        expected = (shifted[0] - 8 * shifted[1] + 8 * shifted[2] - shifted[3]) / (12 * step)
        tolerance = 1e-4 if dtype == torch.float64 else 1e-3
        torch.testing.assert_close(
            log.grad, torch.from_numpy(expected), rtol=tolerance, atol=tolerance
        )


def test_total_mass_and_moments_of_the_masses() -> None:
    u = torch.arange(200_000, dtype=torch.float64).unsqueeze(-1)
    counts = ZINB(
        *torch.tensor([[0.02, 3.0, 400.0], [0.3, 2.0, 1e5], [0.4, -1.0, 2.0]], dtype=torch.float64)
    )
    masses = counts.log_prob(u).exp()
    torch.testing.assert_close(masses.sum(0), torch.ones(3).double(), rtol=0, atol=2e-5)
    mean = (masses * u).sum(0)
    torch.testing.assert_close(mean, counts.mean, rtol=5e-5, atol=0)
    variance = (masses * u.square()).sum(0) - mean.square()
    torch.testing.assert_close(variance, counts.variance, rtol=1e-4, atol=0)


def test_large_inverse_dispersion_is_poisson() -> None:
    u = torch.tensor([0.0, 1.0, 7.0, 40.0, 300.0])
    for dtype, atol in ((torch.float32, 1e-3), (torch.float64, 1e-4)):
        mean = torch.tensor(30.0, dtype=dtype)
        actual = log_negative_binomial(u.to(dtype), mean, torch.tensor(1e9, dtype=dtype))
        expected = torch.distributions.Poisson(mean).log_prob(u.to(dtype))
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=atol)


def test_dropout_at_its_limits() -> None:
    mean, theta, u = torch.tensor(3.0), torch.tensor(2.0), torch.arange(6.0)
    never = ZINB(mean, theta, torch.tensor(-100.0)).log_prob(u)
    torch.testing.assert_close(never, log_negative_binomial(u, mean, theta))
    always = ZINB(mean, theta, torch.tensor(100.0))
    assert -1e-30 < always.log_prob(torch.tensor(0.0)) <= 0.0
    assert always.log_prob(torch.tensor(1.0)) < -100.0
    assert always.sample((100,)).eq(0).all()


def test_samples_fit_the_masses() -> None:
    pyro.set_rng_seed(1)
    counts = ZINB(torch.tensor(4.0), torch.tensor(1.5), torch.tensor(-1.0))
    draws = counts.sample((100_000,))
    probabilities = counts.log_prob(torch.arange(20.0)).exp()
    probabilities = torch.cat([probabilities, 1 - probabilities.sum(0, keepdim=True)])
    observed = torch.bincount(draws.clamp(max=20).long(), minlength=21)
    assert multinomial_goodness_of_fit(probabilities, observed) > SMALLEST_P_VALUE


def test_moments_of_samples() -> None:
    parameters = torch.tensor(
        [[0.1, 3.0, 5e4], [0.5, 2.0, 1e4], [0.4, -1.0, 2.0]], dtype=torch.float64
    )
    counts = ZINB(*parameters)
    draws = counts.sample((200_000,))
    error = draws.std(0) / math.sqrt(len(draws))
    assert ((draws.mean(0) - counts.mean).abs() < 4 * error).all()
    squares = (draws - counts.mean).square()
    error = squares.std(0) / math.sqrt(len(draws))
    assert ((squares.mean(0) - counts.variance).abs() < 4 * error).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("logits", [-200.0, -8.0, 8.0, 200.0])
def test_extremes_stay_finite(dtype: torch.dtype, logits: float) -> None:
    grid = torch.cartesian_prod(
        torch.tensor([0.0, 1.0, 1e6]), torch.tensor([1e-6, 1.0, 1e6]), torch.tensor([1e-4, 1e8])
    ).to(dtype)
    u, mean, theta = grid.unbind(-1)
    parameters = [mean.clone(), theta.clone(), torch.full_like(mean, logits)]
    for parameter in parameters:
        parameter.requires_grad_()
    log_prob = ZINB(*parameters).log_prob(u)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    for parameter in parameters:
        assert parameter.grad.isfinite().all()


def example(dtype: torch.dtype = torch.float64) -> ZINB:
    return ZINB(
        torch.tensor([[0.5], [3.0], [80.0]], dtype=dtype),
        torch.tensor([0.3, 9.0], dtype=dtype),
        torch.tensor(-0.4, dtype=dtype),
    )


@pytest.mark.parametrize("sample_shape", [(), (4,), (5, 4)])
def test_shapes(sample_shape: tuple[int, ...]) -> None:
    counts = example(torch.float32)
    assert (counts.batch_shape, counts.event_shape) == ((3, 2), ())
    draws = counts.sample(torch.Size(sample_shape))
    assert draws.shape == (*sample_shape, 3, 2)
    assert draws.dtype == torch.float32
    assert counts.log_prob(draws).shape == draws.shape
    assert counts.mean.shape == counts.variance.shape == (3, 2)
    assert counts.log_prob(torch.zeros(5, 1, 2)).shape == (5, 3, 2)


@pytest.mark.parametrize("shape", [(4, 3, 2), (2, 4, 3, 2)])
def test_expand(shape: tuple[int, ...]) -> None:
    counts = example()
    larger = counts.expand(torch.Size(shape)).expand(torch.Size((6, *shape)))
    assert larger.batch_shape == (6, *shape)
    draws = larger.sample()
    torch.testing.assert_close(larger.log_prob(draws), counts.log_prob(draws))
    torch.testing.assert_close(larger.mean[0], counts.mean.expand(shape))
    assert larger._validate_args == counts._validate_args


def test_copies_masks_and_events() -> None:
    counts = example()
    value = counts.sample()
    copied = pickle.loads(pickle.dumps(counts))
    assert torch.equal(copied.log_prob(value), counts.log_prob(value))
    mask = torch.tensor([True, False])
    masked = counts.mask(mask).log_prob(value)
    assert torch.equal(masked, counts.log_prob(value) * mask)
    assert torch.equal(counts.to_event(1).log_prob(value), counts.log_prob(value).sum(-1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": -1.0}, "mean"),
        ({"mean": float("nan")}, "mean"),
        ({"inverse_dispersion": 0.0}, "inverse_dispersion"),
        ({"dropout_logits": float("nan")}, "dropout_logits"),
    ],
)
def test_impossible_parameters_are_errors(changes: dict[str, float], message: str) -> None:
    arguments = {"mean": 1.0, "inverse_dispersion": 1.0, "dropout_logits": 0.0} | changes
    with pytest.raises(ValueError, match=message):
        ZINB(**{name: torch.tensor(value) for name, value in arguments.items()})


@pytest.mark.parametrize("value", [-1.0, 0.5, float("nan")])
def test_impossible_counts_are_errors(value: float) -> None:
    with pytest.raises(ValueError, match="support"):
        example().log_prob(torch.tensor(value, dtype=torch.float64))


def test_as_a_site_of_pyro() -> None:
    def model(counts: Tensor | None = None) -> Tensor:
        with pyro.plate("cells", 3, dim=-2), pyro.plate("isoforms", 2, dim=-1):
            return pyro.sample("counts", example(), obs=counts)

    draws = Predictive(model, num_samples=5)()["counts"]
    assert draws.shape == (5, 3, 2)
    loss = SVI(model, lambda counts: None, pyro.optim.Adam({}), Trace_ELBO()).evaluate_loss(
        draws[0]
    )
    assert loss == pytest.approx(-example().log_prob(draws[0]).sum().item())
