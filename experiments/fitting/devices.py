"""Choice of the device to compute on."""

from __future__ import annotations

import torch

from .errors import ArgumentError


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device; DataError if it is not available."""
    if name not in ("auto", "cpu", "cuda"):
        raise ArgumentError(f"device is {name!r}; choose one of auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device is cuda, but torch sees no CUDA device; choose cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
