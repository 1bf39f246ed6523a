"""The command, as users type it, and small fits of models of isoforms."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from exvae.data.cells import Cells, summarise
from exvae.experiments import cli
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.fitting import IsoformFit
from exvae.experiments.isoforms.settings import IsoformConfig


class Result:
    """Exit status and what was printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> dict:
        """The one object on standard output."""
        return json.loads(self.out)


@pytest.fixture
def exvae(monkeypatch, capsys) -> Callable[..., Result]:
    """Run the command in this process."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["exvae", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Result(ended.value.code, captured.out, captured.err)

    return run


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


@pytest.fixture
def fit_cells(small_cells: Cells, tmp_path: Path) -> Callable[..., IsoformFit]:
    """Fit a model of isoforms and load the fit; options of the model, and of the training."""

    def fit(
        name: str = "fit",
        *,
        cells: Cells = small_cells,
        train_fraction: float = 0.75,
        training: dict | None = None,
        **options,
    ) -> IsoformFit:
        defaults = {"epochs": 2, "batch_size": 5, "learning_rate": 5e-3, "device": "cpu"}
        fitting.fit(
            cells,
            IsoformConfig(**options),
            TrainingConfig(**{**defaults, **(training or {})}),
            tmp_path / name,
            train_fraction=train_fraction,
        )
        return fitting.load(tmp_path / name, "cpu")

    return fit
