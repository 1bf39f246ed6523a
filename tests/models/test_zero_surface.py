"""Tables of the zero factor's bump, against the bump itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exvae.models import zero_surface
from exvae.models.zero_factor import (
    ScaleMixtureRatio,
    Zeros,
    log_bump_independent,
    log_bump_shared,
)
from exvae.models.zero_surface import ZeroSurface

ZEROS, POSITIVES, ROOT = 12, 5, 6


def slab_of(surface: ZeroSurface, zeros: int, positives: int, root: int) -> np.ndarray:
    place = surface.slabs[zeros, positives, root]
    values = surface.values[place * zero_surface.SLAB : (place + 1) * zero_surface.SLAB]
    return values.reshape(zero_surface.NUM_LOGITS, 2, zero_surface.NUM_MODES)


@pytest.mark.parametrize("shared", [True, False])
def test_a_slab_is_the_bump(shared: bool) -> None:
    surface = ZeroSurface(shared=shared, adaptive=True)
    surface.compute(np.array([[ZEROS, POSITIVES, ROOT]]))
    slab = slab_of(surface, ZEROS, POSITIVES, ROOT)
    nu = (zero_surface.LOWEST_ROOT + zero_surface.ROOT_SPACING * ROOT) ** 3
    concentration = torch.tensor(0.5 * (nu + POSITIVES), dtype=torch.float64)
    logits = torch.arange(zero_surface.NUM_LOGITS, dtype=torch.float64)
    logits = zero_surface.LOWEST_LOGIT + zero_surface.LOGIT_SPACING * logits[10:60:5]
    modes = torch.arange(zero_surface.NUM_MODES, dtype=torch.float64)
    modes = torch.expm1(zero_surface.MODE_SPACING * modes[1:40])
    scale = (modes / concentration.sqrt()).expand(len(logits), -1)
    zeros = Zeros(torch.full_like(scale, float(ZEROS)), logits.unsqueeze(-1).expand_as(scale))
    concentration = concentration.expand_as(scale)
    if shared:
        variance = torch.full_like(scale, 1 / (1 + POSITIVES))
        expected = log_bump_shared(zeros, ScaleMixtureRatio(scale, variance, concentration))
    else:
        expected = log_bump_independent(zeros, scale, concentration)
    actual = slab[10:60:5, 0, 1:40]
    # What matters is log(1 + bump), in nats.
    np.testing.assert_allclose(
        np.logaddexp(0, actual), np.logaddexp(0, expected.numpy()), atol=5e-3
    )


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_slabs_are_finite_and_kept_as_more_are_computed(shared: bool, adaptive: bool) -> None:
    surface = ZeroSurface(shared=shared, adaptive=adaptive)
    surface.compute(np.array([[3, 2, 0], [30, 0, 0]]))
    first = slab_of(surface, 3, 2, 0).copy()
    surface.compute(np.array([[1, 1, 0], [2, 60, 0], [100, 0, 0]]))
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(slab_of(surface, 3, 2, 0), first)
    assert np.isfinite(slab_of(surface, 100, 0, 0)).all()
    assert surface.slabs[5, 5, 0] == -1
