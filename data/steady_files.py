"""Files for libraries that do not survive a failed write."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from .stopping import UNINTERRUPTED, raise_if_stopped

# HDF5 does not survive an exception in the functions below either.
UNINTERRUPTED.add(__name__)


class SteadyFile:
    """A file that keeps in memory what cannot be written, until :meth:`check` raises the failure.

    HDF5 crashes, and torch aborts or raises an error without the reason, if a write fails, for
    instance because the disk is full. Here every write succeeds for the library, which then closes
    in order.

    Parameters
    ----------
    path
        The file.
    new
        Whether the file is made, and must not exist.
    """

    def __init__(self, path: Path, *, new: bool = True) -> None:
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags | (os.O_CREAT | os.O_EXCL if new else 0), 0o666)
        self._size = os.fstat(self._descriptor).st_size
        self._place = 0
        self._unwritten: list[tuple[int, bytes]] = []
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raise the failure of the first write that failed, an OSError, or a signal that came."""
        raise_if_stopped()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Close the file and raise the failure, if there was one."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                os.close(descriptor)
            except OSError as error:  # the last moment at which some file systems tell
                self._failure = self._failure or error
        self.check()

    def __enter__(self) -> SteadyFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # What HDF5 and torch call

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place; the end includes what is kept in memory."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def tell(self) -> int:
        """Place in the file (bytes)."""
        return self._place

    def write(self, data: bytes | memoryview) -> int:
        """Write all bytes, or keep them."""
        view = memoryview(data).cast("B")
        start, number = self._place, len(view)
        done = 0
        try:
            os.lseek(self._descriptor, start, os.SEEK_SET)
            while self._failure is None and done < number:
                done += os.write(self._descriptor, view[done:])
        except OSError as error:
            self._failure = error
        if done < number:
            self._unwritten.append((start + done, bytes(view[done:])))
        self._place = start + number
        self._size = max(self._size, self._place)
        return number

    def readinto(self, target: bytearray | memoryview) -> int:
        """Read bytes at the place, also those in memory; the number of bytes."""
        view = memoryview(target).cast("B")
        start = self._place
        number = max(0, min(len(view), self._size - start))
        os.lseek(self._descriptor, start, os.SEEK_SET)
        found = os.read(self._descriptor, number)
        view[:number] = found + bytes(number - len(found))
        for place, data in self._unwritten:
            first, last = max(place, start), min(place + len(data), start + number)
            if first < last:
                view[first - start : last - start] = data[first - place : last - place]
        self._place = start + number
        return number

    def read(self, number: int = -1) -> bytes:
        """Read bytes."""
        number = self._size - self._place if number < 0 else number
        found = bytearray(max(0, number))
        return bytes(found[: self.readinto(found)])

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        size = self._place if size is None else size
        try:
            if self._failure is None:
                os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._failure = error
        self._size = size
        return size

    def flush(self) -> None:
        """Do nothing: nothing waits."""
