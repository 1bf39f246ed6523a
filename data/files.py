"""Files that appear at their place only when they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DataError


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
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); check its folder and the free "
            "space"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def require_folder(out: Path, remedy: str = "choose another --out") -> None:
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
