"""Parameters and bootstraps over the whole range that the likelihood must get right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CASES = ("drawn", "conflict", "all zeros", "scatter", "limit")


def draw(brute_force, kind, number: int, seed: int = 0) -> list[tuple]:
    """Draw (parameters, summary) for a kind, the five cases in turn.

    All numbers are numbers of float32, so that both precisions are given the same input.

    drawn       bootstraps from the model itself
    conflict    bootstraps anywhere, whatever the prior says
    all zeros   no bootstrap is positive, often against a large mean
    scatter     bootstraps that scatter far more or far less than the noise scale says
    limit       from the model at an end of the range: no noise, no dropout, Poisson, hardly a count
    """
    rng = np.random.default_rng([seed, *map(ord, "".join(kind))])
    return [_draw(brute_force, kind, CASES[i % len(CASES)], rng) for i in range(number)]


def _draw(brute_force, kind, case: str, rng: np.random.Generator) -> tuple:
    def log_uniform(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    mean = log_uniform(1e-3, 1e5)
    sigma = log_uniform(0.05, 1e4)
    parameters = brute_force.Parameters(
        mean,
        log_uniform(1e-2, 1e6),
        rng.uniform(-8, 8),
        sigma if kind.noise == "absolute" else np.clip(sigma / np.sqrt(1 + mean), 1e-3, 1e3),
        rng.uniform(-8, 8),
    )
    if case == "limit":
        ends = [
            {"noise_scale": 0.05, "bootstrap_dropout_logits": -30.0},
            {"dropout_logits": -30.0, "inverse_dispersion": 1e6},
            {"mean": 1e-3, "dropout_logits": -30.0},
            {"mean": 1e5, "inverse_dispersion": 1e-2},
            {"bootstrap_dropout_logits": 30.0},
            {"noise_scale": 1e3, "bootstrap_dropout_logits": -30.0},
        ]
        parameters = parameters._replace(**ends[rng.integers(len(ends))])
    if case == "all zeros" and rng.uniform() < 0.5:
        parameters = parameters._replace(mean=log_uniform(10, 1e5), dropout_logits=-6.0)
    parameters = brute_force.Parameters(*map(_float32, parameters))
    bootstraps = round(log_uniform(0.51, 100.49))
    sample = brute_force.sample(parameters, bootstraps, kind, rng)
    if rng.uniform() < 0.5:
        sample = np.maximum(sample, 0.0)
    summary = brute_force.Summary.of(sample)
    if case == "all zeros":
        summary = brute_force.Summary(bootstraps, 0, 0.0, 0.0)
    elif case == "conflict":
        positives = int(rng.choice([1, bootstraps, rng.integers(1, bootstraps + 1)]))
        mean = log_uniform(1e-3, 2e5)
        spread = log_uniform(0.1, 10) * parameters.noise_scale
        spread *= 1.0 if kind.noise == "absolute" else np.sqrt(1 + mean)
        squares = spread**2 * rng.chisquare(positives - 1) if positives > 1 else 0.0
        summary = brute_force.Summary(bootstraps - positives, positives, mean, squares)
    elif case == "scatter" and summary.positives > 1:
        squares = max(summary.sum_of_squares, 1e-2) * log_uniform(1e-4, 1e4)
        summary = summary._replace(sum_of_squares=min(squares, 1e10))
    return parameters, summary._replace(
        mean=_float32(summary.mean), sum_of_squares=_float32(summary.sum_of_squares)
    )


def columns(points: list[tuple]) -> tuple[NDArray, NDArray]:
    """Parameters and summaries as arrays, a row for each field."""
    parameters, summaries = zip(*points, strict=True)
    return np.array(parameters, float).T, np.array(summaries, float).T


def _float32(number: float) -> float:
    return float(np.float32(number))
