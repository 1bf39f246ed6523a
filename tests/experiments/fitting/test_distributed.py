"""Several processes of torchrun give the fit of one, and end together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exvae.data.corpora import write_corpus
from exvae.experiments.fitting import fits

from ...small_data import draw_cells
from .several_fits import JOBS, corpus, fit

PROGRAM = Path(__file__).with_name("several_fits.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
# Jobs that are also begun by one number of processes and resumed by another.
RESUMED = ("reads", "lda")
# Largest relative difference of parameters; Adam divides small gradients of reads by their size.
TOLERANCES = dict.fromkeys(JOBS, 1e-9) | {"reads": 1e-8, "paper": 1e-5}
EPOCHS = 2


def launch(processes: int, tasks: list[dict[str, Any]], folder: Path) -> None:
    """Fit tasks in several processes."""
    cells = folder / "cells.h5ad"
    if not cells.exists():
        draw_cells().write_h5ad(cells)
    described = folder / f"tasks{processes}.json"
    described.write_text(json.dumps({"tasks": tasks, "cells": str(cells)}))
    command = [*TORCHRUN, str(processes), str(PROGRAM), str(described)]
    finished = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert finished.returncode == 0, finished.stderr


def task(name: str, folder: Path, epochs: int, *, resume: bool = False) -> dict[str, Any]:
    return {"name": name, "folder": str(folder), "epochs": epochs, "resume": resume}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with fits of every job by one process and by two.

    Some jobs were begun by one and resumed by the other number of processes.
    """
    folder = tmp_path_factory.mktemp("fits")
    cells = folder / "cells.h5ad"
    draw_cells().write_h5ad(cells)
    for name in JOBS:
        fit(name, folder / "one" / name, EPOCHS, cells=cells)
    for name in RESUMED:
        fit(name, folder / "resumed by two" / name, 1, cells=cells)
        # Members are trained at each end, so that a fit that goes on is not one in one go.
        fit(name, folder / "always one" / name, 1, cells=cells)
        fit(name, folder / "always one" / name, EPOCHS, cells=cells, resume=True)
    tasks = [task(name, folder / "two" / name, EPOCHS) for name in JOBS]
    for name in RESUMED:
        tasks.append(task(name, folder / "resumed by two" / name, EPOCHS, resume=True))
        tasks.append(task(name, folder / "resumed by one" / name, 1))
    launch(2, tasks, folder)
    for name in RESUMED:
        fit(name, folder / "resumed by one" / name, EPOCHS, cells=cells, resume=True)
    return folder


def assert_same_fit(name: str, one: Path, other: Path) -> None:
    """Require equal states but for rounding, and the same random numbers to come."""
    tolerance = TOLERANCES[name]
    expected, found = fits.read_checkpoint(one), fits.read_checkpoint(other)
    assert torch.equal(expected["random"]["cpu"], found["random"]["cpu"])
    for part in ("model", "guide", "data"):
        assert_close(expected[part], found[part], tolerance)
    assert found["progress"]["epoch"] == expected["progress"]["epoch"]
    rows, others = fits.read_metrics(one), fits.read_metrics(other)
    for column in rows.columns[rows.columns.str.contains("loss|perplexity")]:
        np.testing.assert_allclose(others[column], rows[column], rtol=min(tolerance, 1e-6))


