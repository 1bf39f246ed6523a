"""Directories of cells: found, read in every format, and damaged."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exvae.data.errors import DataError
from exvae.data.quantified.directories import find_cells, read_quantification

from .quantified_cell import CELL, NAMES, assert_read, failure, formats
from .quantifier_output import (
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)


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


def test_the_h5_is_read_where_there_is_plain_text_too(tmp_path: Path) -> None:
    directory = write_kallisto_plaintext(tmp_path / "cell", draw_cell(seed=2))
    assert_read(read_quantification(write_kallisto_h5(directory, CELL)), CELL)


def test_cells_are_found_at_any_depth(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "plate" / "two", CELL)
    write_salmon(tmp_path / "plate" / "deep" / "er" / "one", CELL)
    write_kallisto_plaintext(tmp_path / "other" / "three", CELL)
    (tmp_path / "plate" / "notes").mkdir()
    found = find_cells([tmp_path / "other", tmp_path / "plate"]).cells
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
    found = find_cells([".", directory, tmp_path, tmp_path / "cell" / ".." / "cell"]).cells
    assert list(found) == ["cell"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    directory = write_kallisto_h5(tmp_path / "kept" / "cell", CELL)
    (tmp_path / "kept" / "circle").symlink_to(tmp_path / "kept", target_is_directory=True)
    (tmp_path / "kept" / "copy").symlink_to(directory, target_is_directory=True)
    assert list(find_cells([tmp_path / "kept"]).cells) == ["cell", "copy"]


def test_two_cells_of_one_name_are_an_error(tmp_path: Path) -> None:
    first = write_kallisto_h5(tmp_path / "a" / "cell", CELL)
    second = write_salmon(tmp_path / "b" / "cell", CELL)
    write_kallisto_h5(tmp_path / "b" / "other", CELL)
    with pytest.raises(DataError) as raised:
        find_cells([tmp_path])
    assert str(first) in str(raised.value)
    assert str(second) in str(raised.value)


def test_paths_without_cells_are_errors(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "cell", CELL)
    (tmp_path / "empty" / "nested").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="empty: holds no cell"):
        find_cells([tmp_path / "empty"])
    ((place, reason),) = find_cells([tmp_path / "cell", tmp_path / "empty"]).incomplete
    assert place == tmp_path / "empty"
    assert reason.startswith("holds no cell")
    for name, message in (("file", "is a file"), ("no", "does not exist")):
        with pytest.raises(DataError, match=f"{name}: .*{message}.*; "):
            find_cells([tmp_path / "cell", tmp_path / name])


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
    informative = {"run_info.json", "cmd_info.json"}
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    path = data.draw(st.sampled_from([path for path in paths if path.name not in informative]))
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


def test_results_of_both_quantifiers_in_one_directory(tmp_path: Path) -> None:
    directory = write_salmon(tmp_path / "cell", CELL)
    write_kallisto_plaintext(directory, CELL)
    assert "both kallisto and salmon" in failure(directory)
