"""Where the seconds of computing of fit, export, check and evaluate go, and the floor of a step.

    python experiments/benchmarks/profile_commands.py cells.h5ad [--truth truth.npz]
    python experiments/benchmarks/profile_commands.py cells.h5ad --epochs 1 --cells 20

Each command runs in a process of its own with its defaults, on one thread, from the start of Python
to the end. With fewer epochs or cells all are extrapolated from runs with as many and with twice as
many. Several files give a table each; epochs and cells are told for each, in order. The floor of a
training step is the time that its multiplications and the bytes that it must move take at the rates
of this machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from pages import digits, machine, replace_part, table
from processes import bounding_threads, run_python

COMMANDS = ("fit", "export", "check", "evaluate")
EPOCHS = 60
# Seconds below which a part has no row.
_LEAST = 0.05


def run_command(arguments: list[str]) -> None:
    """Run a command in this process and print the seconds of its parts as JSON."""
    import contextlib
    import io
    import sys

    from sections import START, watched

    from exvae.experiments import cli

    sys.argv = ["exvae", *arguments]
    with watched() as sections:
        started = time.process_time()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                cli.main()
        except SystemExit as end:
            if end.code:
                raise
    sections.seconds[START] += started
    print(json.dumps(sections.seconds))


def profiled(*arguments: object) -> dict[str, float]:
    """Run a command in a process of its own; give the seconds of its parts."""
    printed = run_python([__file__, "--run", *arguments], bounding_threads(1)).printed
    return json.loads(printed.splitlines()[-1])


def arguments_of(command: str, fit: Path, cells: Path, truth: Path | None) -> list[object]:
    """Give the arguments of a command that reads a fit."""
    if command == "evaluate":
        return [fit, cells, *(() if truth is None else ("--truth", truth))]
    out = fit.with_name(command)
    return [fit, cells, "--out", out.with_suffix(".h5ad") if command == "export" else out]


def profile_cells(
    cells: Path, truth: Path | None, epochs: int, number: int, folder: Path
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Profile all commands on some cells.

    Parameters
    ----------
    cells, truth
        Files of the cells and of their truth, which is read if all cells are.
    epochs
        Epochs of the fit, from which all are extrapolated.
    number
        Cells that other commands take, from which all are extrapolated; 0 takes all.
    folder
        Folder for results.

    Returns
    -------
    tuple
        Seconds by command and part, and what :func:`floor` gives.
    """
    num_cells = shape_of(cells)[0]
    fit = folder / f"fit_{epochs}"

    def fitted(number: int) -> dict[str, float]:
        out = folder / f"fit_{number}"
        return profiled("isoforms", "fit", cells, "--out", out, "--epochs", number)

    whole = {"fit": extrapolated(fitted, epochs, EPOCHS)}
    files = {num_cells: cells}
    for taken in (number, 2 * number) if number else ():
        files[taken] = folder / f"{taken}.h5ad"
        script = Path(__file__).with_name("isoform_cost.py")
        run_python([script, "--take", cells, files[taken], taken])
    first = files[number or num_cells]
    profiled("isoforms", "export", *arguments_of("export", fit, first, None))  # compiles loops
    for command in COMMANDS[1:]:

        def ran(taken: int, command: str = command) -> dict[str, float]:
            own = truth if taken == num_cells else None
            return profiled("isoforms", command, *arguments_of(command, fit, files[taken], own))

        whole[command] = extrapolated(ran, number or num_cells, num_cells)
    printed = run_python([__file__, "--floor", cells], bounding_threads(1)).printed
    return whole, json.loads(printed.splitlines()[-1])


