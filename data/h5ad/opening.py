"""An ``.h5ad`` opened for reading, if all of its content lies in the file itself."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..heaps import require_finite_heaps
from ..memory import FOR_HDF5, require_memory
from ..unreadable import known_reason, other_content, require_regular
from .other_kinds import other_kind

if TYPE_CHECKING:
    import h5py

_DAMAGE = (LookupError, OSError, RuntimeError, SystemError, TypeError, ValueError)
_AGAIN = "write it again"
# Bytes of a list that may be left out of a file, as zeros.
_LARGE = 1 << 26
GIVE_CELLS = "give the cells as .h5ad"


@contextmanager
def open_h5ad(path: Path, remedy: str = GIVE_CELLS) -> Iterator[h5py.File]:
    """Open an HDF5 file.

    Parameters
    ----------
    path
        The file.
    remedy
        Advice for a file that is missing or of another kind.

    Raises
    ------
    DataError
        If the file cannot be read, or leads to other files.
    """
    import h5py  # with anndata slow to import, and not needed for documents

    require_regular(path)
    try:
        require_finite_heaps(path)
        require_memory(FOR_HDF5)
        file = h5py.File(path, "r")
    except DataError:
        raise
    except (OSError, ValueError) as error:
        reason = known_reason(path, error, _AGAIN) or other_content(path, remedy)
        if reason is None:
            what = "not a readable .h5ad file" if os.path.exists(path) else "no such file"
            reason = f"{what}; {remedy}"
        raise DataError(f"{path}: {reason}") from error
    with file:
        _require_own_content(path, file)
        _require_cells(path, file)
        yield file


def _require_cells(path: Path, file: h5py.File) -> None:
    """Raise a DataError if the file is of another program."""
    try:
        kind = other_kind(file)
    except _DAMAGE as error:
        raise DataError(f"{path}: the file is damaged ({error}); {_AGAIN}") from error
    if kind is not None:
        raise DataError(f"{path}: {kind}")


def _require_own_content(path: Path, file: h5py.File) -> None:
    """Raise a DataError if an element is a link, lies in another file, or has no proper name.

    A link may lead to any file of the user, whose content an export would then pass on.
    """
    import h5py

    def fault(name: bytes, info: h5py.h5l.LinkInfo) -> str | None:
        shown = name.decode(errors="backslashreplace")
        if info.type in (h5py.h5l.TYPE_SOFT, h5py.h5l.TYPE_EXTERNAL):
            return f"{shown} is a link; copy what it leads to into the file"
        if shown.encode() != name:
            return f"the name {shown} is not UTF-8; rename it"
        try:  # as visit cannot pass on an exception
            reason = _fault_of(h5py.h5o.open(file.id, name))
        except _DAMAGE as error:
            return f"{shown} is damaged ({error}); {_AGAIN}"
        return reason and f"{shown} {reason}"

    try:
        found = file.id.links.visit(fault, info=True)
    except _DAMAGE as error:
        raise DataError(f"{path}: the file is damaged ({error}); {_AGAIN}") from error
    if found is not None:
        raise DataError(f"{path}: {found}")


def _fault_of(stored: h5py.h5g.GroupID | h5py.h5d.DatasetID) -> str | None:
    """Tell what is wrong with an open object; None if nothing is."""
    import h5py

    for number in range(h5py.h5a.get_num_attrs(stored)):
        attribute = h5py.h5a.open(stored, index=number)
        # A text of a damaged kind is such a list, and the HDF5 library crashes where it is read.
        if isinstance(attribute.get_type(), h5py.h5t.TypeVlenID):
            name = attribute.name.decode(errors="backslashreplace")
            return f"has the attribute {name}, which is no text; the file is damaged, {_AGAIN}"
    if not isinstance(stored, h5py.h5d.DatasetID):
        return None
    if isinstance(stored.get_type(), h5py.h5t.TypeVlenID):
        return f"holds lists, not values; the file is damaged, {_AGAIN}"
    plan = stored.get_create_plist()
    for number in range(plan.get_nfilters()):
        code, *_, name = plan.get_filter(number)
        if not h5py.h5z.filter_avail(code):
            told = name.decode(errors="backslashreplace") or f"the filter {code}"
            return (
                f"is compressed by {told}, which HDF5 knows only with a plugin; write it again "
                "with compression='gzip'"
            )
    if plan.get_external_count() or plan.get_layout() == h5py.h5d.VIRTUAL:
        return "lies in another file; copy it into this one"
    size = math.prod(stored.shape or (0,)) * stored.get_type().get_size()
    # Lists are read as a whole; matrices are not.
    if stored.rank == 1 and size > _LARGE and stored.get_storage_size() == 0:
        return f"says that it holds {size} bytes, and stores none; the file is damaged, {_AGAIN}"
    return None
