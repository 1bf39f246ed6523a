"""Every test starts from the same state of Pyro, torch and numpy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyro
import pytest


@pytest.fixture(autouse=True)
def fresh_pyro() -> Iterator[None]:
    """Clear the global parameter store, seed all generators and turn validation on."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    with pyro.validation_enabled():
        yield


@pytest.fixture
def shared_data() -> Path:
    """Folder of the data sets that lie beside the repository; skips the test without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the data sets in {folder}")
    return folder
