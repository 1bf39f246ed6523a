"""The likelihood of bootstraps by brute force: slow, in float64, and as plain as it can be.

For one cell and isoform, with h, h' and the count u drawn as in the paper (section 4):

    u = y or, with probability P(h = 1), 0;  y ~ NB(mean, inverse dispersion)
    variance = f^2 (absolute) or f^2 (1 + u) (relative)
    e = u (independent), or Normal(u, variance) (shared, one draw for all bootstraps)
    x_b = 0 with probability pi, else Normal(e, variance)

The density of x_1 .. x_B is summed over every integer u; given u it has a closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln, log_expit, log_ndtr, logsumexp

Array = NDArray[np.float64]

ERRORS = ("independent", "shared")
NOISES = ("absolute", "relative")

# Summands that are e^-50 of the largest one are left out.
NEGLIGIBLE = 50.0
# From here on integers are summed in blocks where the summand is smooth; below, one by one.
FIRST_BLOCK = 512
NODES_PER_BLOCK = 12


class Parameters(NamedTuple):
    """Of one entry, as the arguments of `BootstrapZINB`."""

    mean: float
    inverse_dispersion: float
    dropout_logits: float
    noise_scale: float
    bootstrap_dropout_logits: float


class Summary(NamedTuple):
    """Of the bootstraps of one entry, as `BootstrapSummary`."""

    zeros: int
    positives: int
    mean: float
    sum_of_squares: float

    @classmethod
    def of(cls, bootstraps: Array) -> Summary:
        positive = bootstraps[bootstraps != 0]
        mean = positive.mean() if len(positive) else 0.0
        return cls(
            len(bootstraps) - len(positive), len(positive), mean, ((positive - mean) ** 2).sum()
        )


class Kind(NamedTuple):
    """One of the four combinations."""

    error: str
    noise: str


KINDS = [Kind(error, noise) for error in ERRORS for noise in NOISES]


# Samples


def sample(
    parameters: Parameters,
    bootstraps: int,
    kind: Kind,
    rng: np.random.Generator,
    number: int | None = None,
) -> Array:
    """Draw bootstraps, negative ones too, shape (number, bootstraps) or (bootstraps,)."""
    drawn = sample_with_counts(parameters, bootstraps, kind, rng, number or 1)
    return drawn.bootstraps if number else drawn.bootstraps[0]


class Drawn(NamedTuple):
    """The count before dropout and the one measured, shape (number,), and its bootstraps."""

    y: Array
    u: Array
    bootstraps: Array


def sample_with_counts(
    parameters: Parameters, bootstraps: int, kind: Kind, rng: np.random.Generator, number: int
) -> Drawn:
    """Draw as :func:`sample` does; each parameter is a number, or has shape (number, 1)."""
    shape = (number, 1)
    theta = parameters.inverse_dispersion
    # Beyond what numpy can draw, a Poisson variable is its mean to 1e-9.
    rate = rng.gamma(theta, parameters.mean / theta, shape)
    y = np.where(rate < 1e18, rng.poisson(np.minimum(rate, 1e18)), rate).astype(float)
    u = np.where(rng.uniform(size=shape) < expit(parameters.dropout_logits), 0.0, y)
    variance = parameters.noise_scale**2 * (1.0 if kind.noise == "absolute" else 1 + u)
    sigma = np.sqrt(variance)
    e = u if kind.error == "independent" else rng.normal(u, sigma)
    x = rng.normal(e, sigma, (number, bootstraps))
    x[rng.uniform(size=x.shape) < expit(parameters.bootstrap_dropout_logits)] = 0.0
    return Drawn(y[:, 0], u[:, 0], x)


# The prior


def log_negative_binomial(u: Array, mean: float, inverse_dispersion: float) -> Array:
    """Log mass, for real u >= 0, without differences of large terms.

    Loader's (2000) saddle point expansion: deviances of u and of the inverse dispersion from their
    expectations, and the error of Stirling's formula.
    """
    theta = inverse_dispersion
    u = np.asarray(u, np.float64)
    at_zero = -theta * np.log1p(mean / theta)
    some = np.where(u == 0, 1.0, u)
    total = some + theta
    deviance = _deviance(theta * total / (theta + mean), theta * (mean - some) / (theta + mean))
    deviance += _deviance(mean * total / (theta + mean), theta * (some - mean) / (theta + mean))
    stirling = _stirling_error(total) - _stirling_error(some) - _stirling_error(theta)
    log_mass = stirling - deviance + 0.5 * np.log(theta / total / some / (2 * np.pi))
    return np.where(u == 0, at_zero, log_mass)


def _deviance(expected: Array, difference: Array) -> Array:
    """Deviance x log(x / expected) - difference of x = expected + difference."""
    relative = difference / expected
    small = np.where(np.abs(relative) < 0.1, relative, 0.0)
    series = sum((-small) ** k / (k * (k - 1)) for k in range(2, 18))
    large = np.where(np.abs(relative) < 0.1, 1.0, relative)
    # Near -1 the logarithm is steep, but x log x is not.
    direct = np.where(large > -1, (1 + large) * np.log1p(np.maximum(large, -1 + 1e-16)), 0) - large
    return expected * np.where(np.abs(relative) < 0.1, series, direct)


def _stirling_error(x: Array | float) -> Array:
    """Error log Gamma(x + 1) - ((x + 1/2) log x - x + log(2 pi) / 2) of Stirling's formula."""
    x = np.asarray(x, np.float64)
    low = np.minimum(x, 20.0)
    exact = gammaln(low + 1) - (low + 0.5) * np.log(low) + low - 0.5 * np.log(2 * np.pi)
    inverse = 1 / np.maximum(x, 20.0)
    square = inverse * inverse
    series = 1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))
    return np.where(x < 20, exact, inverse * series)


