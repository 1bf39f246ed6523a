"""Gaussian rules of sums over equally spaced points, against the sums."""

from __future__ import annotations

import numpy as np
import pytest

from exvae.data.quadrature import gram_rule


@pytest.mark.parametrize("length", [1, 3, 4, 5, 9, 20])
def test_sums_of_polynomials_are_exact(length: int) -> None:
    nodes, weights = gram_rule(4, 20)[:, length]
    points = np.arange(length) + 0.5  # in units of the distance of points
    for power in range(8):
        found = length * weights @ (length * nodes) ** power
        assert found == pytest.approx((points**power).sum(), rel=1e-10)


def test_longer_sums_have_the_rule_of_an_integral() -> None:
    nodes, weights = gram_rule(4, 20)[:, 21]
    assert weights @ nodes**6 == pytest.approx(1 / 7, rel=1e-12)
