"""Functions of tensors against their definitions, at extreme values too."""

from __future__ import annotations

import math

import torch

from exvae.data.special_functions import inverse_softplus


def test_inverse_softplus() -> None:
    values = torch.tensor([1e-3, 0.1, 1.0, 30.0, 300.0])
    found = torch.nn.functional.softplus(inverse_softplus(values))
    torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-6)
    assert math.isclose(float(inverse_softplus(torch.tensor(math.log(2.0)))), 0.0, abs_tol=1e-6)
