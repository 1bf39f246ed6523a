"""Memory that libraries need before they start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from exvae.data import memory
from exvae.data.memory import FOR_COMPILED_LOOPS, require_memory

resource = pytest.importorskip("resource")

# Leaves a process the given number of MiB, and lets it run a line.
_PROGRAM = """
import resource, sys
import h5py, torch
from pathlib import Path
from exvae.data.compiled_loops import spread
from exvae.data.h5ad import opening
from exvae.data.h5ad.new_files import NewFile
held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + (int(sys.argv[1]) << 20),) * 2)
{line}
"""


def test_memory_that_is_there() -> None:
    require_memory(FOR_COMPILED_LOOPS)


def test_memory_that_is_not_there() -> None:
    with pytest.raises(MemoryError, match="less than 1073741824 MiB are left"):
        require_memory(1 << 50)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("mebibytes", "line"),
    [
        (20, "with opening.open_h5ad(Path(sys.argv[2])): pass"),
        (20, "NewFile(Path(sys.argv[3]))"),
        (100, "spread(print, 3)"),
        (100, "import exvae.data.compiled_functions"),
    ],
)
def test_libraries_are_not_started_without_memory(
    mebibytes: int, line: str, tmp_path: Path
) -> None:
    import h5py

    h5py.File(tmp_path / "old.h5ad", "w").close()
    command = [sys.executable, "-c", _PROGRAM.format(line=line), str(mebibytes)]
    places = [tmp_path / "old.h5ad", tmp_path / "new.h5ad"]
    done = subprocess.run([*command, *places], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "MiB are left" in done.stderr
    assert not (tmp_path / "new.h5ad").exists()


def test_available_memory_is_bounded_by_limits(tmp_path: Path, monkeypatch) -> None:
    free = memory.available_memory()
    assert 0 < free < psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.available_memory() > 10_000
    (tmp_path / "memory.max").write_text("6000\n")
    assert memory.available_memory() == 5000
    (tmp_path / "memory.current").write_text("7000\n")
    assert memory.available_memory() == 0
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "none")
    limit = psutil.Process().memory_info().vms + (1 << 20)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert memory.available_memory() <= 1 << 20
