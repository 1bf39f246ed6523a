"""Every test starts from the same state of Pyro, torch and numpy; data that many tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyro
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise


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


@pytest.fixture
def small_cells() -> Cells:
    """Make 24 cells of six isoforms and three genes in two batches, with 2 to 4 bootstraps."""
    rng = np.random.default_rng(3)
    batches = np.arange(24) % 3 % 2
    expected = rng.gamma(2.0, 10.0, (24, 6)) * np.where(batches, 3.0, 1.0)[:, None]
    numbers = 2 + np.arange(24) % 3
    draws = rng.gamma(expected, 1.0, (4, 24, 6)) * rng.gamma(4.0, 0.25, (4, 24, 1))
    bootstraps = []
    for number, own in enumerate(draws):
        own = np.maximum(own, 0.25) * (rng.random(own.shape) < 0.9)
        own[:, 0] += 1.0
        own[numbers <= number] = 0.0
        bootstraps.append(csr_matrix(own.astype(np.float32)))
    return Cells(
        names=np.array([f"cell{n}" for n in range(24)]),
        isoforms=np.array([f"iso{g}" for g in range(6)]),
        genes=np.array(["b", "a", "a", "c", "c", "c"]),
        counts=csr_matrix(expected.astype(np.float32)),
        bootstraps=tuple(bootstraps),
        summary=summarise(bootstraps),
        num_bootstraps=numbers,
        obs=pd.DataFrame(index=[f"cell{n}" for n in range(24)]),
        batches=batches,
        batch_names=("deep", "shallow"),
    )
