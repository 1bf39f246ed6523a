"""What is installed: a wheel that works in an empty folder, and both ways to call the command."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: object, **options) -> str:
    finished = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, **options
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_module_is_the_command() -> None:
    told = run(sys.executable, "-m", "exvae", "--help")
    assert "lda" in told
    assert "info" in told


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("matplotlib", "pandas", "pyro", "torch")
    loaded = f"import sys, exvae; print([name for name in {heavy} if name in sys.modules])"
    assert run(sys.executable, "-c", loaded).strip() == "[]"


def test_pictures_are_loaded_when_they_are_asked_for() -> None:
    asked = "import sys, exvae; exvae.pl.gene; print('pl' in dir(exvae), 'torch' in sys.modules)"
    assert run(sys.executable, "-c", asked).strip() == "True False"


@pytest.mark.slow
def test_a_wheel_works_in_an_environment_of_its_own(tmp_path: Path) -> None:
    tracked = run("git", "ls-files", cwd=ROOT).splitlines()
    source = tmp_path / "source"
    for name in tracked:
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, source)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "exvae/models/lda.py" in names
    assert "exvae/experiments/cli.py" in names
    assert not [name for name in names if "tests/" in name or name.endswith(".tsv")]
    assert [name for name in names if name.endswith(".npz")] == [
        "exvae/data/simulators/symsim/tables.npz"
    ]
    assert "exvae/data/simulators/symsim/tables.LICENSE" in names
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    command = environment / "bin" / "exvae"
    run(command, "lda", "simulate", "corpus.npz", "--documents", 100, cwd=empty)
    simulate = (
        "from exvae.data.simulators.symsim.cells import simulate_cells; simulate_cells(9, 20)"
    )
    run(python, "-c", simulate, cwd=empty)
    fit = ["lda", "fit", "corpus.npz", "--topics", 3, "--epochs", 1, "--out", "fit"]
    run(command, *fit, cwd=empty)
    assert "lda" in run(command, "info", "fit", cwd=empty)
