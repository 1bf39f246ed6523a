"""Imports in several processes, and imports that fail or are interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exvae.data import processes
from exvae.data.errors import DataError, DataWarning
from exvae.data.h5ad.writing import H5adRows
from exvae.data.quantified import importing
from exvae.data.quantified.importing import ImportOptions, import_cells

from .quantifier_output import (
    draw_cell,
    write_kallisto_h5,
)


def test_the_same_file_from_any_number_of_processes(folder: Path, tmp_path: Path) -> None:
    contents = []
    for number in (1, 3):
        out = tmp_path / f"{number}.h5ad"
        import_cells([folder], out, options=ImportOptions(num_processes=number))
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]


def test_other_transcripts_in_one_cell(folder: Path, tmp_path: Path) -> None:
    cell = draw_cell(seed=9)
    other = cell._replace(transcripts=[*cell.transcripts[:-1], "NM_9"])
    directory = write_kallisto_h5(folder / "zzz", other)
    with pytest.raises(DataError, match=f"{directory}: has 40 transcripts, among them not"):
        import_cells([folder], tmp_path / "cells.h5ad", options=ImportOptions(num_processes=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plate"]


def test_a_failure_leaves_what_was_there(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    out.write_text("precious")
    (folder / "text" / "cell_1" / "bs_abundance_1.tsv").write_text("target_id\test_counts\n")
    with pytest.raises(DataError, match=r"bs_abundance_1\.tsv"):
        import_cells([folder], out)
    assert out.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad", "plate"]


def test_places_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no/cells\.h5ad: its folder does not exist"):
        import_cells([folder], tmp_path / "no" / "cells.h5ad")
    with pytest.raises(DataError, match=r"cells\.csv: cells are written as \.h5ad"):
        import_cells([folder], tmp_path / "cells.csv")
    (tmp_path / "cells.h5ad").mkdir()
    with pytest.raises(DataError, match=r"cells\.h5ad: cannot be written"):
        import_cells([folder], tmp_path / "cells.h5ad")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells.h5ad", "plate"]


@pytest.mark.parametrize("num_processes", [1, 2])
def test_an_interrupt_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_processes: int
) -> None:
    def interrupt(rows: H5adRows, sparse: object, dense: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(H5adRows, "append", interrupt)
    with pytest.raises(KeyboardInterrupt):
        import_cells(
            [folder], tmp_path / "cells.h5ad", options=ImportOptions(num_processes=num_processes)
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plate"]
    assert multiprocessing.active_children() == []


def test_an_interrupt_from_the_terminal(folder: Path, tmp_path: Path) -> None:
    for number in range(300):
        (folder / f"copy_{number}").symlink_to(folder / "text" / "cell_1")
    out = tmp_path / "out" / "cells.h5ad"
    out.parent.mkdir()
    program = (
        "import signal, sys; from pathlib import Path; "
        # A shell starts what runs in its background deaf to interrupts.
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from exvae.data.quantified.importing import ImportOptions, import_cells; "
        "import_cells([sys.argv[1]], Path(sys.argv[2]), options=ImportOptions(num_processes=2))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, folder, out],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while child.poll() is None and not list(out.parent.iterdir()):
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does, to all processes
    _, errors = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert child.returncode not in (0, 1, 2)
    assert list(out.parent.iterdir()) == []


def test_a_killed_import_leaves_nothing_that_stays(folder: Path, tmp_path: Path) -> None:
    for number in range(300):
        (folder / f"copy_{number}").symlink_to(folder / "text" / "cell_1")
    out, temporary = tmp_path / "out" / "cells.h5ad", tmp_path / "temporary"
    out.parent.mkdir()
    temporary.mkdir()
    program = (
        "import sys; from pathlib import Path; "
        "from exvae.data.quantified.importing import ImportOptions, import_cells; "
        "import_cells([sys.argv[1]], Path(sys.argv[2]), options=ImportOptions(num_processes=2))"
    )
    environment = {**os.environ, "TMPDIR": str(temporary)}
    child = subprocess.Popen([sys.executable, "-c", program, folder, out], env=environment)
    while child.poll() is None and not list(out.parent.rglob("function")):
        time.sleep(0.01)
    child.kill()
    child.wait()
    assert list(out.parent.rglob("function"))
    assert list(temporary.iterdir()) == []
    with pytest.warns(DataWarning, match="was left by a process that was killed"):
        import_cells([folder], out)
    assert list(out.parent.iterdir()) == [out]


def test_a_process_that_dies(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = H5adRows.append

    def kill_and_append(*arguments: object) -> None:
        for process in multiprocessing.active_children():
            process.kill()
        append(*arguments)

    monkeypatch.setattr(H5adRows, "append", kill_and_append)
    with pytest.raises(DataError, match="has died"):
        import_cells([folder], tmp_path / "cells.h5ad", options=ImportOptions(num_processes=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plate"]


def test_processes_are_started_where_that_pays(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def map_in_order(reader, directories, num_processes, folder):
        used.append(num_processes)
        return processes.map_in_order(reader, directories, 1)

    monkeypatch.setattr(importing, "map_in_order", map_in_order)
    monkeypatch.setattr(importing, "num_cores", lambda: 6)
    import_cells([folder], tmp_path / "cells.h5ad")
    monkeypatch.setattr(importing, "_SECONDS_WORTH_PROCESSES", 0.0)
    import_cells([folder], tmp_path / "cells.h5ad")
    import_cells([folder], tmp_path / "cells.h5ad", options=ImportOptions(num_processes=5))
    assert used == [1, 6, 5]
