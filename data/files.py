"""Files that appear only when they are complete, and failures to read a file."""

from __future__ import annotations

import gzip
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DataError

# First bytes of small text files that stand for large ones, and the command that fetches these.
POINTERS = {
    b"version https://git-lfs": "git lfs pull",
    b"/annex/objects/": "git annex get",
}


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
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, *damage) as error:
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
    """Give the name of a temporary file beside ``path``, and move it there at the end.

    If the block fails or is interrupted, nothing is left behind and what was at ``path`` stays.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with _moved_to(path, temporary):
            yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def folder_written_atomically(path: Path) -> Iterator[Path]:
    """Give the name of a temporary folder beside ``path``, and move it there at the end.

    If the block fails or is interrupted, nothing is left behind.

    Raises
    ------
    DataError
        If the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _moved_to(path, temporary):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _moved_to(path: Path, temporary: Path) -> Iterator[None]:
    """Move a temporary file or folder to its place; DataError if it cannot be written."""
    try:
        yield
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check its folder and the free "
            "space"
        ) from error


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
        If the name has another ending or the folder does not exist.
    """
    if out.suffix != ".h5ad":
        raise DataError(f"{out}: cells are written as .h5ad; give a name that ends in .h5ad")
    require_folder(out, remedy)
