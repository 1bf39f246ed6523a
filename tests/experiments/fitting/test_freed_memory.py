"""Memory of dropped objects is kept within a block, and given back after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Prints the pages that a second object of the same size takes anew: without, within and after the
# block; and the memory that is resident after it.
PROGRAM = """
import resource
from exvae.experiments.fitting.freed_memory import keeping_freed_memory

def taken():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * 64_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

taken()
without = taken()
with keeping_freed_memory():
    taken()
    within, kept = taken(), resident()
print(without, within, kept - resident(), taken())
"""


def pages(**environment: str) -> list[int]:
    command = [sys.executable, "-c", PROGRAM]
    finished = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PATH": "/bin", **environment}
    )
    return [int(own) for own in finished.stdout.split()]


@pytest.fixture
def size() -> int:
    """Pages of 4096 bytes in 64 MB."""
    libc = Path("/proc/self/maps")
    if not libc.exists() or "libc.so.6" not in libc.read_text():
        pytest.skip("this system has another allocator than glibc's")
    return 64_000_000 // 4096


def test_memory_is_kept_within_the_block_and_given_back(size: int) -> None:
    without, within, given_back, after = pages()
    if without < size // 2:
        pytest.skip("this system clears pages in larger pieces")
    assert within < size // 100
    assert given_back > size // 2
    assert after > size // 2


def test_who_has_chosen_an_allocator_keeps_it(size: int) -> None:
    without, within, *_ = pages(MALLOC_ARENA_MAX="4")
    if without < size // 2:
        pytest.skip("this system clears pages in larger pieces")
    assert within > size // 2
