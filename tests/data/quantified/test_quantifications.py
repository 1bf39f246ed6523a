"""One cell's directory: what is read, and how damage is told."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exvae.data.errors import DataError
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.quantifications import Quantification

from .quantifier_output import (
    WRITERS,
    Cell,
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
    write_table,
)

CELL = draw_cell(seed=1)
NAMES = np.array(CELL.transcripts, dtype=np.bytes_)

formats = pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))


def assert_read(found: Quantification, cell: Cell) -> None:
    assert found.transcripts.tolist() == [name.encode() for name in cell.transcripts]
    np.testing.assert_array_equal(found.lengths, cell.lengths)
    np.testing.assert_array_equal(found.effective_lengths, cell.effective_lengths)
    np.testing.assert_array_equal(found.counts, cell.counts.astype(np.float32))
    np.testing.assert_array_equal(found.bootstraps, cell.bootstraps.astype(np.float32))
    assert found.counts.dtype == found.bootstraps.dtype == np.float32


def failure(directory: Path, *arguments: object) -> str:
    """Read a directory and give the one line that tells what is wrong with it."""
    with pytest.raises(DataError) as raised:
        read_quantification(directory, *arguments)
    message = str(raised.value)
    assert message.startswith(str(directory))
    assert "\n" not in message
    return message


# Values


@formats
def test_values_are_those_of_the_files(write: Callable[..., Path], tmp_path: Path) -> None:
    found = read_quantification(write(tmp_path / "cell", CELL))
    assert_read(found, CELL)
    expected = ("salmon", "1.10.1") if write is write_salmon else ("kallisto", "0.48.0")
    assert (found.quantifier, found.version, found.replicates) == (*expected, "bootstrap")


@formats
def test_the_first_bootstraps(write: Callable[..., Path], tmp_path: Path) -> None:
    directory = write(tmp_path / "cell", CELL)
    assert_read(read_quantification(directory, 2), CELL._replace(bootstraps=CELL.bootstraps[:2]))
    assert_read(read_quantification(directory, 100), CELL)


@formats
def test_transcripts_are_put_in_the_order_wanted(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    order = np.random.default_rng(3).permutation(len(NAMES))
    directory = write(tmp_path / "cell", CELL.take(order))
    assert_read(read_quantification(directory, None, NAMES), CELL)


@formats
def test_more_than_nine_bootstraps_keep_their_order(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    cell = draw_cell(seed=4, bootstraps=12)
    assert_read(read_quantification(write(tmp_path / "cell", cell)), cell)


def test_salmon_may_have_another_order_and_another_folder(tmp_path: Path) -> None:
    order = np.random.default_rng(3).permutation(len(NAMES))
    assert_read(
        read_quantification(write_salmon(tmp_path / "cell", CELL, order=order, auxiliary="aux")),
        CELL,
    )


def test_old_salmon_writes_whole_numbers(tmp_path: Path) -> None:
    cell = CELL._replace(bootstraps=CELL.bootstraps.round())
    assert_read(read_quantification(write_salmon(tmp_path / "cell", cell, kind="<i4")), cell)


def test_gibbs_samples_are_told_apart(tmp_path: Path) -> None:
    found = read_quantification(write_salmon(tmp_path / "cell", CELL, samples="gibbs"))
    assert found.replicates == "gibbs"


def test_the_h5_is_read_where_there_is_plain_text_too(tmp_path: Path) -> None:
    directory = write_kallisto_plaintext(tmp_path / "cell", draw_cell(seed=2))
    assert_read(read_quantification(write_kallisto_h5(directory, CELL)), CELL)


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


def test_the_real_salmon_is_read(shared_data: Path) -> None:
    folder = shared_data / "cells_kallisto"
    cells = find_cells([folder / "salmon"])
    assert list(cells) == [f"cell_{number:04d}" for number in range(6)]
    kallisto = read_quantification(folder / "cell_0000")
    salmon = read_quantification(cells["cell_0000"], None, kallisto.transcripts)
    assert salmon.bootstraps.shape == kallisto.bootstraps.shape
    assert np.corrcoef(salmon.counts, kallisto.counts)[0, 1] > 0.9
    # Every bootstrap draws as many reads as were mapped.
    np.testing.assert_allclose(salmon.bootstraps.sum(1), salmon.counts.sum(), rtol=1e-4)


# Directories


def test_cells_are_found_at_any_depth(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "plate" / "two", CELL)
    write_salmon(tmp_path / "plate" / "deep" / "er" / "one", CELL)
    write_kallisto_plaintext(tmp_path / "other" / "three", CELL)
    (tmp_path / "plate" / "notes").mkdir()
    found = find_cells([tmp_path / "other", tmp_path / "plate"])
    assert list(found.items()) == [
        ("three", tmp_path / "other" / "three"),
        ("one", tmp_path / "plate" / "deep" / "er" / "one"),
        ("two", tmp_path / "plate" / "two"),
    ]


def test_a_cell_that_is_given_twice_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = write_kallisto_h5(tmp_path / "cell", CELL)
    monkeypatch.chdir(directory)
    found = find_cells([".", directory, tmp_path, tmp_path / "cell" / ".." / "cell"])
    assert list(found) == ["cell"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    directory = write_kallisto_h5(tmp_path / "kept" / "cell", CELL)
    (tmp_path / "kept" / "circle").symlink_to(tmp_path / "kept", target_is_directory=True)
    (tmp_path / "kept" / "copy").symlink_to(directory, target_is_directory=True)
    assert list(find_cells([tmp_path / "kept"])) == ["cell", "copy"]


def test_two_cells_of_one_name_are_an_error(tmp_path: Path) -> None:
    first = write_kallisto_h5(tmp_path / "a" / "cell", CELL)
    second = write_kallisto_h5(tmp_path / "b" / "cell", CELL)
    with pytest.raises(DataError) as raised:
        find_cells([tmp_path])
    assert str(first) in str(raised.value)
    assert str(second) in str(raised.value)


def test_paths_without_cells_are_errors(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "cell", CELL)
    (tmp_path / "empty" / "nested").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name, message in (("empty", "no cell"), ("file", "is a file"), ("no", "does not exist")):
        with pytest.raises(DataError, match=f"{name}: .*{message}.*; "):
            find_cells([tmp_path / "cell", tmp_path / name])


# What can be wrong


@formats
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_truncated_files_are_errors(
    write: Callable[..., Path], tmp_path: Path, data: st.DataObject
) -> None:
    directory = tmp_path / "cell"
    shutil.rmtree(directory, ignore_errors=True)
    write(directory, CELL)
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    content = path.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    path.write_bytes(content[:length])
    # A table that ends with a line shows only in the other files.
    assert failure(directory)


@formats
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_files_never_raise_anything_but_data_errors(
    write: Callable[..., Path], tmp_path: Path, data: st.DataObject
) -> None:
    directory = tmp_path / "cell"
    shutil.rmtree(directory, ignore_errors=True)
    write(directory, CELL)
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from(paths))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        found = read_quantification(directory, None, NAMES)
    except DataError as error:
        assert str(directory) in str(error)
    else:
        assert (found.counts >= 0).all()
        assert (found.bootstraps >= 0).all()
        assert np.isfinite(found.bootstraps).all()


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


def test_salmon_without_bootstraps(tmp_path: Path) -> None:
    none = CELL._replace(bootstraps=CELL.bootstraps[:0])
    for number, meta in enumerate(({}, {"num_bootstraps": 0})):
        directory = write_salmon(tmp_path / str(number), none, **meta)
        assert "has no bootstraps; quantify the cell again with salmon" in failure(directory)


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


def test_results_of_both_quantifiers_in_one_directory(tmp_path: Path) -> None:
    directory = write_salmon(tmp_path / "cell", CELL)
    write_kallisto_plaintext(directory, CELL)
    assert "both kallisto and salmon" in failure(directory)


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
    assert "its transcripts are not those" in message
    directory = write_kallisto_plaintext(tmp_path / "cell", CELL)
    write_table(directory / "abundance.tsv", {"target_id": CELL.transcripts, "tpm": CELL.tpm})
    assert "est_counts" in failure(directory)


def test_bootstraps_that_do_not_fit_in_salmon(tmp_path: Path) -> None:
    directory = write_salmon(tmp_path / "cell", CELL, num_bootstraps=6)
    assert "not 6 bootstraps of 40 transcripts" in failure(directory)
    directory = write_salmon(tmp_path / "cell", CELL)
    folder = directory / "aux_info"
    names = "\t".join([*CELL.transcripts[:-1], "other"])
    (folder / "bootstrap" / "names.tsv.gz").write_bytes(gzip.compress(names.encode()))
    assert f"among them not {CELL.transcripts[-1]}" in failure(directory)
    for missing in ("bootstrap/bootstraps.gz", "bootstrap/names.tsv.gz", "meta_info.json"):
        directory = write_salmon(tmp_path / "cell", CELL)
        (folder / missing).unlink()
        assert f"{missing}: is missing" in failure(directory)
    write_salmon(directory, CELL)
    (folder / "meta_info.json").write_text(json.dumps([1]))
    assert "no JSON object" in failure(directory)