def log_prior(u: Array, parameters: Parameters) -> Array:
    """Log mass of the count that is measured, with zero inflation."""
    log_mass = log_negative_binomial(u, parameters.mean, parameters.inverse_dispersion)
    log_mass = log_mass + log_expit(-parameters.dropout_logits)
    inflated = np.logaddexp(log_mass, log_expit(parameters.dropout_logits))
    return np.where(np.asarray(u) == 0, inflated, log_mass)


# The likelihood of one u


def log_likelihood(u: Array, parameters: Parameters, summary: Summary, kind: Kind) -> Array:
    """Log density of the bootstraps given the count u."""
    zeros, positives, mean, sum_of_squares = summary
    logits = parameters.bootstrap_dropout_logits
    log_density = np.full_like(u, zeros * log_expit(logits) + positives * log_expit(-logits))
    if positives == 0:
        return log_density
    variance = parameters.noise_scale**2 * (1.0 if kind.noise == "absolute" else 1.0 + u)
    kappa = 1.0 if kind.error == "independent" else 1 / (1 + positives)
    squares = sum_of_squares + kappa * positives * (mean - u) ** 2
    log_density += 0.5 * np.log(kappa) - positives / 2 * np.log(2 * np.pi * variance)
    return log_density - squares / (2 * variance)


# The sum over u


def log_joint(u: Array, parameters: Parameters, summary: Summary, kind: Kind) -> Array:
    """Log of prior times likelihood of u, for real u >= 0, shape as u."""
    u = np.asarray(u, np.float64)
    return log_prior(u, parameters) + log_likelihood(u, parameters, summary, kind)


def log_prob(parameters: Parameters, summary: Summary, kind: Kind) -> float:
    """Log density of bootstraps with this summary."""
    if summary.positives == 0:
        return float(log_likelihood(np.zeros(1), parameters, summary, kind)[0])
    return log_sum(
        lambda u: log_joint(u, parameters, summary, kind),
        scales(parameters, summary, kind),
    )


def scales(parameters: Parameters, summary: Summary, kind: Kind) -> list[tuple[float, float]]:
    """Where the prior and the likelihood are, and how wide."""
    mean, theta = parameters.mean, parameters.inverse_dispersion
    places = [(mean, np.sqrt(mean + mean**2 / theta))]
    if summary.positives:
        places.append((summary.mean, np.sqrt(summary.sum_of_squares / summary.positives + 1e-6)))
        width = parameters.noise_scale
        if kind.noise != "absolute":
            width *= np.sqrt(1 + max(summary.mean, 0))
        if kind.error == "independent":
            width /= np.sqrt(summary.positives)
        places.append((summary.mean, width))
    return places


