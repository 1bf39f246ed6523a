"""Modules are set to evaluation for a while, and left as they were."""

from __future__ import annotations

import pytest
from torch import nn

from exvae.data.evaluating import evaluating


def test_modes_come_back_even_after_an_error() -> None:
    learning, asked = nn.Linear(1, 1).train(), nn.Dropout().eval()
    with pytest.raises(KeyError), evaluating(learning, asked):
        assert not learning.training
        assert not asked.training
        raise KeyError
    assert learning.training
    assert not asked.training
