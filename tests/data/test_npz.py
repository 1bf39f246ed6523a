"""Arrays written part after part are those that numpy reads and would have written."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.npz import ArrayParts, read_npz, write_npz

ARRAYS = {
    "words": np.arange(7, dtype=np.int32),
    "topics": np.linspace(0, 1, 12).reshape(4, 3).astype(np.float32),
    "names": np.array(["a", "bcd", "\N{LATIN SMALL LETTER E WITH ACUTE}"]),
}


def test_files_are_those_of_numpy(tmp_path: Path) -> None:
    written, expected = tmp_path / "written.npz", tmp_path / "expected.npz"
    write_npz(written, {name: ArrayParts.of(array) for name, array in ARRAYS.items()})
    np.savez(expected, **ARRAYS)
    assert written.read_bytes() == expected.read_bytes()


def test_parts_make_the_array(tmp_path: Path) -> None:
    path = tmp_path / "parts.npz"
    wide = {"words": np.int64, "topics": np.float64, "names": "U9"}
    arrays = {
        name: ArrayParts(array.shape, array.dtype, np.array_split(array.astype(wide[name]), 2))
        for name, array in ARRAYS.items()
    }
    write_npz(path, arrays)
    with np.load(path) as found:
        assert list(found) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].dtype == array.dtype
            assert np.array_equal(found[name], array)
            assert np.array_equal(arrays[name].array(), array)
            assert arrays[name].array().dtype == array.dtype


@pytest.mark.parametrize("rows", [4, 6])
def test_parts_that_do_not_fill_the_shape_are_errors(rows: int, tmp_path: Path) -> None:
    parts = ArrayParts((5,), np.int32, [np.zeros(2), np.zeros(rows - 2)])
    with pytest.raises(ValueError, match=r"do not fill its shape, \(5,\)"):
        parts.array()
    with pytest.raises(ValueError, match=r"do not fill its shape, \(5,\)"):
        write_npz(tmp_path / "file.npz", {"parts": parts})
    assert list(tmp_path.iterdir()) == []


def test_only_npz_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="file.npy: corpora are written as .npz"):
        write_npz(tmp_path / "file.npy", {})


def test_arrays_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, **ARRAYS)
    found = read_npz(path, "words", ("topics", "words"), ("names", "more"))
    assert list(found) == ["topics", "words", "names"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, ARRAYS[name])
    with pytest.raises(DataError, match=r"arrays.npz: cannot be read as words .*words and more"):
        read_npz(path, "words", ("topics", "words", "more"))


def test_members_that_are_no_arrays(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("topics.npy", b"no array")
    with pytest.raises(DataError, match=r"arrays.npz: .* as words .topics is no array.; give"):
        read_npz(path, "words", ("topics",))
