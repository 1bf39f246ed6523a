"""Tables of the zero factor's bump hold what direct integration gives, and stay as they grow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from exvae.models.zero_factor import (
    NormalRatio,
    ScaleMixtureRatio,
    Zeros,
    log_bump_independent,
    log_bump_shared,
)
from exvae.models.zero_surface import (
    LARGEST_COUNT,
    LARGEST_MODE,
    LOGIT_SPACING,
    LOWEST_LOGIT,
    LOWEST_ROOT,
    MODE_SPACING,
    NUM_LOGITS,
    NUM_MODES,
    NUM_ROOTS,
    ROOT_SPACING,
    SLAB,
    ZeroSurface,
    zero_surface,
)

SETTINGS = pytest.mark.parametrize(
    ("shared", "adaptive"), [(True, True), (True, False), (False, True), (False, False)]
)
# m0, m and the position of the concentration.
SLABS = [(1, 0, 3), (30, 0, 0), (5, 25, 8), (12, 1, 12), (3, 29, 21), (100, 60, 13)]


def slab_of(surface: ZeroSurface, zeros: int, positives: int, root: int) -> np.ndarray:
    """Values and slopes, shape (logits, 2, modes)."""
    start = int(surface.slabs[zeros, positives, root]) * SLAB
    return surface.values[start : start + SLAB].reshape(NUM_LOGITS, 2, NUM_MODES)


def direct(
    zeros: int, positives: int, root: int, logits: Tensor, *, shared: bool, adaptive: bool
) -> Tensor:
    """Log of the bump at logits and all modes, as the logits of shape (logits, modes)."""
    modes = torch.expm1(MODE_SPACING * torch.arange(NUM_MODES, dtype=torch.float64))
    own = Zeros(torch.tensor(float(zeros), dtype=torch.float64), logits)
    concentration = torch.tensor((LOWEST_ROOT + ROOT_SPACING * root) ** 3, dtype=torch.float64)
    both = 0.5 * (concentration + positives)
    variance = torch.tensor(1 / (1 + positives), dtype=torch.float64)
    if adaptive and shared:
        return log_bump_shared(own, ScaleMixtureRatio(modes * both.rsqrt(), variance, both))
    if adaptive:
        return log_bump_independent(own, modes * both.rsqrt(), both)
    if shared:
        return log_bump_shared(own, NormalRatio(modes, variance))
    return own.log_excess(modes)


@SETTINGS
@pytest.mark.parametrize(("zeros", "positives", "root"), SLABS)
def test_slabs_agree_with_direct_integration(
    zeros: int, positives: int, root: int, shared: bool, adaptive: bool
) -> None:
    surface = ZeroSurface(shared=shared, adaptive=adaptive)
    surface.compute(np.array([[zeros, positives, root]]))
    slab = slab_of(surface, zeros, positives, root)
    assert np.isfinite(slab).all()
    positions = torch.arange(0, NUM_LOGITS, 5)
    logits = (LOWEST_LOGIT + LOGIT_SPACING * positions.double()).unsqueeze(-1)
    logits = logits.repeat(1, NUM_MODES).requires_grad_()
    expected = direct(zeros, positives, root, logits, shared=shared, adaptive=adaptive)
    # What matters is the logarithm of one plus the bump.
    expected = functional.softplus(expected)
    (expected_slopes,) = torch.autograd.grad(expected.sum(), logits)
    values, slopes = torch.from_numpy(slab[positions.numpy()]).double().unbind(1)
    tolerance = 1.5e-2 if adaptive else 2e-3
    torch.testing.assert_close(
        functional.softplus(values), expected.detach(), rtol=1e-6, atol=tolerance
    )
    # Where a second bump appears direct integration is least sure, of slopes above all.
    torch.testing.assert_close(values.sigmoid() * slopes, expected_slopes, rtol=1e-6, atol=2e-2)


@SETTINGS
def test_corners_of_the_tables_are_finite(shared: bool, adaptive: bool) -> None:
    surface = ZeroSurface(shared=shared, adaptive=adaptive)
    corners = [
        (zeros, positives, root)
        for zeros in (1, LARGEST_COUNT)
        for positives in (0, LARGEST_COUNT)
        for root in (0, NUM_ROOTS - 1)
    ]
    surface.compute(np.array(corners))
    assert np.isfinite(surface.values[: SLAB * len(corners)]).all()


def test_the_last_mode_is_the_largest() -> None:
    assert np.expm1(MODE_SPACING * (NUM_MODES - 1)) == pytest.approx(LARGEST_MODE)


def test_slabs_are_kept_when_more_are_computed() -> None:
    surface = ZeroSurface(shared=True, adaptive=False)
    assert (surface.slabs == -1).all()
    kept = []
    for zeros in range(1, 8):
        surface.compute(np.array([[zeros, 2, 0], [zeros, 3, 0]]))
        kept.append(slab_of(surface, zeros, 2, 0).copy())
        for earlier, values in enumerate(kept, start=1):
            np.testing.assert_array_equal(slab_of(surface, earlier, 2, 0), values)
    # Each has a place of its own, one after another.
    places = surface.slabs[surface.slabs >= 0]
    assert sorted(places.tolist()) == list(range(14))
    for values, after in zip(kept, kept[1:], strict=False):
        assert (values != after).any()


def test_a_setting_has_one_surface() -> None:
    one = zero_surface(shared=True, adaptive=False)
    assert one is zero_surface(shared=True, adaptive=False)
    assert one is not zero_surface(shared=False, adaptive=False)
    assert (one.shared, one.adaptive) == (True, False)