def log_sum(summand: Callable[[Array], Array], places: list[tuple[float, float]]) -> float:
    """Log of the sum of exp(summand(u)) over all integers u >= 0.

    Integers below 512, and all near a narrow peak, are summed one by one. The others are summed in
    blocks, each by the Gaussian rule of the uniform distribution on its integers: exact where the
    summand is a polynomial of degree 23, it is trusted where cutting the block in two gives
    the same to 12 digits, and the block is cut in two elsewhere. Each place (position, width)
    and each maximum of the summand are ends of blocks, so that no peak hides within one.
    """
    first = np.arange(FIRST_BLOCK, dtype=np.float64)
    total = [logsumexp(summand(first))]
    edges = _edges(places)
    values = summand(edges)
    peaks = _peaks(summand, edges, values)
    largest = max(total[0], values.max(), *[value for _, value, _ in peaks])
    for position, _, width in peaks:
        edges = np.concatenate([edges, _around(position, width)])
    edges = np.unique(np.round(edges[edges >= FIRST_BLOCK]))
    values = summand(edges)
    # As no block has a peak within, one that is negligible at both ends may be left out.
    bound = np.maximum(values[1:], values[:-1]) + np.log(np.diff(edges))
    keep = bound > largest - NEGLIGIBLE
    start, length = edges[:-1][keep], np.diff(edges)[keep]
    while len(start):
        short = length <= 2 * NODES_PER_BLOCK
        if short.any():
            integers = np.concatenate(
                [np.arange(s, s + n) for s, n in zip(start[short], length[short], strict=True)]
            )
            total.append(logsumexp(summand(integers)))
        start, length = start[~short], length[~short]
        if not len(start):
            break
        left = np.floor(length / 2)
        halves = np.concatenate([start, start + left]), np.concatenate([left, length - left])
        both = _block_sums(summand, *halves).reshape(2, -1)
        whole = _block_sums(summand, start, length)
        fine = np.logaddexp(*both)
        error = np.abs(np.exp(np.minimum(whole - fine, 1.0)) - 1)
        total_so_far = max(logsumexp(total), largest)
        done = error < np.maximum(1e-12, np.exp(np.minimum(total_so_far - fine - 34, 0)))
        total.extend(fine[done])
        again = np.concatenate([~done, ~done])
        start, length = halves[0][again], halves[1][again]
    return float(logsumexp(total))


def _edges(places: list[tuple[float, float]]) -> Array:
    parts = [np.geomspace(FIRST_BLOCK, 1e12, 400)]
    parts += [_around(position, width) for position, width in places]
    edges = np.concatenate(parts)
    return np.unique(np.round(edges[(edges >= FIRST_BLOCK) & (edges <= 1e12)]))


def _around(position: float, width: float) -> Array:
    steps = np.concatenate([np.arange(0, 10, 0.5), np.geomspace(10, 1e7, 80)]) * max(width, 1.0)
    return np.concatenate([position - steps[::-1], position + steps])


def _peaks(
    summand: Callable[[Array], Array], edges: Array, values: Array
) -> list[tuple[float, float, float]]:
    """Find position, height and width of the maxima of the summand beyond the first block."""
    found = []
    padded = np.concatenate([[-np.inf], values, [-np.inf]])
    for i in np.flatnonzero((values >= padded[:-2]) & (values > padded[2:])):
        low, high = edges[max(i - 1, 0)], edges[min(i + 1, len(edges) - 1)]
        while high - low > 40:
            inner = np.round(np.linspace(low, high, 21))
            best = int(summand(inner).argmax())
            low, high = inner[max(best - 1, 0)], inner[min(best + 1, 20)]
        inner = np.arange(low, high + 1)
        heights = summand(inner)
        position = inner[heights.argmax()]
        # The width where the summand has fallen by half a nat.
        away = np.concatenate([np.geomspace(1, max(position, 2), 60)])
        fallen = heights.max() - np.minimum(summand(position + away), heights.max())
        width = away[np.argmax(fallen > 0.5)] if (fallen > 0.5).any() else away[-1]
        found.append((position, heights.max(), width))
    return found


def _block_sums(summand: Callable[[Array], Array], start: Array, length: Array) -> Array:
    nodes, log_weights = _gram_rule(length)
    values = summand((start[:, None] + nodes).ravel()).reshape(nodes.shape)
    return logsumexp(values + log_weights, axis=1)


