"""Heaps of HDF5 files that would keep the library busy forever."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.heaps import _PIECE, require_finite_heaps
from exvae.data.quantified.cell_files import open_h5

# Number of an object of a heap, the free space, and sizes that end a walk and that stop it.
FREE, ENDS, STOPS = 0, 32, 0
NAMES = ("ids", "lengths", "eff_lengths")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Write a file of groups with names, of which some were removed, and with texts."""
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as file:
        for name in NAMES:
            file[f"aux/{name}"] = np.arange(3)
        file["aux/text"] = ["a", "text"]
        del file[f"aux/{NAMES[1]}"]
    return path


def with_free_block(path: Path, following: int) -> None:
    """Let the first free block of each heap of names say where the next is."""
    content = bytearray(path.read_bytes())
    start, changed = content.find(b"HEAP"), 0
    while start >= 0:
        _, block, names = struct.unpack_from("<QQQ", content, start + 8)
        if block != 1:
            place = block if following < 0 else following
            struct.pack_into("<Q", content, names + block, place)
            changed += 1
        start = content.find(b"HEAP", start + 1)
    assert changed
    path.write_bytes(content)


def test_good_heaps_end(path: Path) -> None:
    require_finite_heaps(path)
    with open_h5(path) as file:
        assert sorted(file["aux"]) == ["eff_lengths", "ids", "text"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_list_of_free_blocks_that_leads_back_to_itself(path: Path, packed: bool) -> None:
    with_free_block(path, -1)
    if packed:
        content = path.read_bytes()
        path = path.with_name("file.h5.gz")
        path.write_bytes(gzip.compress(content))
    told = "is damaged .a heap of names or texts.; write it again"
    with pytest.raises(DataError, match=told), open_h5(path):
        pass


def test_a_free_block_beyond_the_names_is_left_to_the_library(path: Path) -> None:
    with_free_block(path, 1 << 40)
    require_finite_heaps(path)
    with pytest.raises(DataError, match="damaged"), open_h5(path) as file:
        file["aux/ids"][:]


def test_an_empty_file_has_no_heaps(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    require_finite_heaps(tmp_path / "empty")


def write_heap(path: Path, place: int, size: int) -> None:
    """Write a heap, with one object of a size, at a place in a file of some pieces."""
    heap = b"GCOL\x01\0\0\0" + struct.pack("<QHHIQ", 48, FREE, 0, 0, size)
    content = bytearray(3 * _PIECE + 100)
    content[place : place + len(heap)] = heap
    path.write_bytes(content)


@pytest.mark.parametrize("place", [0, 5, *range(_PIECE - 33, _PIECE + 2), 3 * _PIECE + 60])
def test_a_heap_is_found_wherever_it_lies(place: int, tmp_path: Path) -> None:
    write_heap(tmp_path / "whole", place, ENDS)
    require_finite_heaps(tmp_path / "whole")
    write_heap(tmp_path / "damaged", place, STOPS)
    with pytest.raises(DataError, match="damaged: the file is damaged .a heap of names or texts."):
        require_finite_heaps(tmp_path / "damaged")


def test_all_heaps_are_walked(tmp_path: Path) -> None:
    for name, sizes in (("whole", (ENDS, ENDS)), ("damaged", (ENDS, STOPS))):
        for number, size in enumerate(sizes):
            write_heap(tmp_path / f"{number}", 64, size)
        parts = (tmp_path / f"{number}" for number in range(len(sizes)))
        (tmp_path / name).write_bytes(b"".join(part.read_bytes() for part in parts))
    require_finite_heaps(tmp_path / "whole")
    with pytest.raises(DataError, match="a heap of names or texts"):
        require_finite_heaps(tmp_path / "damaged")
