"""Errors of the likelihood of bootstraps against brute force, over its whole stress range.

For every combination of error and noise prints the largest error of values in nats and of
gradients in float64 (with respect to logarithms of positive parameters and to logits; relative to
max(1, |gradient|)), the largest error of values in float32, also beyond four roundings of the
value, and how many numbers in float32 are not finite. Points are those of the tests, one bootstrap
to 100.

    python experiments/benchmarks/likelihood_stress.py --points 400 --gradients 40
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.models.distributions.bootstrap_zinb import BootstrapZINB


class Expected(NamedTuple):
    """What brute force finds: values, shape (points,), and gradients of the first points."""

    values: Tensor
    gradients: Tensor


def load(name: str) -> ModuleType:
    """Load a module that lies beside the tests of models."""
    path = Path(__file__).resolve().parents[2] / "tests" / "models" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def expect(brute_force: ModuleType, points: list[tuple], kind: NamedTuple, number: int) -> Expected:
    """Sum by brute force; gradients of so many of the points."""
    values = [brute_force.log_prob(*point, kind) for point in points]
    gradients = [brute_force.gradient(*point, kind) for point in points[:number]]
    return Expected(*(torch.tensor(part, dtype=torch.float64) for part in (values, gradients)))


def evaluate(
    columns: tuple[Tensor, Tensor], kind: NamedTuple, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Values, shape (points,), and gradients, shape (points, parameters), of the package."""
    parameters = columns[0].to(dtype, copy=True).requires_grad_()
    statistics = columns[1].to(dtype)
    bootstraps = BootstrapZINB(*parameters, num_bootstraps=1, **kind._asdict())
    values = bootstraps.log_prob(BootstrapSummary(*statistics))
    values.sum().backward()
    per_unit = columns[0].clone()
    per_unit[[2, 4]] = 1.0
    return values.detach().double(), (parameters.grad.double() * per_unit).T


def compare(columns: tuple[Tensor, Tensor], kind: NamedTuple, expected: Expected) -> list[float]:
    """Give the numbers of a row of the table."""
    values, gradients = evaluate(columns, kind, torch.float64)
    error = (values - expected.values).abs().max().item()
    away = (gradients[: len(expected.gradients)] - expected.gradients).abs()
    relative = (away / expected.gradients.abs().clamp(min=1.0)).max().item()
    values, gradients = evaluate(columns, kind, torch.float32)
    wrong = (~values.isfinite()).sum() + (~gradients.isfinite()).sum()
    away = (values - expected.values).abs().nan_to_num(torch.inf)
    rounding = np.spacing(expected.values.abs().numpy().astype(np.float32))
    beyond = (away - 4 * torch.from_numpy(rounding)).clamp(min=0.0)
    return [error, relative, away.max().item(), beyond.max().item(), wrong.item()]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=400, help="of each combination")
    parser.add_argument("--gradients", type=int, default=40, help="points whose gradient is found")
    parser.add_argument("--seed", type=int, default=2)
    options = parser.parse_args()
    brute_force, stress_points = load("brute_force"), load("stress_points")
    print(f"{options.points} points, {options.gradients} gradients; errors of values in nats")
    print(f"{'':32}{'float64':>10}{'gradient':>10}{'float32':>10}{'beyond':>10}{'not finite':>12}")
    for kind in brute_force.KINDS:
        points = stress_points.draw(brute_force, kind, options.points, options.seed)
        columns = tuple(map(torch.from_numpy, stress_points.columns(points)))
        expected = expect(brute_force, points, kind, options.gradients)
        *errors, wrong = compare(columns, kind, expected)
        row = "".join(f"{error:10.1e}" for error in errors)
        print(f"{'-'.join(kind):32}{row}{wrong:12.0f}", flush=True)


if __name__ == "__main__":
    main()
