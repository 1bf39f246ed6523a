"""The likelihood of bootstraps by brute force: slow, in float64, and as plain as it can be.

For one cell and isoform, with h, h' and the count u drawn as in the paper (section 4):

    u = y or, with probability P(h = 1), 0;  y ~ NB(mean, inverse dispersion)
    variance = f^2 (absolute), f^2 (1 + u) (relative),
               Inverse-Gamma(nu / 2, nu f^2 (1 + u) / 2) (adaptive, one draw for all bootstraps)
    e = u (independent), or Normal(u, variance) (shared, one draw for all bootstraps)
    x_b = 0 with probability pi, else Normal(e, variance), where negative it is 0 if rectified

The density of x_1 .. x_B is summed over every integer u. Given u, what the positive bootstraps say
of e and of the variance is conjugate and has a closed form; the factor of the zeros,
(pi + (1 - pi) Phi(-e / sigma))^zeros if rectified and pi^zeros if not, is averaged on fine grids.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import expit, gammaln, log_expit, log_ndtr, logsumexp, stdtr

Array = NDArray[np.float64]

ERRORS = ("shared", "independent")
ZEROS = ("rectified", "atom")
NOISES = ("adaptive", "relative", "absolute")

# Summands that are e^-50 of the largest one are left out.
NEGLIGIBLE = 50.0
# From here on integers are summed in blocks where the summand is smooth; below, one by one.
FIRST_BLOCK = 512
NODES_PER_BLOCK = 12


class Parameters(NamedTuple):
    """Of one entry, as the arguments of `BootstrapZINB`; nu is not used unless adaptive."""

    mean: float
    inverse_dispersion: float
    dropout_logits: float
    noise_scale: float
    bootstrap_dropout_logits: float
    noise_concentration: float


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
    """One of the twelve combinations."""

    error: str
    zeros: str
    noise: str


KINDS = [Kind(error, zeros, noise) for error in ERRORS for zeros in ZEROS for noise in NOISES]


# Samples


def sample(
    parameters: Parameters,
    bootstraps: int,
    kind: Kind,
    rng: np.random.Generator,
    number: int | None = None,
) -> Array:
    """Draw bootstraps as the paper generates them, shape (number, bootstraps) or (bootstraps,).

    Negative ones are set to 0 for `rectified` and kept for `atom`.
    """
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
    if kind.noise == "adaptive":
        nu = parameters.noise_concentration
        variance = nu * variance / 2 / np.maximum(rng.gamma(nu / 2, 1.0, shape), 1e-300)
    sigma = np.sqrt(variance)
    e = u if kind.error == "independent" else rng.normal(u, sigma)
    x = rng.normal(e, sigma, (number, bootstraps))
    if kind.zeros == "rectified":
        x = np.maximum(x, 0.0)
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
    nu = parameters.noise_concentration
    variance = parameters.noise_scale**2 * (
        np.ones_like(u) if kind.noise == "absolute" else 1.0 + u
    )
    kappa = 1.0 if kind.error == "independent" else 1 / (1 + positives)
    squares = sum_of_squares + kappa * positives * (mean - u) ** 2
    log_density = 0.5 * np.log(kappa) - positives / 2 * np.log(2 * np.pi) * np.ones_like(u)
    if positives:
        log_density += positives * log_expit(-parameters.bootstrap_dropout_logits)
    if kind.noise == "adaptive":
        shape = (nu + positives) / 2
        rate = (nu * variance + squares) / 2
        log_density = log_density + (
            gammaln(shape)
            - gammaln(nu / 2)
            - nu / 2 * np.log1p(squares / (nu * variance))
            - positives / 2 * np.log(rate)
        )
    else:
        log_density = log_density - positives / 2 * np.log(variance) - squares / (2 * variance)
    if zeros == 0:
        return log_density
    if kind.zeros == "atom":
        return log_density + zeros * log_expit(parameters.bootstrap_dropout_logits)
    # The mean of e given u and the positives, in units of sigma / (e's own spread, if any).
    centre = u if kind.error == "independent" else (u + positives * mean) / (1 + positives)
    if kind.noise == "adaptive":
        return log_density + _averaged_over_variance(
            centre / np.sqrt(rate), shape, parameters, summary, kind
        )
    return log_density + log_zeros(centre / np.sqrt(variance), parameters, summary, kind)


def log_zeros(ratio: Array, parameters: Parameters, summary: Summary, kind: Kind) -> Array:
    """Log probability of all zeros given sigma, u and the positives; `ratio` is E[e] / sigma."""
    logits = parameters.bootstrap_dropout_logits
    # Without an error of the estimate e is u: as if it were known from infinitely many positives.
    positives = summary.positives if kind.error == "shared" else np.inf
    largest = min(_furthest(logits, summary.zeros, positives), ratio.max())
    # Rounded upwards so that the same table serves neighbouring parameters.
    table = _zeros_table(logits, summary.zeros, positives, np.ceil(largest + 1))
    return table(np.minimum(ratio, largest))


def _log_zero(ratio: Array, logits: float) -> Array:
    """Log probability of one zero given e / sigma."""
    return np.logaddexp(log_expit(logits), log_expit(-logits) + log_ndtr(-ratio))


def _furthest(logits: float, zeros: int, positives: float) -> float:
    """Find from which E[e] / sigma on dropout explains all zeros, to a factor of 1 + e^-50."""
    cost = -zeros * log_expit(logits)
    return np.sqrt(2 * (cost + NEGLIGIBLE + 10) / (1 + positives)) + np.sqrt(
        2 * (NEGLIGIBLE + 10 - log_expit(logits))
    )


@functools.lru_cache(maxsize=16)
def _zeros_table(logits: float, zeros: int, positives: float, largest: float) -> CubicSpline:
    """Average the zeros over e, on a grid of E[e] / sigma from 0, for interpolation.

    The grid of e / sigma has at least three nodes to its standard deviation 1 / sqrt(1 + m), where
    the sum of a Gaussian times an entire function errs by e^-100; interpolation errs by 1e-8.
    """
    centres = np.arange(0, largest + 0.04, 0.02)
    if positives == np.inf:
        return CubicSpline(centres, zeros * _log_zero(centres, logits))
    spread = 1 / np.sqrt(1 + positives)
    step = 0.3 / np.sqrt(1 + positives + zeros)
    e = np.arange(-15 * spread - 5, largest + 15 * spread, step)
    integrand = zeros * _log_zero(e, logits) + np.log(step / spread) - 0.5 * np.log(2 * np.pi)
    values = [
        logsumexp(integrand - 0.5 * ((e - part[:, None]) / spread) ** 2, axis=1)
        for part in np.array_split(centres, len(centres) * len(e) // 1_000_000 + 1)
    ]
    return CubicSpline(centres, np.concatenate(values))


def _averaged_over_variance(
    ratio: Array, shape: float, parameters: Parameters, summary: Summary, kind: Kind
) -> Array:
    """Log probability of all zeros given u and the positives, averaged over the variance.

    1 / sigma^2 = g / rate with g ~ Gamma(shape, 1); the grid is one of log g, with a step of half
    of its standard deviation at most, where the sum errs by e^-70. `ratio` is E[e] / sqrt(rate).
    """
    cost = -summary.zeros * log_expit(parameters.bootstrap_dropout_logits)
    step = min(0.1, 0.5 / np.sqrt(shape))
    lowest = max(
        -(NEGLIGIBLE + cost) / shape - 5,
        -2 * np.log(max(ratio.max(), 1e-3)) - 15 - (NEGLIGIBLE + 10) / shape,
    )
    lowest = min(lowest, np.log(shape) - 20 / np.sqrt(shape))
    log_g = np.arange(lowest, np.log(shape + 12 * np.sqrt(shape) + 80), step)
    weight = shape * log_g - np.exp(log_g) - gammaln(shape) + np.log(step)
    sigma = np.exp(log_g / 2)
    averages = []
    for part in np.array_split(ratio, ratio.size * len(log_g) // 100_000 + 1):
        terms = log_zeros(part[:, None] * sigma, parameters, summary, kind)
        terms += weight
        largest = terms.max(axis=1, keepdims=True)
        averages.append(largest[:, 0] + np.log(np.exp(terms - largest).sum(axis=1)))
    return np.concatenate(averages)


# The sum over u


def log_joint(u: Array, parameters: Parameters, summary: Summary, kind: Kind) -> Array:
    """Log of prior times likelihood of u, for real u >= 0, shape as u."""
    u = np.asarray(u, np.float64)
    return log_prior(u, parameters) + log_likelihood(u, parameters, summary, kind)


def log_prob(parameters: Parameters, summary: Summary, kind: Kind) -> float:
    """Log density of bootstraps with this summary."""
    if kind.zeros == "atom" and summary.positives == 0:
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
        if name == "noise_concentration" and kind.noise != "adaptive":
            derivatives.append(0.0)
            continue
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
    """Log probability that one bootstrap lies within 1/2 of k, and below 1/2 for k = 0.

    Masses below 1e-300 are lost in the tails of Student's distribution.
    """
    nu, f = parameters.noise_concentration, parameters.noise_scale

    def log_upper_tail(x: Array) -> Array:
        if kind.noise == "adaptive":
            return np.log(np.maximum(stdtr(nu, -x), 1e-300))
        return log_ndtr(-x)

    def summand(u: Array) -> Array:
        variance = f**2 * (np.ones_like(u) if kind.noise == "absolute" else 1.0 + u)
        sigma = np.sqrt(variance * (2 if kind.error == "shared" else 1))
        lower, upper = (k - 0.5 - u) / sigma, (k + 0.5 - u) / sigma
        if k == 0:
            return log_prior(u, parameters) + log_upper_tail(-upper)
        # Mirrored where u is above the bin: differences of what is nearly one have no digits.
        above = u > k
        lower, upper = np.where(above, -upper, lower), np.where(above, -lower, upper)
        larger = log_upper_tail(lower)
        ratio = np.exp(np.minimum(log_upper_tail(upper) - larger, -1e-15))
        return log_prior(u, parameters) + larger + np.log1p(-ratio)

    mean, theta = parameters.mean, parameters.inverse_dispersion
    width = f if kind.noise == "absolute" else f * np.sqrt(1.0 + k)
    places = [(mean, np.sqrt(mean + mean**2 / theta)), (k, width), (k, 1.0)]
    log_mass = log_expit(-parameters.bootstrap_dropout_logits) + log_sum(summand, places)
    if k == 0:
        log_mass = np.logaddexp(log_mass, log_expit(parameters.bootstrap_dropout_logits))
    return float(log_mass)
