"""Estimates of a cell in several files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exvae.data.quantified.directories import read_quantification
from exvae.data.quantified.importing import import_cells

from .quantifier_output import (
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)

CELL, OTHER = draw_cell(seed=1), draw_cell(seed=2)
ROUNDED = CELL._replace(counts=CELL.counts * (1 + 1e-6))
SHORT = CELL.take(np.arange(39))


def kallisto(cell: Path, beside=OTHER) -> None:
    write_kallisto_plaintext(cell, beside)
    write_kallisto_h5(cell, CELL)


def packed(cell: Path) -> None:
    write_kallisto_plaintext(cell, OTHER)
    (cell / "abundance.tsv.gz").write_bytes(gzip.compress((cell / "abundance.tsv").read_bytes()))
    write_kallisto_plaintext(cell, CELL)


def wasabi(cell: Path) -> None:
    write_salmon(cell, CELL)
    write_kallisto_h5(cell, OTHER)


def flat(cell: Path) -> None:
    kallisto(cell)
    for name in ("abundance.h5", "abundance.tsv"):
        (cell / name).rename(cell / f"A1_{name}")


def shorter(cell: Path) -> None:
    kallisto(cell, SHORT)


OTHERS = {
    "kallisto": (kallisto, "abundance.tsv has other estimates than abundance.h5"),
    "shorter": (shorter, "abundance.tsv has other estimates than abundance.h5"),
    "packed": (packed, "abundance.tsv.gz has other estimates than abundance.tsv"),
    "wasabi": (wasabi, "abundance.h5 has other estimates than quant.sf"),
    "flat": (flat, "A1_abundance.tsv has other estimates than A1_abundance.h5"),
}


@pytest.mark.parametrize(("write", "message"), OTHERS.values(), ids=list(OTHERS))
def test_a_file_that_differs_is_told(
    write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    write(tmp_path / "root" / "A1")
    write_kallisto_h5(tmp_path / "root" / "B1", OTHER)
    summary = import_cells([tmp_path / "root"], tmp_path / "cells.h5ad")
    told = f"in 1 of 2 cells, the first A1, warning: {message}, which is read; remove the one"
    assert any(note.startswith(told) for note in summary.notes)


def damaged(cell: Path) -> None:
    kallisto(cell, CELL)
    (cell / "abundance.tsv").write_bytes(b"\0\1")


def rounded(cell: Path) -> None:
    kallisto(cell, ROUNDED)


def same_of_salmon(cell: Path) -> None:
    write_kallisto_h5(cell, CELL)
    write_salmon(cell, CELL)


@pytest.mark.parametrize("write", [rounded, damaged, same_of_salmon])
def test_files_that_agree_are_not_told(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "cell")
    assert read_quantification(tmp_path / "cell").notes == ()


def test_a_long_table_is_compared_in_part(tmp_path: Path) -> None:
    long = draw_cell(seed=1, isoforms=40_000, bootstraps=2)
    changed = long.counts.copy()
    changed[:100] += 7
    write_kallisto_h5(tmp_path / "cell", long)
    write_kallisto_plaintext(tmp_path / "cell", long)
    assert read_quantification(tmp_path / "cell").notes == ()
    write_kallisto_plaintext(tmp_path / "cell", long._replace(counts=changed))
    assert "other estimates" in read_quantification(tmp_path / "cell").notes[0]
