"""Sums over processes by shared memory, which torchrun starts.

python -m torch.distributed.run --nproc-per-node 2 sums_of_processes.py CASE
"""

from __future__ import annotations

import sys
import time

import torch
from torch import distributed

from exvae.experiments.fitting import shared_memory

SIZES = ((3,), (700, 4), (1,), (), (5000,), (2, 3))
TYPES = (torch.float32, torch.float64, torch.int64)


def own(rank: int, turn: int, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * rank + turn)
    return torch.randint(-1000, 1000, shape, generator=generator).to(dtype)


def add_up(memory: shared_memory.SharedMemory) -> None:
    """Compare many sums, of growing and falling sizes, with those of one process."""
    for turn in range(300):
        shape, dtype = SIZES[turn % len(SIZES)], TYPES[turn % len(TYPES)]
        values = [own(rank, turn, shape, dtype) for rank in range(memory.size)]
        mine = values[memory.rank].clone()
        if mine.dim() == 2 and turn % 4 == 1:
            mine = mine.T.contiguous().T
        found = memory.sum(mine)
        assert found is mine
        assert torch.equal(found, sum(values[1:], values[0]))


def main(case: str) -> None:
    """Join the others, and do what the case wants."""
    distributed.init_process_group("gloo")
    group = distributed.new_group()
    memory = shared_memory.SharedMemory(group, 60.0 if case != "late" else 0.1)
    if case == "full":
        shared_memory._new_file = lambda size: ""
    add_up(memory)
    if memory.rank == 0 and case in ("ended", "late"):
        try:
            memory.sum(torch.ones(2))
        except RuntimeError as error:
            print(f"told: {error}", flush=True)
    elif case == "late":
        time.sleep(1.0)
    # gloo's threads otherwise now and then abort the process as it ends.
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
