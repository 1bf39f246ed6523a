"""Several processes of torchrun write the export of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anndata
import pytest

from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import exporting, fitting
from exvae.experiments.isoforms.settings import IsoformConfig

from ...small_data import draw_cells
from ..fitting.test_distributed import ENVIRONMENT, TORCHRUN, told

# Entries of a part and of a block: parts of some cells each, the last one smaller.
PART, BLOCK = 120, 48
_PROGRAM = """
import sys, warnings
from pathlib import Path
from torch import distributed
from exvae.experiments.isoforms import exporting, fitting
warnings.simplefilter("ignore")
distributed.init_process_group("gloo")
for name in {names}:
    fit = fitting.load(Path(name), "cpu")
    exporting.export(fit, "{cells}", Path(sys.argv[1]) / f"{{name}}.h5ad", {options})
distributed.destroy_process_group()
"""
OPTIONS = {"part": PART, "block": BLOCK, "num_samples": 4, "seed": 3, "draws": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with cells, fits of two models to them, and a program that exports both."""
    folder = tmp_path_factory.mktemp("together")
    draw_cells().write_h5ad(folder / "cells.h5ad")
    cells = read_cells(folder / "cells.h5ad", "batch")
    for name in ("effective-reads", "reads"):
        members = {"members": 2, "member_epochs": 1} if name == "reads" else {}
        config = IsoformConfig(model=name, options=members)
        fitting.fit(cells, config, TrainingConfig(1, 16, 5e-3, device="cpu"), folder / name)
    options = ", ".join(f"{name}={value}" for name, value in OPTIONS.items())
    program = _PROGRAM.format(
        names=["effective-reads", "reads"], cells="cells.h5ad", options=options
    )
    (folder / "program.py").write_text(program)
    return folder


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_write_the_export_of_one(folder: Path, tmp_path: Path, processes: int) -> None:
    start = [*TORCHRUN, str(processes), str(folder / "program.py"), str(tmp_path)]
    finished = subprocess.run(start, capture_output=True, text=True, env=ENVIRONMENT, cwd=folder)
    assert finished.returncode == 0, finished.stderr
    for name in ("effective-reads", "reads"):
        fit = fitting.load(folder / name, "cpu")
        one = exporting.export(fit, folder / "cells.h5ad", tmp_path / "one.h5ad", **OPTIONS)
        assert one["cells"] > 2 * PART // one["isoforms"], "there are parts for every process"
        expected, found = tmp_path / "one.h5ad", tmp_path / f"{name}.h5ad"
        assert expected.read_bytes() == found.read_bytes()
        if name == "reads":
            effective = anndata.read_h5ad(found).uns["exvae"]["effective_draws"]
            assert effective == one["effective_draws"] > 0


def test_the_command_tells_an_error_once(folder: Path, tmp_path: Path) -> None:
    command = ["isoforms", "export", str(folder / "reads"), "missing.h5ad", "--out", "out.h5ad"]
    finished = subprocess.run(
        [*TORCHRUN, "2", "-m", "exvae", *command],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=tmp_path,
    )
    assert finished.returncode != 0
    (line,) = told(finished.stderr)
    assert "missing.h5ad" in line
    assert not list(tmp_path.iterdir())


def test_the_first_process_tells_the_result(folder: Path, tmp_path: Path) -> None:
    command = ["isoforms", "export", str(folder / "effective-reads"), str(folder / "cells.h5ad")]
    finished = subprocess.run(
        [*TORCHRUN, "2", "-m", "exvae", *command, "--out", str(tmp_path / "out.h5ad")],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("expression_log1p") == 1
    alone = [sys.executable, "-m", "exvae", *command, "--out", str(tmp_path / "alone.h5ad")]
    subprocess.run(alone, check=True, capture_output=True, env=ENVIRONMENT)
    written = [(tmp_path / f"{name}.h5ad").read_bytes() for name in ("out", "alone")]
    assert written[0] == written[1]
