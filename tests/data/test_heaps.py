"""Heaps of HDF5 files that would keep the library busy forever."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.heaps import require_finite_heaps
from exvae.data.quantified.cell_files import open_h5

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
