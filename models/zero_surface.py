"""Tables of the zero factor's bump for compiled sums.

Where the noise scale is integrated out, the bump E[(q(r) / pi)^m0 - 1] of an entry
(:mod:`exvae.models.zero_factor`) depends on its numbers of bootstraps, zero and not, on the logit
of pi, on the concentration nu, and on one number that depends on the count: the mode of r, which is
where the noise scale is as expected. So for every pair of numbers of bootstraps it is a surface,
tabulated over the cube root of nu, the logit and x = log(1 + mode), all evenly spaced. Tables are
computed when they are first needed, in slabs of one concentration.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .zero_table import bump_of_ratios, bump_over_scales

LOWEST_LOGIT, LOGIT_SPACING, NUM_LOGITS = -18.0, 0.4, 81
LOWEST_ROOT, ROOT_SPACING, NUM_ROOTS = 0.75, 0.25, 22
NUM_MODES = 64
LARGEST_MODE = 100.0
MODE_SPACING = math.log1p(LARGEST_MODE) / (NUM_MODES - 1)
# Values and slopes in the logit, a row of modes each, for every logit.
SLAB = NUM_LOGITS * 2 * NUM_MODES
# Numbers of bootstraps up to this are tabulated.
LARGEST_COUNT = 255


class ZeroSurface:
    """Tables of one error model, with the noise scale integrated out or known.

    Attributes
    ----------
    slabs
        Where the slab of m0, m and a concentration lies among ``values``, -1 where it has not been
        computed yet, shape (1 + LARGEST_COUNT, 1 + LARGEST_COUNT, NUM_ROOTS), int32. Where the
        scale is known the first concentration stands for all.
    values
        One slab of ``SLAB`` numbers after another, float32; logits, then value and slope, then
        modes.
    """

    def __init__(self, *, shared: bool, adaptive: bool) -> None:
        self.shared, self.adaptive = shared, adaptive
        self.slabs = np.full((LARGEST_COUNT + 1, LARGEST_COUNT + 1, NUM_ROOTS), -1, np.int32)
        self.values = np.empty(0, np.float32)
        self._used = 0

    def compute(self, missing: np.ndarray) -> None:
        """Compute slabs, rows (m0, m, concentration) of ``missing``, shape (slabs, 3)."""
        needed = (self._used + len(missing)) * SLAB
        if needed > len(self.values):
            larger = np.empty(max(needed, 3 * len(self.values) // 2), np.float32)
            larger[: len(self.values)] = self.values
            self.values = larger
        for zeros, positives, root in missing.tolist():
            start = self._used * SLAB
            slab = self._slab(zeros, positives, root)
            self.values[start : start + SLAB] = slab.float().flatten().numpy()
            self.slabs[zeros, positives, root] = self._used
            self._used += 1

    def _slab(self, zeros: int, positives: int, root: int) -> Tensor:
        """Value and slope at every logit and mode, shape (logits, 2, modes)."""
        logits = LOWEST_LOGIT + LOGIT_SPACING * torch.arange(NUM_LOGITS, dtype=torch.float64)
        modes = torch.expm1(MODE_SPACING * torch.arange(NUM_MODES, dtype=torch.float64))
        if not self.adaptive:
            return bump_of_ratios(zeros, positives, logits, modes, shared=self.shared)
        concentration = (LOWEST_ROOT + ROOT_SPACING * root) ** 3
        return bump_over_scales(
            zeros, positives, logits, modes, 0.5 * (concentration + positives), shared=self.shared
        )


@cache
def zero_surface(*, shared: bool, adaptive: bool) -> ZeroSurface:
    """Give the tables of a setting, which last as long as the process."""
    return ZeroSurface(shared=shared, adaptive=adaptive)
