"""Files that appear only when they are complete, and failures to read a file.

A file or folder is written in a hidden folder beside its place, which no other user can enter and
whose name nobody can foresee. The folder is locked while its process lives, so that the next run
can tell the remains of a killed process from the work of a running one.
"""

from __future__ import annotations

import errno
import gzip
import os
import re
import secrets
import shutil
import stat
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import DataError, DataWarning
from .stopping import raise_if_stopped

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# End of the names of folders in which something is written.
UNFINISHED = ".unfinished"

# Signs of damage in packed files, in archives and arrays, and in numbers.
DAMAGE = (
    *(EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError),
    *(struct.error, tokenize.TokenError, ArithmeticError),
)


@contextmanager
def reading(
    path: Path, missing: str, remedy: str, damage: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn failures to read a file into a DataError that names it.

    Parameters
    ----------
    path
        The file.
    missing
        Message for a file that does not exist.
    remedy
        Advice for a file that is truncated or damaged.
    damage
        Further exceptions that are signs of damage, depending on the reader.
    """
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: {missing}") from error
    except (*DAMAGE, *damage) as error:
        raise DataError(f"{path}: truncated or damaged ({error}); {remedy}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; convert it to UTF-8") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{path}: cannot be read ({reason}); check the file") from error
    except MemoryError as error:
        raise DataError(f"{path}: does not fit in memory; give a smaller file") from error


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give the name of a temporary file, and move it to ``path`` at the end.

    If the block fails or is interrupted, nothing is left behind and what was at ``path`` stays. A
    link at ``path`` stays a link; the file to which it leads is replaced.

    Raises
    ------
    DataError
        If the file cannot be written, another process writes it, or ``path`` is no regular file.
    """
    place = Path(os.path.realpath(path))
    require_regular(path)
    with _moved_to(place, path) as temporary:
        yield temporary
        if place.exists():
            shutil.copymode(place, temporary)


@contextmanager
def folder_written_atomically(path: Path) -> Iterator[Path]:
    """Give the name of a temporary folder, which the block makes, and move it to ``path``.

    If the block fails or is interrupted, nothing is left behind.

    Raises
    ------
    DataError
        If the folder cannot be written, or another process writes it.
    """
    with _moved_to(Path(os.path.realpath(path)), path) as temporary:
        yield temporary


@contextmanager
def _moved_to(place: Path, path: Path) -> Iterator[Path]:
    """Move what is written to its place; DataError, which names ``path``, if it cannot be."""
    try:
        remove_unfinished(place)
        with _workplace_beside(place) as workplace:
            remove_unfinished(place, workplace)
            temporary = workplace / place.name
            yield temporary
            _sync(temporary)
            raise_if_stopped()
            os.replace(temporary, place)
            _sync_folder(place.parent)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check its folder and the free "
            "space"
        ) from error


@contextmanager
def _workplace_beside(place: Path) -> Iterator[Path]:
    """Make a locked folder beside a place, and remove it; a signal may come at any moment."""
    folder: Path | None = None
    lock: int | None = None
    try:
        while True:
            folder = place.with_name(f".{place.name}.{secrets.token_hex(8)}{UNFINISHED}")
            folder.mkdir(mode=0o700)
            # Before it is locked another process takes it for remains, and may remove it.
            with suppress(BlockingIOError, FileNotFoundError):
                lock = lock_folder(folder)
                if folder.exists():
                    break
                if lock is not None:
                    os.close(lock)
                    lock = None
        yield folder
    finally:
        try:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
        except BaseException:  # a signal, after which no other one disturbs for a while
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            if lock is not None:
                os.close(lock)


def remove_unfinished(place: Path, own: Path | None = None) -> None:
    """Remove the remains of processes that were killed while they wrote a file, with a warning.

    Parameters
    ----------
    place
        The file or folder that they wrote.
    own
        Folder of this process, which stays.

    Raises
    ------
    DataError
        If another process writes the same now.
    """
    pattern = re.compile(re.escape(f".{place.name}.") + "[0-9a-f]{16}" + re.escape(UNFINISHED))
    for found in place.parent.iterdir():
        if found == own or not pattern.fullmatch(found.name) or not _is_own_folder(found):
            continue
        try:
            lock = lock_folder(found)
        except BlockingIOError as error:
            raise DataError(
                f"{place}: another process writes it; wait for its end, or choose another place"
            ) from error
        except FileNotFoundError:
            continue  # its owner has just finished
        if lock is None:
            told = "is of a process that was killed, or still runs; remove it if none does"
        else:
            shutil.rmtree(found, ignore_errors=True)
            os.close(lock)
            told = "was left by a process that was killed; it is removed"
        warnings.warn(f"{found}: {told}", DataWarning, stacklevel=3)


