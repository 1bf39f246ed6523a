"""Tasks in one process or in several."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

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


def test_a_script_that_is_not_guarded_ends_with_an_error(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from functools import partial\n"
        "from operator import contains\n"
        "from exvae.data.processes import map_in_order\n"
        "large = partial(contains, bytes(1 << 20))\n"  # more than a pipe holds
        "print(list(map_in_order(large, [0, 1], 2)))\n"
    )
    command = [sys.executable, str(script)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert finished.returncode != 0
    # On a busy machine Python's own resource tracker may have the last word.
    told = [line for line in finished.stderr.splitlines() if "__main__" in line]
    assert told[-1].endswith("needs if __name__ == '__main__' before what it runs")
