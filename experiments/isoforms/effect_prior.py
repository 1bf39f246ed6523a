"""Empirical Bayes: the share and the sizes of real effects, learned from all estimates.

Adaptive shrinkage (Stephens, Biostatistics 18, 2017) of estimates in units, such as the isoforms of
a gene in several groups. Some units change and most do not. In a unit that changes an effect is
zero or a draw from a mixture of normals, which have mean zero unless others are given. A unit's
estimates depend on one another, but for any dependence the mean of their Bayes factors is a Bayes
factor of the unit against no change. If most groups differ from most others the share of units is
overestimated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats import t as student

_ITERATIONS = 1000
_CONVERGED = 1e-6
_TINY = 1e-12


class Estimates(NamedTuple):
    """Estimated effects with their errors.

    Attributes
    ----------
    value, error
        Estimates and their standard errors, shapes (tests,).
    factors
        Bayes factor of each estimate under each normal against zero, divided by the estimate's
        largest factor, shape (tests, effects).
    log_largest
        Log of the largest factor, shape (tests,).
    unit
        Unit of each estimate, numbered from 0, shape (tests,).
    effects, centres
        Standard deviations and means of the normals of effects that are not zero, shapes
        (effects,).
    """

    value: np.ndarray
    error: np.ndarray
    factors: np.ndarray
    log_largest: np.ndarray
    unit: np.ndarray
    effects: np.ndarray
    centres: np.ndarray

    @classmethod
    def of(
        cls,
        value: np.ndarray,
        error: np.ndarray,
        unit: np.ndarray,
        effects: np.ndarray,
        centres: np.ndarray | None = None,
    ) -> Estimates:
        """Make estimates from values, errors and units, shapes (tests,), and normals.

        Normals have mean zero unless ``centres`` are given.
        """
        centres = np.zeros_like(effects) if centres is None else centres
        log_factors = log_bayes_factors(value, error, effects, centres)
        largest = log_factors.max(-1)
        factors = np.exp(log_factors - largest[:, None])
        return cls(value, error, factors, largest, unit, effects, centres)


class Mixture(NamedTuple):
    """Posteriors of effects, each a mixture of a point at zero and normals.

    Attributes
    ----------
    weights, mean, variance
        Of each component, shapes (tests, 1 + effects); the first component is the point.
    """

    weights: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def zeros(cls, tests: int, effects: int) -> Mixture:
        """Make posteriors of effects that are surely zero."""
        weights = np.zeros((tests, 1 + effects))
        weights[:, 0] = 1.0
        return cls(weights, np.zeros_like(weights), np.zeros_like(weights))

    def take(self, rows: np.ndarray) -> Mixture:
        """Take the posteriors of some tests, by position."""
        return Mixture(*(part[rows] for part in self))


# Fewest units that may seem to change: so many units never tell that none does.
_LEAST_CHANGED = 0.5


class EffectPrior(NamedTuple):
    """Prior of effects, learned from all units.

    Attributes
    ----------
    changed
        Probability that a unit changes.
    included
        Probability that an effect in a unit that changes is not zero.
    weights
        Weights of the normals of non-zero effects, shape (effects,).
    """

    changed: float
    included: float
    weights: np.ndarray

    @classmethod
    def learned(cls, estimates: Estimates, null_units: float = 0.0) -> EffectPrior:
        """Maximise the likelihood of all units by expectation maximisation.

        ``null_units`` units without a change are added, which keeps few units from seeming to
        change.
        """
        size = len(estimates.effects)
        prior = cls(0.5, 0.5, np.full(size, 1 / size))
        for _ in range(_ITERATIONS):
            changed = prior.changed_units(estimates)
            possible = changed[estimates.unit]
            inclusion = possible * prior.inclusion(estimates)
            share = (possible * prior.behind(estimates)) @ prior.shares(estimates)
            new = cls(
                max(changed.sum(), _LEAST_CHANGED) / (len(changed) + null_units),
                inclusion.sum() / np.maximum(possible.sum(), _TINY),
                share / np.maximum(share.sum(), _TINY),
            )
            moves = (np.abs(a - b).sum() for a, b in zip(new, prior, strict=True))
            settled = sum(moves)
            prior = new
            if settled < _CONVERGED:
                break
        return prior

    def changed_units(self, estimates: Estimates) -> np.ndarray:
        """Posterior probability that each unit changes, shape (units,)."""
        evidence = _log_mean_by_unit(self._evidence(estimates), estimates.unit)
        return expit(_logit(self.changed) + evidence)

    def inclusion(self, estimates: Estimates) -> np.ndarray:
        """Posterior probability that an effect is not zero if its unit changes, (tests,)."""
        return expit(_logit(self.included) + self._evidence(estimates))

    def behind(self, estimates: Estimates) -> np.ndarray:
        """Share of each estimate in the Bayes factor of its unit, shape (tests,)."""
        evidence, unit = self._evidence(estimates), estimates.unit
        mean = _log_mean_by_unit(evidence, unit)[unit]
        return np.exp(evidence - mean) / np.bincount(unit)[unit]

    def shares(self, estimates: Estimates) -> np.ndarray:
        """Probability of each normal if an effect is not zero, shape (tests, effects)."""
        weighted = estimates.factors * self.weights
        return weighted / np.maximum(weighted.sum(-1, keepdims=True), _TINY)

    def posterior(self, estimates: Estimates) -> Mixture:
        """Posterior of each effect."""
        nonzero = self.changed_units(estimates)[estimates.unit] * self.inclusion(estimates)
        weights = np.column_stack([1 - nonzero, nonzero[:, None] * self.shares(estimates)])
        squares = estimates.error[:, None] ** 2
        variance = np.concatenate([[0.0], estimates.effects**2])
        shrinkage = variance / (variance + squares)
        centres = np.concatenate([[0.0], estimates.centres])
        mean = centres + shrinkage * (estimates.value[:, None] - centres)
        return Mixture(weights, mean, shrinkage * squares)

    def _evidence(self, estimates: Estimates) -> np.ndarray:
        """Log Bayes factor of each effect against zero, shape (tests,)."""
        odds = np.maximum(estimates.factors @ self.weights, _TINY)
        return np.log(odds) + estimates.log_largest


def normal_errors(value: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Find standard errors for which a normal has the tail probability of Student's t, (tests,).

    ``value``, ``error`` and degrees of ``freedom`` have shape (tests,).
    """
    ratio = np.abs(value) / error
    score = norm.isf(student.sf(ratio, freedom))
    # Near zero the two agree; far out the tail probability underflows.
    usable = (ratio > 1e-3) & np.isfinite(score)
    return np.where(usable, np.abs(value) / np.where(usable, score, 1), error)


