"""Compressed datasets of an ``.h5ad``, whose chunks a faster library than HDF5's unpacks.

Most of the time in which a file is read goes to gzip. Intel's ISA-L unpacks the same chunks two to
three times as fast. Datasets that it does not serve, and chunks that it cannot read, are HDF5's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

try:
    from isal import isal_zlib
except ImportError:  # there is none for some machines
    isal_zlib = None

if TYPE_CHECKING:
    import h5py

# Numbers of HDF5's filters: gzip, and that which puts bytes apart.
_GZIP, _SHUFFLE = 1, 2


class _Chunk(NamedTuple):
    """Values of a chunk, and the place of the first in the dataset."""

    start: int
    values: np.ndarray


class InflatedDataset:
    """A list of numbers in a file, read by slices.

    Parameters
    ----------
    dataset
        The dataset, of one dimension.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self._shuffled = _SHUFFLE in (filters := _filters_of(dataset))
        served = filters in ([_GZIP], [_SHUFFLE, _GZIP])
        plain = dataset.dtype.kind in "iuf" and dataset.dtype.newbyteorder("<") == dataset.dtype
        plain &= sys.byteorder == "little"
        self._served = isal_zlib is not None and served and plain
        # Slices follow one another, and the next one begins where this one ended.
        self._last = _Chunk(-1, np.empty(0, dataset.dtype))

    def __getitem__(self, part: slice) -> np.ndarray:
        """Read a slice, with bounds and without a step."""
        start, stop = int(part.start), int(part.stop)
        if not self._served or stop <= start:
            return self.dataset[part]
        size = self.dataset.chunks[0]
        values = np.empty(stop - start, self.dataset.dtype)
        for first in range(start - start % size, stop, size):
            chunk = self._chunk(first)
            if chunk is None:
                return self.dataset[part]
            begin, end = max(start, first), min(stop, first + size)
            values[begin - start : end - start] = chunk[begin - first : end - first]
        return values

    def _chunk(self, first: int) -> np.ndarray | None:
        """Unpack the chunk whose first value has this place; None if that fails."""
        last = self._last
        if last.start == first:
            return last.values
        try:
            skipped, packed = self.dataset.id.read_direct_chunk((first,))
            size = self.dataset.chunks[0] * self.dataset.dtype.itemsize
            unpacked = isal_zlib.decompress(packed, bufsize=size)
        except Exception:  # of a damaged file HDF5 tells what is wrong
            return None
        if skipped or len(unpacked) != size:
            return None
        values = _joined(unpacked, self.dataset.dtype) if self._shuffled else unpacked
        values = np.frombuffer(values, self.dataset.dtype)
        self._last = _Chunk(first, values)
        return values


def _joined(planes: bytes, dtype: np.dtype) -> np.ndarray:
    """Join the first bytes of all numbers, all second ones and so on, the lowest first.

    Higher bytes of places are zero, which takes no time.
    """
    joined = np.zeros(len(planes) // dtype.itemsize, f"u{dtype.itemsize}")
    for place, plane in enumerate(np.frombuffer(planes, np.uint8).reshape(dtype.itemsize, -1)):
        if plane.any():
            joined |= plane.astype(joined.dtype) << np.array(8 * place, joined.dtype)
    return joined


def _filters_of(dataset: h5py.Dataset) -> list[int]:
    """Give the numbers of the filters of a dataset, in their order; a zarr array has none."""
    import h5py  # slow to import

    if not isinstance(dataset, h5py.Dataset) or dataset.chunks is None:
        return []
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(place)[0] for place in range(properties.get_nfilters())]