def extrapolated(
    measure: Callable[[int], dict[str, float]], number: int, every: int
) -> dict[str, float]:
    """Give the seconds of parts for every epoch or cell, from a number of them and from twice it.

    What both runs have in common does not grow; start and pictures stay as they are.
    """
    from sections import START

    one = measure(number)
    if number == every:
        return one
    two = measure(2 * number)
    grown = {
        part: one.get(part, 0.0)
        + (every / number - 1) * max(0.0, two.get(part, 0.0) - one.get(part, 0.0))
        for part in one | two
    }
    constant = (START, "start values", "pictures")
    return {**grown, **{part: min(one[part], two[part]) for part in constant if part in one}}


def shape_of(cells: Path) -> tuple[int, int]:
    """Give the number of cells and of isoforms in a file."""
    import h5py

    with h5py.File(cells) as file:
        return tuple(int(size) for size in file["X"].attrs["shape"])


def floor(cells: Path) -> dict[str, float]:
    """Measure a training step, and the rates of this machine that bound it.

    Returns
    -------
    dict
        ``step``, seconds of computing of a step with its minibatch; ``multiplications`` and
        ``bytes`` that it needs; ``multiply_rate`` and ``copy_rate``, of a second.
    """
    import numpy as np
    import torch

    from exvae.data.any_cells import get_cells
    from exvae.experiments.fitting.training import Trainer, TrainingConfig
    from exvae.experiments.isoforms import fitting
    from exvae.experiments.isoforms.settings import BATCH_SIZE, LEARNING_RATE, IsoformConfig

    training = TrainingConfig(1, BATCH_SIZE, LEARNING_RATE, device="cpu")
    data = get_cells(cells)
    trainer: Trainer = fitting.set_up(data, IsoformConfig(), training, progress=False)[0]
    positions = np.arange(min(BATCH_SIZE, len(trainer.data)))
    seconds = least_seconds(lambda: trainer._step(positions), 5)
    batch = trainer.data.minibatch(positions)
    square = torch.rand(1024, 1024)
    source, target = np.ones(1 << 26, np.float32), np.empty(1 << 26, np.float32)
    return {
        "step": seconds,
        "cells": len(positions),
        **needs_of_step(trainer.modules["model"], trainer.modules["guide"], batch),
        "multiply_rate": 1024**3 / least_seconds(lambda: torch.mm(square, square), 5),
        # A copy reads and writes.
        "copy_rate": 2 * source.nbytes / least_seconds(lambda: np.copyto(target, source), 5),
    }


def needs_of_step(model: object, guide: object, batch: object) -> dict[str, float]:
    """Count multiplications and bytes of a step of cells.

    A layer multiplies once forwards, once for the gradient of its weights and, unless it is the
    first, once for that of its input. Inputs and observations are written and read once, and so are
    the decoder's output and its gradient. Adam reads a parameter, its gradient and two moments, and
    writes all but the gradient.
    """
    from torch import nn

    multiplications = 0
    first = guide.z_encoder.element[0]
    sets = batch.indices if guide.z_encoder.reads_means else batch.bootstraps
    networks = ((guide, len(sets)), (model.decoder, len(batch.indices)))
    for network, rows in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Linear):
                times = 2 if layer is first else 3
                multiplications += times * rows * layer.weight.numel()
    own = {id(each): each for part in (model, guide) for each in part.parameters()}
    parameters = sum(each.numel() for each in own.values())
    decoded = len(batch.indices) * sum(model.heads.values())
    values = 2 * (batch.bootstraps.numel() + batch.obs.numel()) + 4 * decoded + 7 * parameters
    return {"multiplications": multiplications, "bytes": 4 * values, "parameters": parameters}


def least_seconds(job: Callable[[], object], repeats: int) -> float:
    """Least seconds of computing of a job, after one that compiles."""
    taken = []
    for _ in range(repeats + 1):
        started = time.process_time()
        job()
        taken.append(time.process_time() - started)
    return min(taken[1:])