def log_bayes_factors(
    value: np.ndarray, error: np.ndarray, effects: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """Log Bayes factors of normals against zero.

    Parameters
    ----------
    value, error
        Estimates and their standard errors, shapes (tests,).
    effects, centres
        Standard deviations and means of the normals, shapes (effects,).

    Returns
    -------
    numpy.ndarray
        Shape (tests, effects).
    """
    total = np.sqrt(error[:, None] ** 2 + effects**2)
    return norm.logpdf(value[:, None], centres, total) - norm.logpdf(value, 0, error)[:, None]


def tails(mean: np.ndarray, variance: np.ndarray, threshold: float) -> np.ndarray:
    """Probability that a normal value is beyond the threshold on either side.

    ``mean`` and ``variance`` have one shape; a variance of zero is a point.
    """
    spread = np.sqrt(np.maximum(variance, _TINY**2))
    return norm.cdf((-threshold - mean) / spread) + norm.sf((threshold - mean) / spread)


def expected_false(probability: pd.Series) -> pd.Series:
    """Share of false discoveries to expect down to each row, of probabilities in falling order."""
    return (1 - probability).cumsum() / np.arange(1, len(probability) + 1)


def _log_mean_by_unit(log_values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Log of each unit's mean over its tests, shape (units,), of log values, shape (tests,)."""
    largest = np.full(unit.max() + 1, -np.inf)
    np.maximum.at(largest, unit, log_values)
    total = np.bincount(unit, np.exp(log_values - largest[unit]))
    return largest + np.log(total / np.bincount(unit))


def _logit(probability: float) -> float:
    return logit(np.clip(probability, _TINY, 1 - _TINY))