def _is_own_folder(path: Path) -> bool:
    """Whether a path is a folder, and no link, of this user."""
    with suppress(OSError):
        found = path.lstat()
        # Windows has no numbers of users.
        return (
            stat.S_ISDIR(found.st_mode)
            and found.st_uid == getattr(os, "geteuid", lambda: found.st_uid)()
        )
    return False


def lock_folder(folder: Path) -> int | None:
    """Lock a folder until the descriptor is closed, at the latest by the end of the process.

    Returns
    -------
    int or None
        The descriptor; None if the file system or the operating system knows no such locks.

    Raises
    ------
    BlockingIOError
        If another process holds the lock.
    """
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        # NFS locks only files that are open for writing, which folders never are.
        if error.errno in (errno.EBADF, errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
            return None
        raise
    return descriptor


@contextmanager
def folder_locked(folder: Path, files: Iterable[str] = ()) -> Iterator[None]:
    """Keep other processes from writing to a folder.

    Parameters
    ----------
    folder
        The folder.
    files
        Names of files in it; remains of processes that were killed while they wrote them are
        removed.

    Raises
    ------
    DataError
        If another process writes to it.
    """
    try:
        lock = lock_folder(Path(os.path.realpath(folder)))
    except BlockingIOError as error:
        raise DataError(
            f"{folder}: another process writes to it; wait for its end, or choose another folder"
        ) from error
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be entered ({error.strerror}); choose another"
        ) from error
    if lock is None:
        told = "cannot be locked on this file system; let one process at a time write to it"
        warnings.warn(f"{folder}: {told}", DataWarning, stacklevel=3)
    try:
        for name in files:
            remove_unfinished(folder / name)
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _sync(path: Path) -> None:
    """Wait until a file, or all files of a folder, are on the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            _sync_file(Path(folder) / name)
        _sync_folder(Path(folder))
    if not path.is_dir():
        _sync_file(path)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    with suppress(OSError):  # not every system can
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def unchanged(paths: Iterable[Path]) -> Iterator[None]:
    """Require that files, and those in folders, are at the end what they were at the beginning.

    Size, time of change and identity are compared.

    Raises
    ------
    DataError
        If one has changed.
    """
    before = {file: _state(file) for path in paths for file in _files(path)}
    yield
    for path, state in before.items():
        if _state(path) != state:
            raise DataError(
                f"{path}: changed while it was read; run again when nothing writes to it"
            )


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of a folder and of its folders."""
    if not path.is_dir():
        yield path
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in names)


def _state(path: Path) -> tuple[int, ...] | None:
    """Size (bytes), time of the last change (ns) and identity of a file; None if there is none."""
    with suppress(OSError):
        found = path.stat()
        return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev
    return None


def open_text(path: Path) -> IO[str]:
    """Open a text to read it, unpacked where its name ends in ``.gz``."""
    return gzip.open(path, "rt") if path.suffix == ".gz" else path.open()


def require_regular(path: Path) -> None:
    """Require that nothing but a regular file, or a link to one, is at a place to write.

    Raises
    ------
    DataError
        If a folder, a device, a pipe or a socket is there.
    """
    with suppress(OSError):
        if path.exists() and not path.is_file():
            raise DataError(f"{path}: cannot be written (no regular file); choose another place")


def require_folder(out: Path, remedy: str = "choose another place") -> None:
    """Require that the folder of a new file or folder exists.

    Raises
    ------
    DataError
        If it does not.
    """
    if not out.parent.is_dir():
        raise DataError(f"{out}: its folder does not exist; make it or {remedy}")


def require_h5ad(out: Path, remedy: str = "choose another place") -> None:
    """Require a place for a new ``.h5ad``.

    Raises
    ------
    DataError
        If the name has another ending, the folder does not exist or the place is taken by
        something else than a file.
    """
    if out.suffix != ".h5ad":
        raise DataError(f"{out}: cells are written as .h5ad; give a name that ends in .h5ad")
    require_folder(out, remedy)
    require_regular(out)
