"""Memory that a library needs to start, asked for before: without it some libraries crash.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import mmap

# What the HDF5 library takes when it opens a file, and numba and LLVM for compiled loops, at most
# (bytes).
FOR_HDF5, FOR_COMPILED_LOOPS = 1 << 25, 1 << 28


def require_memory(size: int) -> None:
    """Require that so many bytes of memory can be had; none is kept.

    Raises
    ------
    MemoryError
        If they cannot.
    """
    private = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )
    try:
        mmap.mmap(-1, size, **private).close()
    except OSError as error:
        raise MemoryError(f"less than {size >> 20} MiB are left") from error