def _gram_rule(length: Array) -> tuple[Array, Array]:
    """Gaussian rule for sums over the integers 0 .. length - 1, a row for each length.

    From the three-term recurrence of Gram's polynomials (Gautschi 2004, table 1.2: discrete
    Chebyshev) by the eigenvalues of its Jacobi matrix.
    """
    k = np.arange(1, NODES_PER_BLOCK)
    coefficients = k**2 * (1 - (k / length[:, None]) ** 2) / (4 * (4 * k**2 - 1))
    jacobi = np.zeros((len(length), NODES_PER_BLOCK, NODES_PER_BLOCK))
    jacobi[:, k, k - 1] = jacobi[:, k - 1, k] = np.sqrt(coefficients)
    nodes, vectors = np.linalg.eigh(jacobi)
    nodes = (length[:, None] - 1) / 2 + nodes * length[:, None]
    return nodes, np.log(vectors[:, 0] ** 2) + np.log(length)[:, None]


def gradient(
    parameters: Parameters, summary: Summary, kind: Kind, step: float = 2e-3
) -> Parameters:
    """Find derivatives of the log density by central differences of fourth order.

    With respect to the logarithm of positive parameters (nats per factor of e) and to the logits
    themselves.
    """
    derivatives = []
    for index, name in enumerate(Parameters._fields):
        values = []
        for shift in (-2 * step, -step, step, 2 * step):
            moved = list(parameters)
            moved[index] = (
                moved[index] + shift if name.endswith("logits") else moved[index] * np.exp(shift)
            )
            values.append(log_prob(Parameters(*moved), summary, kind))
        derivatives.append((values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step))
    return Parameters(*derivatives)


# The posterior of the count, and the mass of unit bins


def posterior(
    parameters: Parameters, summary: Summary, kind: Kind, of: str, number: int = 4000
) -> Array:
    """Probabilities of the counts 0 .. number - 1 given the bootstraps, one by one.

    Of the count u that is measured, or of the count y before zero inflation: then what the
    bootstraps say of y is (1 - P(h)) L(y) + P(h) L(0).
    """
    u = np.arange(number, dtype=np.float64)
    likelihood = log_likelihood(u, parameters, summary, kind)
    if of == "u":
        log_mass = log_prior(u, parameters) + likelihood
    else:
        log_mass = log_negative_binomial(u, parameters.mean, parameters.inverse_dispersion)
        log_mass = log_mass + np.logaddexp(
            log_expit(-parameters.dropout_logits) + likelihood,
            log_expit(parameters.dropout_logits) + likelihood[0],
        )
    if log_mass[-1] > log_mass.max() - 30:
        raise ValueError("the posterior goes beyond the counts that were asked for")
    return np.exp(log_mass - logsumexp(log_mass))


def log_prob_of_bin(k: int, parameters: Parameters, kind: Kind) -> float:
    """Log probability that one bootstrap lies within 1/2 of k, and below 1/2 for k = 0."""
    f = parameters.noise_scale

    def summand(u: Array) -> Array:
        variance = f**2 * (np.ones_like(u) if kind.noise == "absolute" else 1.0 + u)
        sigma = np.sqrt(variance * (2 if kind.error == "shared" else 1))
        lower, upper = (k - 0.5 - u) / sigma, (k + 0.5 - u) / sigma
        if k == 0:
            return log_prior(u, parameters) + log_ndtr(upper)
        # Mirrored where u is above the bin: differences of what is nearly one have no digits.
        above = u > k
        lower, upper = np.where(above, -upper, lower), np.where(above, -lower, upper)
        larger = log_ndtr(-lower)
        ratio = np.exp(np.minimum(log_ndtr(-upper) - larger, -1e-15))
        return log_prior(u, parameters) + larger + np.log1p(-ratio)

    mean, theta = parameters.mean, parameters.inverse_dispersion
    width = f if kind.noise == "absolute" else f * np.sqrt(1.0 + k)
    places = [(mean, np.sqrt(mean + mean**2 / theta)), (k, width), (k, 1.0)]
    log_mass = log_expit(-parameters.bootstrap_dropout_logits) + log_sum(summand, places)
    if k == 0:
        log_mass = np.logaddexp(log_mass, log_expit(parameters.bootstrap_dropout_logits))
    return float(log_mass)
