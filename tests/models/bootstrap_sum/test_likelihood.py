"""The likelihood of bootstraps agrees with brute force: values and gradients, in both precisions.

Gradients are compared with respect to the logarithms of positive parameters (nats per factor of e)
and to the logits themselves, the scales on which networks give them. There a gradient is a change
of log probability, so that errors below the tolerance of the values are no errors: they are
relative to max(1, |gradient|).
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB

# In nats.
TOLERANCE = 1e-3


def evaluate(
    points: tuple[np.ndarray, np.ndarray], kind, dtype: torch.dtype, **options
) -> tuple[Tensor, Tensor]:
    """Log probabilities, and gradients with a row for each parameter."""
    parameters = torch.tensor(points[0], dtype=dtype, requires_grad=True)
    bootstraps = BootstrapZINB(
        *parameters,
        num_bootstraps=1,
        **kind._asdict(),
        **options,
    )
    summary = BootstrapSummary(*torch.tensor(points[1], dtype=dtype))
    log_prob = bootstraps.log_prob(summary)
    log_prob.sum().backward()
    per_unit = parameters.detach().double()
    per_unit[[2, 4]] = 1.0
    return log_prob.detach().double(), parameters.grad.double() * per_unit


def check(points: list[tuple], actual: Tensor, expected: Tensor, allowed: Tensor) -> None:
    """Fail with the points, a row for each, where the error is more than allowed or no number."""
    failed = ~((actual - expected).abs() <= allowed)
    if failed.ndim > 1:
        failed = failed.any(-1)
    if failed.any():
        pytest.fail(
            "\n".join(
                f"{points[i]}: {actual[i].tolist()} instead of {expected[i].tolist()}"
                for i in failed.nonzero().flatten().tolist()
            )
        )


def check_values(reference: ModuleType, points: list[tuple], columns, kind) -> None:
    expected = [reference.log_prob(*point, kind) for point in points]
    expected = torch.tensor(expected, dtype=torch.float64)
    # In float32 each of several terms of this size is rounded.
    spacing = torch.from_numpy(np.spacing(expected.abs().numpy().astype(np.float32)))
    for dtype, allowed in ((torch.float64, TOLERANCE), (torch.float32, 1e-2 + 4 * spacing)):
        log_prob, gradients = evaluate(columns, kind, dtype)
        check(points, log_prob, expected, torch.as_tensor(allowed))
        finite = gradients.T.isfinite().double()
        check(points, finite, torch.ones_like(finite), torch.tensor(0.0))


def check_gradients(reference: ModuleType, points: list[tuple], columns, kind) -> None:
    expected = [reference.gradient(*point, kind) for point in points]
    expected = torch.tensor(expected, dtype=torch.float64)
    scale = expected.abs().clamp(min=1.0)
    for dtype, allowed in ((torch.float64, TOLERANCE), (torch.float32, 1e-2)):
        _, gradients = evaluate(columns, kind, dtype)
        check(points, gradients.T, expected, allowed * scale)


def test_values(brute_force, stress_points, kind) -> None:
    points = stress_points.draw(brute_force, kind, 30)
    check_values(brute_force, points, stress_points.columns(points), kind)


def test_gradients(brute_force, stress_points, kind) -> None:
    points = stress_points.draw(brute_force, kind, 5, seed=1)
    check_gradients(brute_force, points, stress_points.columns(points), kind)


@pytest.mark.slow
def test_many_values(brute_force, stress_points, kind) -> None:
    points = stress_points.draw(brute_force, kind, 400, seed=2)
    check_values(brute_force, points, stress_points.columns(points), kind)


@pytest.mark.slow
def test_many_gradients(brute_force, stress_points, kind) -> None:
    points = stress_points.draw(brute_force, kind, 100, seed=3)
    check_gradients(brute_force, points, stress_points.columns(points), kind)


def test_the_grid_where_it_holds_the_mass(brute_force, stress_points, kind) -> None:
    points = stress_points.draw(brute_force, kind, 300, seed=4)
    points = [
        (parameters, summary)
        for parameters, summary in points
        if parameters.mean < 100
        and parameters.inverse_dispersion > 1
        and summary.mean + 10 * parameters.noise_scale * (1 + summary.mean) < 3000
    ][:10]
    expected = [brute_force.log_prob(*point, kind) for point in points]
    options = {"quadrature": "grid", "grid_size": 4000}
    log_prob, _ = evaluate(stress_points.columns(points), kind, torch.float64, **options)
    torch.testing.assert_close(
        log_prob, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=TOLERANCE
    )


def test_a_grid_too_small_loses_mass(kind) -> None:
    points = (
        np.array([[500.0], [100.0], [-3.0], [0.1], [-3.0]]),
        np.array([[0.0], [2.0], [500.0], [10.0]]),
    )
    options = {"quadrature": "grid", "grid_size": 300}
    small, _ = evaluate(points, kind, torch.float64, **options)
    full, _ = evaluate(points, kind, torch.float64)
    assert small < full - 5


@pytest.mark.parametrize("quadrature", ["sum", "grid"])
def test_entries_without_a_read_say_nothing_of_the_count(kind, quadrature: str) -> None:
    points = (
        np.array([[500.0], [100.0], [-3.0], [0.1], [-3.0]]),
        np.array([[4.0], [0.0], [0.0], [0.0]]),
    )
    log_prob, gradients = evaluate(points, kind, torch.float64, quadrature=quadrature)
    assert log_prob.item() == pytest.approx(4 * -np.log1p(np.exp(3.0)), abs=1e-9)
    assert gradients.squeeze(-1)[:4].tolist() == [0.0] * 4


def test_a_second_derivative_is_an_error(kind) -> None:
    """Not zero: only the grid has one."""

    def log_prob(scale: Tensor, quadrature: str) -> Tensor:
        one = torch.ones((), dtype=torch.float64)
        parameters = one, one, one, scale, one
        options = {**kind._asdict(), "quadrature": quadrature, "grid_size": 100}
        bootstraps = BootstrapZINB(*parameters, num_bootstraps=2, **options)
        return bootstraps.log_prob(torch.tensor([3.0, 4.0], dtype=torch.float64))

    scale = torch.tensor(0.9, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian
    assert hessian(lambda own: log_prob(own, "grid"), scale).abs() > 0.1
    with pytest.raises(NotImplementedError, match="second derivatives"):
        hessian(lambda own: log_prob(own, "sum"), scale)


# Small counts by their noise and large ones by the prior, of which either may have the mass; and
# counts that the bootstraps find far above all that the prior allows.
FAR_APART = [
    ((8433.47, 787.193, 7.36, 13.9343, -6.61), (0, 80, 0.629674, 10912.4)),
    ((21149.6, 351.376, 4.08, 1000.0, -30.0), (0, 47, 1270.01, 4.92477e7)),
    ((97053.2, 444.636, 6.28, 1000.0, -30.0), (0, 54, 95.7463, 4.79121e7)),
    ((0.0225464, 0.833839, 1.453, 1292.5, -6.74), (1, 1, 830.371, 0.0)),
    ((1e5, 1e6, -3.0, 1e4, -3.0), (0, 1, 5e4, 0.0)),
    ((3.0, 0.01, -3.0, 300.0, -3.0), (0, 1, 1000.0, 0.0)),
]


def test_prior_and_bootstraps_that_are_far_apart(brute_force, kind) -> None:
    points = [
        (brute_force.Parameters(*parameters), brute_force.Summary(*summary))
        for parameters, summary in FAR_APART
    ]
    columns = tuple(np.array(rows, float).T for rows in zip(*points, strict=True))
    check_values(brute_force, points, columns, kind)
    check_gradients(brute_force, points, columns, kind)
