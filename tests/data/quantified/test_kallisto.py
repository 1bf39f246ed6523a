"""Cells quantified by kallisto, into HDF5 and plain text."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from exvae.data.quantified.directories import read_quantification

from .quantified_cell import CELL, assert_read, failure
from .quantifier_output import (
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_table,
)


def test_kallisto_need_not_tell_its_version(tmp_path: Path) -> None:
    changes = {"aux/kallisto_version": None, "aux/num_processed": None}
    assert read_quantification(write_kallisto_h5(tmp_path / "h5", CELL, **changes)).version == ""
    directory = write_kallisto_plaintext(tmp_path / "text", CELL)
    (directory / "run_info.json").unlink()
    assert_read(read_quantification(directory), CELL)


def test_plain_text_may_be_packed(tmp_path: Path) -> None:
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL)
    for path in directory.glob("bs_abundance_*.tsv"):
        path.with_suffix(".tsv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert_read(read_quantification(directory), CELL)
    packed = directory / "bs_abundance_3.tsv.gz"
    packed.write_bytes(packed.read_bytes()[:-20])
    assert "bs_abundance_3.tsv.gz: truncated or damaged" in failure(directory)


def test_both_formats_of_the_real_kallisto_agree(shared_data: Path) -> None:
    folder = shared_data / "cells_kallisto"
    for number in range(3):
        text = read_quantification(folder / "plaintext" / f"cell_{number:04d}")
        binary = read_quantification(folder / f"cell_{number:04d}", None, text.transcripts)
        assert binary.counts.sum() > 1000
        for name in ("counts", "bootstraps", "effective_lengths", "lengths"):
            np.testing.assert_allclose(getattr(binary, name), getattr(text, name), rtol=1e-5)


def test_kallisto_without_bootstraps(tmp_path: Path) -> None:
    none = CELL._replace(bootstraps=CELL.bootstraps[:0])
    binary = failure(write_kallisto_h5(tmp_path / "h5", none))
    text = failure(write_kallisto_plaintext(tmp_path / "text", none))
    # Built without HDF5, kallisto writes no bootstraps although it was asked for them.
    asked = failure(write_kallisto_plaintext(tmp_path / "asked", none, n_bootstraps=30))
    for message in (binary, text, asked):
        assert "has no bootstraps" in message
        assert "--plaintext -b 30" in message
    both = write_kallisto_plaintext(tmp_path / "h5", CELL)
    assert "remove abundance.h5" in failure(both)


def test_bootstraps_that_do_not_fit_in_h5(tmp_path: Path) -> None:
    for changes, message in (
        ({"bootstrap/bs4": None}, "4 of 5 bootstraps"),
        ({"bootstrap/bs4": None, "bootstrap/bs9": CELL.counts}, "bs4"),
        ({"bootstrap/bs2": CELL.counts[:-1]}, "bs2 has the shape"),
        ({"aux/lengths": None}, "lengths"),
        ({"est_counts": None}, "est_counts"),
        ({"aux/num_bootstrap": None}, "num_bootstrap"),
    ):
        assert message in failure(write_kallisto_h5(tmp_path / "cell", CELL, **changes))


def test_bootstraps_that_do_not_fit_in_plain_text(tmp_path: Path) -> None:
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL)
    (directory / "bs_abundance_3.tsv").unlink()
    assert "4 files bs_abundance, but 5 bootstraps" in failure(directory)
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL)
    write_table(directory / "bs_abundance_3.tsv", {"target_id": ["other"], "est_counts": [1.0]})
    message = failure(directory)
    assert "bs_abundance_3.tsv" in message
    assert "its transcripts differ from abundance.tsv" in message
    # As many transcripts, but in another order.
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL)
    own = {"target_id": CELL.transcripts[::-1], "est_counts": CELL.counts}
    write_table(directory / "bs_abundance_3.tsv", own)
    assert "its transcripts differ from abundance.tsv" in failure(directory)
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL)
    write_table(directory / "abundance.tsv", {"target_id": CELL.transcripts, "tpm": CELL.tpm})
    assert "est_counts" in failure(directory)