def report(
    results: list[tuple[str, dict[str, dict[str, float]], dict[str, float]]], notes: list[str]
) -> str:
    """Make tables: seconds by part and command for each file, and floors of a step."""
    texts = [f"{machine(('torch', 'pyro-ppl', 'numba'))} One thread."]
    for (name, whole, _), told in zip(results, notes, strict=True):
        texts += [told, seconds_by_part(f"{name}, seconds", whole)]
    return "\n\n".join([*texts, _floors(results)])


def seconds_by_part(title: str, whole: dict[str, dict[str, float]]) -> str:
    """Make the table of the seconds of all commands by part."""
    from sections import PARTS, REST, START

    order = [START, *(part for part in PARTS if part != START), REST]
    rows = [
        [part, *(_cell(own.get(part, 0)) for own in whole.values())]
        for part in order
        if any(own.get(part, 0) >= _LEAST for own in whole.values())
    ]
    rows.append(["**all**", *(_cell(sum(own.values())) for own in whole.values())])
    return table([title, *whole], rows)


def _cell(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= _LEAST else ""


def _floors(results: list) -> str:
    """Make the table of floors."""
    header = ("a training step", *(name for name, *_ in results))
    found = [own for *_, own in results]
    multiply = [own["multiplications"] / own["multiply_rate"] for own in found]
    move = [own["bytes"] / own["copy_rate"] for own in found]
    rows = [
        ("cells", *(own["cells"] for own in found)),
        ("parameters", *(own["parameters"] for own in found)),
        ("multiplications (million)", *(digits(own["multiplications"] / 1e6) for own in found)),
        ("at (billion a second)", *(digits(own["multiply_rate"] / 1e9) for own in found)),
        ("bytes to move (million)", *(digits(own["bytes"] / 1e6) for own in found)),
        ("at (GB a second)", *(digits(own["copy_rate"] / 1e9) for own in found)),
        ("floor: multiplying (ms)", *(digits(1e3 * own) for own in multiply)),
        ("floor: moving (ms)", *(digits(1e3 * own) for own in move)),
        ("measured (ms of computing)", *(digits(1e3 * own["step"]) for own in found)),
        (
            "measured / floor",
            *(
                digits(own["step"] / (one + other))
                for own, one, other in zip(found, multiply, move, strict=True)
            ),
        ),
    ]
    return table(header, rows)


def note(shape: tuple[int, int], epochs: int, number: int) -> str:
    """Tell what is extrapolated."""
    name = f"{shape[0]} × {shape[1]}"
    if epochs == EPOCHS and not number:
        return f"{name}: all {EPOCHS} epochs and all cells."
    cells = f"{number} and twice as many cells" if number else "all cells"
    return f"{name}: extrapolated from {epochs} and twice as many epochs, of {EPOCHS}, and {cells}."


def main() -> None:
    """Profile all files, or do one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="*", help="from exvae isoforms import")
    parser.add_argument("--truth", type=Path, nargs="*", default=[], help="of the first files")
    parser.add_argument("--epochs", type=int, nargs="*", default=[], help="of each fit")
    parser.add_argument("--cells", type=int, nargs="*", default=[], help="of each; 0 for all")
    parser.add_argument("--out", type=Path, help="page whose tables are replaced")
    parser.add_argument("--run", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.add_argument("--floor", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_command(options.run)
        return
    if options.floor:
        print(json.dumps(floor(options.floor)))
        return
    results, notes = [], []
    for place, cells in enumerate(options.files):
        truth, epochs, number = (
            given[place] if place < len(given) else default
            for given, default in (
                (options.truth, None),
                (options.epochs, EPOCHS),
                (options.cells, 0),
            )
        )
        shape = shape_of(cells)
        with TemporaryDirectory() as folder:
            found = profile_cells(cells, truth, epochs, number, Path(folder))
        results.append((f"{shape[0]} × {shape[1]}", *found))
        notes.append(note(shape, epochs, number))
        text = report(results, notes)
        print(text, flush=True)
    if options.out is not None:
        replace_part(options.out, "profile_commands.py", text)


if __name__ == "__main__":
    main()
