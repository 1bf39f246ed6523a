"""Devices are chosen by name, and a missing one is told."""

from __future__ import annotations

import pytest
import torch

from exvae.data.errors import DataError
from exvae.experiments.fitting.devices import choose_device


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DataError, match="auto, cpu, cuda"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(DataError, match="no CUDA device"):
            choose_device("cuda")
