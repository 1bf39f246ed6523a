"""Files that are damaged, or that lead elsewhere, are refused in one line by every reader."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse

from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.quantified.filtering import filter_isoforms

from ..cell_table import ISOFORMS, table
from .damage import Change, at, edited, replaced

PLACES = ["X", "layers/infRep2", "layers/bootstrap_ss"]
DAMAGE = {  # the array, its change and the message
    "decreases": ("indptr", at(2, 30), "{place}/indptr decreases; the file is damaged"),
    "begins late": ("indptr", at(0, 1), "{place}/indptr begins at 1 and not at 0"),
    "ends early": ("indptr", at(-1, 20), "{place}/indptr (decreases|ends at 20)"),
    "ends late": ("indptr", at(-1, 99), "{place}/indptr ends at 99"),
    "too short": ("indptr", lambda values: values[:-1], "{place}/indptr has 7 entries and not 8"),
    "negative": ("indptr", at(1, -1), "{place}/indptr decreases"),
    "far outside": ("indices", at(3, 1 << 30), "{place}/indices points outside the 5"),
    "just outside": ("indices", at(3, ISOFORMS), "{place}/indices points outside the 5"),
    "before": ("indices", at(3, -1), "{place}/indices points outside the 5"),
    "fewer indices": ("indices", lambda values: values[:-1], "{place}/indices has .*, data"),
    "text": ("indices", lambda values: values.astype("S8"), "{place}/indices is no list"),
    "fractions": ("indices", lambda values: values + 0.5, "{place}/indices holds .* not whole"),
    "no numbers": ("data", lambda values: values.astype("S8"), "{place} cannot .*no numbers"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table(statistics=True).write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def rows_of_all(path: Path) -> None:
    with open_cells(path) as file:
        for place in ("X", *(f"layers/{name}" for name in file.layers)):
            file.read_rows(place, slice(0, file.shape[0]))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("part", "change", "message"), DAMAGE.values(), ids=list(DAMAGE))
def test_arrays_of_a_matrix_that_contradict_each_other(
    path: Path, place: str, part: str, change, message: str
) -> None:
    edited(path, replaced(f"{place}/{part}", change))
    for use in (read_cells, rows_of_all, lambda p: filter_isoforms(p, p.with_name("o.h5ad"), 1)):
        with pytest.raises(DataError, match=message.format(place=place)) as raised:
            use(path)
        assert "\n" not in str(raised.value)


def test_damaged_columns_of_a_matrix(tmp_path: Path) -> None:
    table(scipy.sparse.csc_matrix).write_h5ad(tmp_path / "cells.h5ad")
    path = edited(tmp_path / "cells.h5ad", replaced("X/indices", at(0, 1 << 30)))
    with pytest.raises(DataError, match="X/indices points outside the 7"):
        read_cells(path)


def soft_link(file: h5py.File) -> None:
    file["layers/other"] = h5py.SoftLink("/X")


def external_link(file: h5py.File) -> None:
    file["uns/other"] = h5py.ExternalLink("/etc/other.h5", "/X")


def external_data(file: h5py.File) -> None:
    file["uns"].create_dataset("o", (4,), "u1", external=[("/etc/hostname", 0, 4)])


def virtual_data(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (4,))
    file["uns"].create_virtual_dataset("other", layout)


def not_utf8(file: h5py.File) -> None:
    h5py.h5g.create(file["layers"].id, b"a\xff")


def no_names(file: h5py.File) -> None:
    del file["obs"][file["obs"].attrs["_index"]]


def names_not_utf8(file: h5py.File) -> None:
    index = file["obs"].attrs["_index"]
    attributes = dict(file["obs"][index].attrs)
    del file["obs"][index]
    names = [f"cell{n}".encode() + b"\xff" for n in range(7)]
    file["obs"].create_dataset(index, data=names, dtype=h5py.string_dtype("utf-8"))
    file["obs"][index].attrs.update(attributes)


REFUSED = {
    "soft link": (soft_link, "layers/other is a link; copy"),
    "external link": (external_link, "uns/other is a link; copy"),
    "external data": (external_data, "uns/o lies in another file; copy"),
    "virtual data": (virtual_data, "uns/other lies in another file; copy"),
    "name of a layer": (not_utf8, r"the name layers/a\\xff is not UTF-8"),
    "no names": (no_names, "obs cannot be read"),
    "names": (names_not_utf8, "obs cannot be read .*utf-8"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=list(REFUSED))
def test_files_that_lead_elsewhere(path: Path, change: Change, message: str) -> None:
    edited(path, change)
    with pytest.raises(DataError, match=message) as raised:
        read_cells(path)
    assert "\n" not in str(raised.value)


def test_groups_that_contain_each_other_end(path: Path) -> None:
    def cycle(file: h5py.File) -> None:
        file["uns/a/b"] = file["uns"]

    assert read_cells(edited(path, cycle)).num_cells == 7


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="is a pipe or a device"):
        read_cells(tmp_path / "cells.h5ad")


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("scratch/cells.h5ad")


UNREADABLE = {
    "pointer": (pointer, "git lfs pull"),
    "dangling": (dangling, "is a link to scratch/cells.h5ad, which does not exist"),
    "empty": (lambda path: path.write_bytes(b""), "is empty, as after a full disk"),
    "text": (lambda path: path.write_text("cells"), "not a readable .h5ad file; give the cells"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-99]), "not a readable .h5ad file"),
}


@pytest.mark.parametrize(("change", "message"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_the_reason_why_a_file_cannot_be_read(
    path: Path, change: Callable[[Path], None], message: str
) -> None:
    change(path)
    with pytest.raises(DataError, match=message):
        read_cells(path)


def test_a_locked_file_is_not_damaged(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="locked by another process"):
            read_cells(path)
    assert read_cells(path).num_cells == 7


def test_long_names_of_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_cells(tmp_path / ("n" * 300 + ".h5ad"))


def test_long_names_and_names_of_two_lines(path: Path, tmp_path: Path) -> None:
    made = table()
    made.obs_names = ["n" * 300, "two\nlines", *made.obs_names[2:]]
    made.write_h5ad(path)
    assert read_cells(path).names.tolist() == made.obs_names.tolist()
    out = tmp_path / "out.h5ad"
    filter_isoforms(path, out, 1)
    assert read_cells(out).names.tolist() == made.obs_names.tolist()


def test_a_matrix_that_says_it_is_huge_takes_no_memory(path: Path) -> None:
    def huge(file: h5py.File) -> None:
        del file["layers/infRep2/indptr"]
        file.create_dataset("layers/infRep2/indptr", (1 << 40,), "i8", chunks=(1 << 10,))

    with pytest.raises(DataError, match="infRep2/indptr says that it holds 8796093022208 bytes"):
        read_cells(edited(path, huge))


def test_tables_that_say_they_are_huge_take_no_memory(path: Path) -> None:
    def huge(file: h5py.File) -> None:
        for name in ("n_bootstraps", file["obs"].attrs["_index"]):
            attributes = dict(file["obs"][name].attrs)
            del file["obs"][name]
            kind = "i8" if name == "n_bootstraps" else h5py.string_dtype()
            file["obs"].create_dataset(name, (1 << 28,), kind, chunks=(1 << 10,))
            file["obs"][name].attrs.update(attributes)

    with pytest.raises(DataError, match="obs/.* says that it holds .* bytes, and stores none"):
        read_cells(edited(path, huge))


def test_a_table_that_does_not_fit_in_memory_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_elem(_: object) -> None:
        raise MemoryError("2 GiB")

    monkeypatch.setattr("exvae.data.h5ad.elements.read_elem", read_elem)
    with pytest.raises(DataError, match="cells.h5ad: obs does not fit in memory .2 GiB.; .* more"):
        read_cells(path)


def test_entries_twice_are_added(path: Path) -> None:
    expected = read_cells(path).counts.toarray()

    def twice(file: h5py.File) -> None:
        file["X/data"][0] = 1.0
        file["X/indices"][1] = file["X/indices"][0]

    found = read_cells(edited(path, twice)).counts
    assert found.has_canonical_format
    np.testing.assert_allclose(found[0].toarray()[0, 0], 1.0 + expected[0, 1])


def heap_of_texts(path: Path, number: int, size: int) -> None:
    """Write the number and the size of the first text in a heap of a file."""
    content = path.read_bytes()
    start = content.index(b"GCOL") + 16
    entry = content[start : start + 16]
    changed = struct.pack("<H", number) + entry[2:8] + struct.pack("<Q", size)
    path.write_bytes(content[:start] + changed + content[start + 16 :])


@pytest.mark.parametrize(("number", "size"), [(0, 0), (1, (1 << 64) - 16)])
def test_a_heap_of_texts_that_never_ends(path: Path, number: int, size: int) -> None:
    heap_of_texts(path, number, size)
    with pytest.raises(
        DataError, match="the file is damaged .a heap of names or texts.; write it again"
    ):
        read_cells(path)


@pytest.mark.parametrize("name", ["layers", "uns", "obsm", "varm"])
def test_groups_that_are_values(path: Path, name: str, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = np.arange(3)

    edited(path, change)
    with pytest.raises(DataError, match=f"{name} is no group of elements"):
        filter_isoforms(path, tmp_path / "out.h5ad", 1)


def test_attributes_that_nobody_expects(path: Path, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["obs"].attrs["column-order"] = h5py.Empty("f")

    with pytest.raises(DataError, match="obs cannot be read"):
        read_cells(edited(path, change))


def test_a_corpus_whose_matrix_is_damaged(path: Path) -> None:
    for part, change in (("indices", at(3, 1 << 30)), ("indptr", at(-1, 99))):
        table().write_h5ad(path)
        edited(path, replaced(f"X/{part}", change))
        with pytest.raises(DataError, match=f"not a readable .h5ad file .{part}"):
            read_corpus(path)


@pytest.mark.parametrize(("place", "shape"), [("varm/w", (9, 2)), ("varm/w", ()), ("varp/p", (5,))])
def test_elements_that_are_not_of_the_isoforms(
    path: Path, place: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    def change(file: h5py.File) -> None:
        file[place] = np.zeros(shape)

    edited(path, change)
    with pytest.raises(DataError, match=f"{place} has not a row for each isoform"):
        filter_isoforms(path, tmp_path / "out.h5ad", 1)


def test_nothing_in_the_place_of_a_group(path: Path, tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        for name in ("uns", "obsm"):
            del file[name]
            file[name] = h5py.Empty("f")

    assert read_cells(edited(path, change)).num_cells == 7
    filter_isoforms(path, tmp_path / "out.h5ad", 1)
    assert read_cells(tmp_path / "out.h5ad").num_cells == 7


@pytest.mark.parametrize("kind", [4, 6])
def test_texts_of_a_damaged_kind(path: Path, kind: int) -> None:
    """The kind of a text is the second byte of its type, which follows the attribute's name."""
    content = path.read_bytes()
    start = content.rindex(b"encoding-type\0\0\0\x19\x01\x01\0") + 17
    path.write_bytes(content[:start] + bytes([kind]) + content[start + 1 :])
    with pytest.raises(DataError, match="has the attribute encoding-type, which is no text"):
        read_cells(path)
