"""The command, as users type it, and small fits of models of isoforms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from exvae.data.cells import Cells
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
def fit_cells(small_cells: Cells, tmp_path: Path) -> Callable[..., IsoformFit]:
    """Fit a model and load the fit; fields and options of IsoformConfig, and of the training."""
    names = {field.name for field in fields(IsoformConfig)}

    def fit(
        name: str = "fit",
        *,
        cells: Cells = small_cells,
        train_fraction: float = 0.75,
        training: dict | None = None,
        **options,
    ) -> IsoformFit:
        chosen = {key: options.pop(key) for key in names & options.keys()}
        defaults = {"epochs": 2, "batch_size": 5, "learning_rate": 5e-3, "device": "cpu"}
        fitting.fit(
            cells,
            IsoformConfig(**chosen, options=options),
            TrainingConfig(**{**defaults, **(training or {})}),
            tmp_path / name,
            train_fraction=train_fraction,
        )
        return fitting.load(tmp_path / name, "cpu", trust=True)

    return fit
