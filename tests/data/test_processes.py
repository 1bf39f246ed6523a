"""Tasks in one process or in several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import closing

import pytest

from exvae.data.processes import map_in_order


@pytest.mark.parametrize("num_processes", [1, 2])
def test_results_come_in_order_and_tasks_are_taken_when_needed(num_processes: int) -> None:
    taken = []

    def tasks() -> Iterator[str]:
        for number in range(20):
            taken.append(number)
            yield str(number)

    with closing(map_in_order(int, tasks(), num_processes)) as results:
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        assert len(taken) <= 3 + 2 * num_processes + 1
    assert multiprocessing.active_children() == []
    assert list(map_in_order(int, map(str, range(20)), num_processes)) == list(range(20))


@pytest.mark.parametrize("num_processes", [1, 2])
def test_a_task_that_fails(num_processes: int) -> None:
    results = map_in_order(int, ["1", "one"], num_processes)
    assert next(results) == 1
    with pytest.raises(ValueError, match="'one'"):
        next(results)
    assert multiprocessing.active_children() == []
