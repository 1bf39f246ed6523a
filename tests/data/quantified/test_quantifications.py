"""Values of a cell that are refused, whatever the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from exvae.data.quantified.directories import read_quantification

from .quantified_cell import CELL, NAMES, failure, formats
from .quantifier_output import (
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)


@formats
def test_a_cell_without_reads(write: Callable[..., Path], tmp_path: Path) -> None:
    nothing = np.zeros_like(CELL.counts)
    empty = CELL._replace(counts=nothing, bootstraps=np.zeros_like(CELL.bootstraps))
    assert "without reads; leave it out" in failure(write(tmp_path / "cell", empty))
    # Nor is there a message on bootstraps that kallisto cannot make of no reads.
    never = empty._replace(bootstraps=empty.bootstraps[:0])
    assert "without reads; leave it out" in failure(write(tmp_path / "never", never))


@formats
@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_values_that_are_no_counts(
    write: Callable[..., Path], value: float, tmp_path: Path
) -> None:
    counts = CELL.counts.copy()
    counts[7] = value
    message = failure(write(tmp_path / "estimates", CELL._replace(counts=counts)))
    assert f"estimate of NM_000007.4 is {value}" in message
    bootstraps = CELL.bootstraps.copy()
    bootstraps[3, 7] = value
    message = failure(write(tmp_path / "bootstraps", CELL._replace(bootstraps=bootstraps)))
    assert f"bootstrap 3 of NM_000007.4 is {value}" in message


def test_estimates_beyond_float32_are_no_counts(tmp_path: Path) -> None:
    directory = write_kallisto_h5(tmp_path / "cell", CELL)
    with h5py.File(directory / "abundance.h5", "r+") as file:
        file["est_counts"][7] = 1e39
    assert "estimate of NM_000007.4 is inf" in failure(directory)


@formats
def test_transcripts_that_occur_twice(write: Callable[..., Path], tmp_path: Path) -> None:
    names = [*CELL.transcripts[:-1], CELL.transcripts[2]]
    directory = write(tmp_path / "cell", CELL._replace(transcripts=names))
    assert "NM_000002.3 occurs 2 times" in failure(directory)
    assert "NM_000002.3 occurs 2 times" in failure(directory, None, NAMES)


@formats
def test_other_transcripts_than_those_of_other_cells(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    directory = write(tmp_path / "cell", CELL)
    renamed = np.where(NAMES == b"NM_000002.3", b"NM_000002.9", NAMES)
    message = failure(directory, None, renamed)
    assert "not NM_000002.9" in message
    assert "the same index" in message
    message = failure(directory, None, NAMES[:-1])
    assert "has 40 transcripts" in message
    assert "have 39" in message


@formats
def test_transcripts_per_million_are_no_counts(write: Callable[..., Path], tmp_path: Path) -> None:
    # As if the column of abundances had been taken for that of counts.
    directory = write(tmp_path / "cell", CELL._replace(counts=CELL.tpm))
    changes = {"aux/num_processed": np.array([3000])} if write is write_kallisto_h5 else {}
    if write is write_kallisto_plaintext:
        changes = {"n_pseudoaligned": 3000}
    elif write is write_salmon:
        changes = {"num_mapped": 3000}
    write(directory, CELL._replace(counts=CELL.tpm), **changes)
    assert "transcripts per million (TPM)" in failure(directory)


def test_transcripts_per_million_are_recognised_by_their_column(tmp_path: Path) -> None:
    tpm = CELL.tpm
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL._replace(counts=tpm), tpm=tpm)
    (directory / "run_info.json").unlink()
    assert "transcripts per million (TPM)" in failure(directory)


@formats
def test_a_cell_of_a_million_reads_is_none_of_tpm(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    whole = np.floor(CELL.tpm)
    whole[np.argmax(whole)] += 1e6 - whole.sum()
    cell = CELL._replace(counts=whole, bootstraps=np.stack([whole, whole]))
    assert read_quantification(write(tmp_path / "cell", cell)).counts.sum() == 1e6
