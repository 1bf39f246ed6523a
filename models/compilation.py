"""Compiling what is evaluated many times over, where the machine can."""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings
from collections.abc import Callable
from functools import cache

import torch


@cache
def compiled(function: Callable) -> Callable:
    """Compile a function of tensors, once for all sizes; kept for the life of the process."""
    # Options of the likelihood and whether slopes are wanted each get code of their own.
    return torch.compile(function, dynamic=True)


@cache
def can_compile(device_type: str) -> bool:
    """Tell whether ``torch.compile`` has what it needs for a device; warn once where not."""
    if device_type == "cuda":
        missing = None if importlib.util.find_spec("triton") else "triton"
    else:
        compilers = (os.environ.get("CXX", "g++"), "g++", "clang++", "c++")
        missing = None if any(map(shutil.which, compilers)) else "a C++ compiler (g++)"
    if missing is not None:
        warnings.warn(
            f"{missing} is not installed, so the likelihood of bootstraps is not compiled and "
            "takes several times as long",
            RuntimeWarning,
            stacklevel=2,
        )
    return missing is None