def assert_close(
    expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], tolerance: float
) -> None:
    """Compare tensors by the length of their difference."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        difference = (found[name].double() - value.double()).norm()
        assert difference <= tolerance * value.double().norm(), name


@pytest.mark.parametrize("name", JOBS)
def test_two_processes_give_the_fit_of_one(name: str, fitted: Path) -> None:
    assert_same_fit(name, fitted / "one" / name, fitted / "two" / name)


@pytest.mark.parametrize("how", ["resumed by one", "resumed by two"])
@pytest.mark.parametrize("name", RESUMED)
def test_the_number_of_processes_may_change(name: str, how: str, fitted: Path) -> None:
    assert_same_fit(name, fitted / "always one" / name, fitted / how / name)


@pytest.mark.slow
def test_four_processes_give_the_fit_of_one(fitted: Path) -> None:
    tasks = [task(name, fitted / "four" / name, EPOCHS) for name in JOBS]
    launch(4, tasks, fitted)
    for name in JOBS:
        assert_same_fit(name, fitted / "one" / name, fitted / "four" / name)


def command(corpus_file: Path, out: Path, *options: str) -> list[str]:
    """Fit of topics that takes a while."""
    settings = ["--topics", "4", "--epochs", "300", "--batch-size", "33", "--device", "cpu"]
    return ["-m", "exvae", "lda", "fit", str(corpus_file), *settings, "--out", str(out), *options]


def wait_for_epoch(folder: Path, process: subprocess.Popen) -> None:
    """Wait until an epoch is in the checkpoint, while the process runs.

    The row of an epoch is written before its checkpoint, so that two rows tell of one.
    """
    deadline = time.monotonic() + 120
    while len(fits.read_metrics(folder)) < 2:
        assert process.poll() is None, "training ended before it could be stopped"
        assert time.monotonic() < deadline, "training is too slow"
        time.sleep(0.01)


def process_of_rank(parent: int, rank: int) -> int:
    """Find a process that torchrun started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    wanted = f"RANK={rank}".encode()
    (found,) = [
        int(child)
        for child in children
        if wanted in Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    ]
    return found


def told(messages: str) -> list[str]:
    """Lines of exvae itself, without the progress."""
    lines = messages.replace("\r", "\n").splitlines()
    return [
        line for line in lines if line.startswith("exvae: ") and "documents are few" not in line
    ]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_killed_process_ends_the_others(rank: int, tmp_path: Path) -> None:
    file, out = tmp_path / "corpus.npz", tmp_path / "fit"
    write_corpus(corpus(), file)
    start = [*TORCHRUN, "2", *command(file, out)]
    process = subprocess.Popen(start, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    wait_for_epoch(out, process)
    os.kill(process_of_rank(process.pid, rank), signal.SIGKILL)
    _, messages = process.communicate(timeout=60)
    assert process.returncode != 0
    (line,) = told(messages)
    assert "another process has ended" in line
    assert line.endswith("--resume goes on from its checkpoint")
    assert fits.read_checkpoint(out)["progress"]["epoch"] >= 1


@pytest.mark.slow
def test_a_signal_saves_and_another_number_goes_on(tmp_path: Path) -> None:
    file, out, straight = tmp_path / "corpus.npz", tmp_path / "fit", tmp_path / "straight"
    write_corpus(corpus(), file)
    start = [*TORCHRUN, "2", *command(file, out)]
    process = subprocess.Popen(start, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    wait_for_epoch(out, process)
    process.send_signal(signal.SIGTERM)
    _, messages = process.communicate(timeout=60)
    (line,) = told(messages)
    assert "interrupted: saved epoch" in line
    epochs = fits.read_checkpoint(out)["progress"]["epoch"] + 2
    for folder, more in ((straight, []), (out, ["--resume"])):
        alone = [sys.executable, *command(file, folder, "--epochs", str(epochs), *more)]
        subprocess.run(alone, check=True, capture_output=True, env=ENVIRONMENT)
    losses = [fits.read_metrics(folder)["loss_per_token"] for folder in (straight, out)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_an_error_of_all_is_told_once(tmp_path: Path) -> None:
    start = [*TORCHRUN, "2", *command(tmp_path / "missing.npz", tmp_path / "fit")]
    finished = subprocess.run(start, capture_output=True, text=True, env=ENVIRONMENT)
    assert finished.returncode != 0
    (line,) = told(finished.stderr)
    assert "no such file" in line


def test_one_process_loads_nothing_of_it() -> None:
    loaded = (
        "import sys; from exvae.experiments.isoforms import fitting; import torch; "
        "print('exvae.experiments.fitting.distributed' in sys.modules, "
        "torch.distributed.is_initialized())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["False", "False"]
