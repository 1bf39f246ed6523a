"""The command that imports cells, as users type it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pytest
import typer
from typer.testing import CliRunner, Result

from exvae.data.errors import DataError
from exvae.experiments.commands.import_cells import import_cells

from ...data.quantified.quantifier_output import (
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cells of kallisto, of 5 bootstraps, and one of salmon, of 3."""
    for number in range(3):
        write_kallisto_h5(tmp_path / "cells" / f"cell_{number}", draw_cell(seed=number))
    write_salmon(tmp_path / "cells" / "cell_3", draw_cell(seed=3, bootstraps=3), samples="gibbs")
    return tmp_path / "cells"


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(import_cells)
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_one_object_on_standard_output(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    result = run(folder, "--out", out, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "out": str(out),
        "cells": 4,
        "isoforms": 40,
        "genes": 40,
        "min_bootstraps": 3,
        "max_bootstraps": 5,
        "layers": 5,
        "reads": pytest.approx(12_000, rel=0.01),
        "skipped": 0,
    }
    notes = [line for line in result.stderr.splitlines() if line.startswith("exvae: ")]
    assert len(notes) == 2
    assert "without a table of genes (t2g)" in notes[0]
    assert "Gibbs" in notes[1]
    assert "4/4" in result.stderr  # the progress bar
    assert anndata.read_h5ad(out).n_obs == 4


def test_every_option(folder: Path, tmp_path: Path) -> None:
    out, t2g, obs = (tmp_path / name for name in ("cells.h5ad", "t2g.tsv", "obs.csv"))
    t2g.write_text("".join(f"{name}\tgene\n" for name in draw_cell(seed=0).transcripts))
    obs.write_text("cell,plate\n" + "".join(f"cell_{number},{number}\n" for number in range(4)))
    names = ("cell_2", "cell_0")
    result = run(
        *(folder / name for name in names),
        *("--out", out, "--t2g", t2g, "--obs", obs),
        *("--max-bootstraps", 4, "--layers", 2, "--processes", 2),
    )
    assert result.exit_code == 0
    assert "genes           1\n" in result.stdout
    data = anndata.read_h5ad(out)
    assert list(data.obs_names) == list(names)
    assert data.obs["plate"].tolist() == [2, 0]
    assert data.obs["n_bootstraps"].tolist() == [4, 4]
    assert set(data.var["gene"]) == {"gene"}
    assert "infRep2" in data.layers
    assert "infRep3" not in data.layers


def test_bad_input_is_one_line(folder: Path, tmp_path: Path) -> None:
    result = run(folder, "--out", tmp_path / "no" / "cells.h5ad")
    assert isinstance(result.exception, DataError)  # which the program turns into status 2
    assert "\n" not in str(result.exception)
    for arguments in (
        [folder],
        ["--out", tmp_path / "cells.h5ad"],
        [folder, "--out", tmp_path / "cells.h5ad", "--max-bootstraps", 0],
        [folder, "--out", tmp_path / "cells.h5ad", "--processes", 0],
    ):
        assert run(*arguments).exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells"]


def test_a_list_before_an_import(folder: Path, tmp_path: Path) -> None:
    empty = draw_cell(seed=0)._replace(counts=np.zeros(40))
    write_kallisto_h5(folder / "cell_4", empty)
    whole = draw_cell(seed=5)
    write_kallisto_plaintext(folder / "cell_5", whole._replace(bootstraps=whole.bootstraps[:0]))
    (write_kallisto_plaintext(folder / "cell_6", whole) / "abundance.tsv").unlink()
    result = run("--list", folder, "--json")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert (told["cells"], told["with_problems"]) == (7, 3)
    assert told["table"][0] == {
        "cell": "cell_0",
        "path": str(folder / "cell_0"),
        "format": "kallisto HDF5",
        "version": "0.48.0",
        "bootstraps": 5,
        "problem": "",
    }
    found = {row["cell"]: row for row in told["table"]}
    assert (found["cell_3"]["format"], found["cell_3"]["bootstraps"]) == ("salmon", 3)
    for name, problem in (
        ("cell_4", "is a cell without reads"),
        ("cell_5", "has no bootstraps"),
        ("cell_6", "has run_info.json but no abundance.h5"),
    ):
        assert found[name]["problem"].startswith(problem)
    lines = run("--list", folder).stdout.splitlines()
    assert lines[0].split() == ["cell", "format", "version", "bootstraps", "problem"]
    assert lines[1].split() == ["cell_0", "kallisto", "HDF5", "0.48.0", "5"]
    assert lines[-2:] == ["cells          7", "with_problems  3"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cells"]


def test_a_sheet_and_bad_cells_and_a_part_of_the_cells(folder: Path, tmp_path: Path) -> None:
    sheet, obs, out = (tmp_path / name for name in ("sheet.csv", "obs.csv", "cells.h5ad"))
    sheet.write_text("name,path\na,cells/cell_2\nb,cells/cell_0\nc,cells/cell_1\n")
    (folder / "cell_2" / "abundance.h5").write_bytes(b"")
    obs.write_text(",type,well\n0,T,a\n1,B,b\n")
    chosen = ("--obs", obs, "--obs-key", "well", "--only-listed", "--skip-bad")
    result = run("--sheet", sheet, "--out", out, *chosen, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["cells"], told["skipped"]) == (1, 1)
    assert anndata.read_h5ad(out).obs_names.tolist() == ["b"]
    assert (tmp_path / "bad_cells.csv").read_text().splitlines()[1].startswith("a,")


def test_no_process_loads_torch(folder: Path, tmp_path: Path) -> None:
    """The program is a file, as the one installed is: processes that read cells load it too."""
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch is loaded')\n")
    program = tmp_path / "program.py"
    program.write_text(
        "from exvae.experiments.cli import main\n"
        "if __name__ == '__main__':\n"
        "    main()\n"
        "else:\n"
        "    print('a process that reads')\n"
    )
    arguments = ["isoforms", "import", folder, "--out", tmp_path / "cells.h5ad", "--processes", 2]
    finished = subprocess.run(
        [sys.executable, program, *map(str, arguments)], capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert "torch is loaded" not in finished.stderr
    assert "a process that reads" in finished.stdout
