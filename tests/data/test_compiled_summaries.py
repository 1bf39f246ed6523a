"""Moments and quantiles in compiled loops, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.compiled_summaries import PARTS, moments_of, quantiles_of, share_above

LEVELS = np.array([0.025, 0.25, 0.5, 0.9, 0.975])


def draws_of(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    return {
        "many": rng.gamma(400.0, 25.0, 637),
        "few": rng.gamma(0.2, 3.0, 637),
        "zeros": rng.gamma(2.0, 3.0, 637) * (rng.random(637) < 0.4),
        "one": np.array([3.0]),
        "same": np.full(20, 7.0),
    }[kind].astype(np.float32)


@pytest.mark.parametrize("kind", ["many", "few", "zeros", "one", "same"])
def test_moments_and_quantiles(kind: str) -> None:
    draws, found = draws_of(kind), np.empty(5)
    moments_of(draws, found)
    sd = draws.std(ddof=1, dtype=float) if len(draws) > 1 else 0.0
    expected = [draws.mean(dtype=float), sd, np.log1p(draws.astype(float)).mean()]
    np.testing.assert_allclose(found[:3], expected, rtol=1e-6, atol=1e-12)
    quantiles_of(draws, LEVELS, np.empty(PARTS, np.int32), found)
    exact = np.quantile(draws, LEVELS, method="hazen")
    # Parts are narrow on the scale of logarithms, and neighbours of a quantile may be far away.
    width = 2 * np.ptp(np.log1p(draws)) / PARTS + 1e-6
    near = [np.quantile(draws, np.clip(LEVELS + step / len(draws), 0, 1)) for step in (-2, 2)]
    low, high = np.log1p(near[0]) - width, np.log1p(near[1]) + width
    assert ((np.log1p(found) >= low) & (np.log1p(found) <= high)).all()
    assert np.abs(np.log1p(found) - np.log1p(exact)).max() < 0.06
    assert (np.diff(found) >= 0).all()


def test_the_share_above_a_threshold() -> None:
    assert share_above(np.array([0.5, 1.0, 1.5, 3.0], np.float32), 1.0) == 0.5
