"""Cells quantified by salmon."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np

from exvae.data.quantified.directories import find_cells, read_quantification

from .quantified_cell import CELL, NAMES, assert_read, failure
from .quantifier_output import (
    write_salmon,
)


def test_salmon_may_have_another_order_and_another_folder(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(len(NAMES))
    assert_read(
        read_quantification(write_salmon(tmp_path / "cell", CELL, order=order, auxiliary="aux")),
        CELL,
    )


def test_old_salmon_writes_whole_numbers(tmp_path: Path) -> None:
    cell = CELL._replace(bootstraps=CELL.bootstraps.round())
    directory = write_salmon(tmp_path / "cell", cell, kind="<i4", salmon_version="0.7.2")
    assert_read(read_quantification(directory), cell)


def test_gibbs_samples_are_told_apart(tmp_path: Path) -> None:
    found = read_quantification(write_salmon(tmp_path / "cell", CELL, samples="gibbs"))
    assert found.replicates == "gibbs"


def test_the_real_salmon_is_read(shared_data: Path) -> None:
    folder = shared_data / "cells_kallisto"
    cells = find_cells([folder / "salmon"]).cells
    assert list(cells) == [f"cell_{number:04d}" for number in range(6)]
    kallisto = read_quantification(folder / "cell_0000")
    salmon = read_quantification(cells["cell_0000"], None, kallisto.transcripts)
    assert salmon.bootstraps.shape == kallisto.bootstraps.shape
    assert np.corrcoef(salmon.counts, kallisto.counts)[0, 1] > 0.9
    # Every bootstrap draws as many reads as were mapped.
    np.testing.assert_allclose(salmon.bootstraps.sum(1), salmon.counts.sum(), rtol=1e-4)


def test_salmon_without_bootstraps(tmp_path: Path) -> None:
    none = CELL._replace(bootstraps=CELL.bootstraps[:0])
    for number, meta in enumerate(({}, {"num_bootstraps": 0})):
        directory = write_salmon(tmp_path / str(number), none, **meta)
        assert "has no bootstraps; quantify the cell again with salmon" in failure(directory)


def test_bootstraps_that_do_not_fit_in_salmon(tmp_path: Path) -> None:
    directory = write_salmon(tmp_path / "cell", CELL, num_bootstraps=6)
    assert "5 of 6 bootstraps" in failure(directory)
    directory = write_salmon(tmp_path / "cell", CELL)
    folder = directory / "aux_info"
    names = "\t".join([*CELL.transcripts[:-1], "other"])
    (folder / "bootstrap" / "names.tsv.gz").write_bytes(gzip.compress(names.encode()))
    assert f"among them not {CELL.transcripts[-1]}" in failure(directory)
    for missing in ("bootstrap/bootstraps.gz", "meta_info.json"):
        directory = write_salmon(tmp_path / "cell", CELL)
        (folder / missing).unlink()
        assert f"{missing}: is missing" in failure(directory)
    write_salmon(directory, CELL)
    (folder / "meta_info.json").write_text(json.dumps([1]))
    assert "no JSON object" in failure(directory)
