"""Memory: how much is available, and whether there is enough for a library to start.

Without it some libraries crash. Every process that reads cells loads this module, so that it loads
neither torch nor anndata.
"""

from __future__ import annotations

import mmap
from pathlib import Path

# What the HDF5 library takes when it opens a file, and numba and LLVM for compiled loops, at most
# (bytes).
FOR_HDF5, FOR_COMPILED_LOOPS = 1 << 25, 1 << 28

# Limits of a container on Linux.
_GROUP = Path("/sys/fs/cgroup")


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


def available_memory() -> int:
    """Memory that this process may still take without swapping (bytes)."""
    import psutil  # few commands need it

    available = psutil.virtual_memory().available
    try:
        import resource
    except ImportError:  # not on Windows
        return available
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        available = min(available, max(limit - psutil.Process().memory_info().vms, 0))
    return min(available, _left_in_group(available))


def _left_in_group(otherwise: int) -> int:
    """Memory that the container may still take (bytes)."""
    try:
        limit, used = (
            (_GROUP / name).read_text().strip() for name in ("memory.max", "memory.current")
        )
    except OSError:
        return otherwise
    return otherwise if limit == "max" else max(int(limit) - int(used), 0)
