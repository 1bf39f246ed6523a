"""What is installed: a wheel that works in an empty folder, and both ways to call the command."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

import exvae

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
OWN = f"3.{sys.version_info.minor}"


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


def test_the_classifiers_are_the_versions_that_can_be_installed() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert setup["options"]["python_requires"] == f">={VERSIONS[0]}"
    prefix = "Programming Language :: Python :: 3."
    named = [line for line in setup["metadata"]["classifiers"].split("\n") if prefix in line]
    assert named == [f"{prefix}{version.partition('.')[2]}" for version in VERSIONS]
    target = f'target-version = "py{VERSIONS[0].replace(".", "")}"'
    assert target in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def interpreter(version: str) -> str | None:
    """Find a Python of a version: this one, one on the path, or one that pyenv or uv keeps."""
    folders = [Path.home() / name for name in (".pyenv/versions", ".local/share/uv/python")]
    kept = [own for folder in folders for own in folder.glob(f"*{version}.*/bin/python{version}")]
    asked = "import ensurepip, sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in (sys.executable, shutil.which(f"python{version}"), *kept):
        if candidate and told_by(candidate, asked) == version:
            return str(candidate)
    return None


def told_by(python: str | Path, program: str) -> str | None:
    """Run a program, and give what it prints; None if it fails."""
    finished = subprocess.run([python, "-c", program], capture_output=True, text=True)
    return finished.stdout.strip() if finished.returncode == 0 else None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution of what is tracked, and a wheel from it."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    for name in run("git", "ls-files", cwd=ROOT).splitlines():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--outdir", folder, source)
    return folder


@pytest.mark.slow
def test_the_wheel_and_the_source_hold_the_package(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "exvae/models/lda.py" in names
    assert "exvae/experiments/cli.py" in names
    assert not [name for name in names if "tests/" in name or name.endswith(".tsv")]
    assert [name for name in names if name.endswith(".npz")] == [
        "exvae/data/simulators/symsim/tables.npz"
    ]
    assert "exvae/data/simulators/symsim/tables.LICENSE" in names
    assert "exvae/experiments/report/groups.js" in names
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    modules = {name.removeprefix("exvae/") for name in names if name.startswith("exvae/")}
    assert modules <= packed
    assert {"LICENSE", "README.md", "setup.cfg", "pyproject.toml"} <= packed


@pytest.mark.slow
@pytest.mark.parametrize(
    "version",
    [pytest.param(own, marks=() if own == OWN else pytest.mark.pythons) for own in VERSIONS],
)
def test_the_wheel_works_in_an_environment_of_its_own(
    built: Path, tmp_path: Path, version: str
) -> None:
    found = interpreter(version)
    if found is None:
        pytest.skip(f"there is no Python {version}")
    (wheel,) = built.glob("*.whl")
    environment = tmp_path / "environment"
    run(found, "-m", "venv", environment)
    python = environment / "bin" / "python"
    constraints = [] if version == "3.10" else ["-c", ROOT / "constraints.txt"]
    run(python, "-m", "pip", "install", "-q", *constraints, wheel)
    empty = tmp_path / "empty"
    empty.mkdir()
    command = environment / "bin" / "exvae"
    assert run(command, "--version", cwd=empty).strip() == exvae.__version__
    run(command, "lda", "simulate", "corpus.npz", "--documents", 100, cwd=empty)
    fit = ["lda", "fit", "corpus.npz", "--topics", 3, "--epochs", 1, "--out", "fit"]
    run(command, *fit, cwd=empty)
    assert "lda" in run(command, "info", "fit", cwd=empty)
    run(command, "isoforms", "simulate", "cells.h5ad", "--cells", 30, "--isoforms", 50, cwd=empty)
    run(command, "isoforms", "fit", "cells.h5ad", "--epochs", 1, "--out", "FIT", cwd=empty)
    run(command, "isoforms", "export", "FIT", "cells.h5ad", "--out", "out.h5ad", cwd=empty)
