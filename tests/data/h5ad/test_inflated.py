"""Datasets whose chunks another library than HDF5 unpacks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from exvae.data.h5ad import inflated
from exvae.data.h5ad.inflated import InflatedDataset

VALUES = np.random.default_rng(0).poisson(3.0, 1000)
GZIP = {"compression": "gzip", "chunks": (64,)}
needs_isal = pytest.mark.skipif(inflated.isal_zlib is None, reason="needs isal")


@pytest.fixture
def file(tmp_path: Path) -> h5py.File:
    with h5py.File(tmp_path / "values.h5", "w") as file:
        yield file


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the chunks that are unpacked here."""
    if inflated.isal_zlib is None:
        pytest.skip("needs isal")
    sizes: list[int] = []
    decompress = inflated.isal_zlib.decompress

    class Counting:
        @staticmethod
        def decompress(packed: bytes, **options: int) -> bytes:
            sizes.append(len(packed))
            return decompress(packed, **options)

    monkeypatch.setattr(inflated, "isal_zlib", Counting)
    return sizes


@needs_isal
def test_the_library_is_found() -> None:
    assert inflated.isal_zlib is sys.modules["isal.isal_zlib"]


@pytest.mark.parametrize("dtype", ["f4", "f8", "f2", "i2", "i4", "u8"])
@pytest.mark.parametrize("shuffle", [False, True])
def test_slices_are_those_of_the_dataset(
    file: h5py.File, unpacked: list[int], dtype: str, shuffle: bool
) -> None:
    stored = file.create_dataset(
        "x", data=VALUES.astype(dtype) / 2, dtype=dtype, shuffle=shuffle, **GZIP
    )
    read = InflatedDataset(stored)
    for start, stop in (
        (0, 1000),
        (0, 64),
        (63, 65),
        (64, 128),
        (999, 1000),
        (130, 131),
        (500, 900),
    ):
        found = read[np.int64(start) : np.int64(stop)]
        assert found.dtype == stored.dtype
        np.testing.assert_array_equal(found, stored[start:stop])
        found[:] = 0  # belongs to the caller
    assert len(unpacked) > 16
    assert read[5:5].shape == (0,)


def test_a_chunk_is_unpacked_once_for_slices_that_follow_one_another(
    file: h5py.File, unpacked: list[int]
) -> None:
    read = InflatedDataset(file.create_dataset("x", data=VALUES, **GZIP))
    for start in range(0, 1000, 10):
        read[start : start + 10]
    assert len(unpacked) == -(-1000 // 64)


@pytest.mark.parametrize(
    "create",
    [
        lambda file: file.create_dataset("x", data=VALUES),
        lambda file: file.create_dataset("x", data=VALUES, chunks=(64,)),
        lambda file: file.create_dataset("x", data=VALUES, compression="lzf", chunks=(64,)),
        lambda file: file.create_dataset("x", data=VALUES, fletcher32=True, **GZIP),
        lambda file: file.create_dataset("x", data=VALUES, dtype=">i4", **GZIP),
        lambda file: file.create_dataset("x", data=VALUES > 2, **GZIP),
    ],
    ids=["whole", "not packed", "lzf", "checksums", "big end first", "truth values"],
)
def test_other_datasets_are_read_by_hdf5(
    file: h5py.File, unpacked: list[int], create: Callable[[h5py.File], h5py.Dataset]
) -> None:
    stored = create(file)
    np.testing.assert_array_equal(InflatedDataset(stored)[10:990], stored[10:990])
    assert not unpacked


def test_without_the_library_hdf5_reads(file: h5py.File, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflated, "isal_zlib", None)
    stored = file.create_dataset("x", data=VALUES, **GZIP)
    np.testing.assert_array_equal(InflatedDataset(stored)[10:990], stored[10:990])


def test_chunks_that_were_never_written_or_not_packed(file: h5py.File, unpacked: list[int]) -> None:
    stored = file.create_dataset("x", (200,), "i8", fillvalue=7, **GZIP)
    stored[:64] = VALUES[:64]
    # A mask tells which filters were left out.
    stored.id.write_direct_chunk((64,), VALUES[64:128].astype("i8").tobytes(), filter_mask=1)
    found = InflatedDataset(stored)[0:200]
    np.testing.assert_array_equal(found, [*VALUES[:128], *[7] * 72])
    np.testing.assert_array_equal(found, stored[:])


@needs_isal
@pytest.mark.parametrize("place", [3, -1])
def test_damage_is_told_by_hdf5(file: h5py.File, place: int) -> None:
    stored = file.create_dataset("x", data=VALUES, **GZIP)
    packed = bytearray(stored.id.read_direct_chunk((64,))[1])
    packed[place] ^= 0x55
    stored.id.write_direct_chunk((64,), bytes(packed))
    read = InflatedDataset(stored)
    np.testing.assert_array_equal(read[0:64], VALUES[:64])
    with pytest.raises(OSError, match="filter returned failure"):
        read[0:128]
