"""Threads of compiled loops, and stamps of their sources."""

from __future__ import annotations

import types

import pytest
import torch

from exvae.data import compiled_loops


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_work_is_spread_over_all_entries_in_order(threads: int) -> None:
    number = 3 * compiled_loops._CHUNK + 5
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        parts = compiled_loops.spread(lambda own: torch.arange(number)[own], number)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(torch.cat(parts), torch.arange(number))


def test_the_stamp_is_that_of_the_sources(tmp_path) -> None:
    modules = []
    for name in ("one", "other"):
        module = types.ModuleType(name)
        module.__file__ = str(tmp_path / f"{name}.py")
        (tmp_path / f"{name}.py").write_text(f"x = '{name}'\n")
        modules.append(module)
    stamp = compiled_loops.stamp_of(modules)
    assert compiled_loops.stamp_of(modules) == stamp
    (tmp_path / "other.py").write_text("x = 'changed'\n")
    assert compiled_loops.stamp_of(modules) != stamp


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("number", [0, 5, 2 * compiled_loops._AHEAD + 3])
def test_results_come_one_by_one_in_order(threads: int, number: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = list(compiled_loops.spread_in_order(lambda place: place**2, number))
    finally:
        torch.set_num_threads(before)
    assert found == [place**2 for place in range(number)]
