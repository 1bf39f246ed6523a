"""Compare a GPU with the CPU: the same values, and seconds and memory of steps, epochs and exports.

    python experiments/benchmarks/gpu.py --cells 2048 --isoforms 20000 --batch 512

Every registered model with every guide and pooling that it takes has the same losses and gradients
on both devices: all random draws are made on the CPU, in float64. Exports differ by their draws, as
the CPU has stratified ones. ``--device cpu`` compares the CPU with itself, to see that the script
runs. Ends with status 1 if a value differs, and with 2 without a GPU.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import anndata
import numpy as np
import pyro
import torch
from bootstrap_likelihood import seconds
from distributed import write_cells
from pages import machine, table
from processes import peak_memory, run_python
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from exvae.data.any_cells import get_cells
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting.constructors import options_of
from exvae.experiments.fitting.errors import ArgumentError
from exvae.experiments.fitting.optimizers import optimizer
from exvae.experiments.fitting.training import Trainer, TrainingConfig
from exvae.experiments.isoforms import exporting, fitting
from exvae.experiments.isoforms.settings import LEARNING_RATE, IsoformConfig
from exvae.experiments.lda import fitting as lda
from exvae.guides import CELL_GUIDES, LDA_GUIDES
from exvae.guides.sets import POOLINGS
from exvae.models import MODELS

# Largest relative difference of losses and gradients. Sums over the likelihood of the paper are
# approximations, and others on a GPU.
TOLERANCES = {"paper": 1e-3}
TOLERANCE = 1e-6
STEPS = 5
# Largest relative difference of states, and of the expression of a cell, in exports.
STATES, EXPRESSION = 1e-3, 0.05


class DrawsOfCPU(TorchDispatchMode):
    """Within the block torch draws on the CPU, whatever the device of the result."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        tensors = [own for own in args if isinstance(own, Tensor)]
        device = tensors[0].device if tensors else kwargs.get("device") or torch.device("cpu")
        if "device" in kwargs:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        drawn = func(*tree_map(lambda own: moved(own, "cpu"), args), **kwargs)
        if func._schema.is_mutable:
            return args[0].copy_(drawn)
        return tree_map(lambda own: moved(own, device), drawn)


def moved(value: Any, device: torch.device | str, dtype: torch.dtype | None = None) -> Any:
    """Move a tensor, floats to a type; other values stay as they are."""
    if not isinstance(value, Tensor):
        return value
    return value.to(device, dtype if value.is_floating_point() else None)


class Case(NamedTuple):
    """A model and a guide to compare: name, registered name of the model, modules, minibatch."""

    name: str
    kind: str
    model: nn.Module
    guide: nn.Module
    batch: tuple[Any, ...]


def cell_cases(path: Path) -> Iterator[Case]:
    """Make all models of cells, each with all guides and poolings that it takes."""
    cells = get_cells(path, batch_key="batch")
    positions = np.arange(cells.num_cells)
    for kind in MODELS:
        for guide in CELL_GUIDES:
            for pooling in POOLINGS:
                config = IsoformConfig(kind, guide, pooling)
                torch.manual_seed(0)
                try:
                    data, model, own = fitting.prepare(cells, config, positions, "cpu")
                except ArgumentError:  # the guide is for another model, or takes no pooling
                    continue
                batch = data.batch(positions)
                found = own.posteriors(batch.bootstraps, batch.offsets, batch.batches)
                if found.keys() == model.priors(batch.batches).keys():
                    yield Case(f"{kind}, {guide}, {pooling}", kind, model, own, batch)


def topic_cases(documents: int) -> Iterator[Case]:
    """Make the topic model with all guides and poolings that they take."""
    corpus = simulate_corpus(documents, 4, 80, 30).corpus
    for guide in LDA_GUIDES:
        for pooling in POOLINGS:
            torch.manual_seed(0)
            model, own = lda.build(lda.LDAConfig(4, guide, pooling), 80)
            batch = corpus.batch(range(documents))
            if "pooling" in options_of(type(own), 1):
                yield Case(f"lda, {guide}, {pooling}", "lda", model, own, batch)
            elif pooling == IsoformConfig.pooling:
                yield Case(f"lda, {guide}", "lda", model, own, batch)


def run(case: Case, device: str) -> tuple[list[float], list[Tensor]]:
    """Take some steps; give the losses and the gradients of the first step."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    model, guide = (
        module.to(device, torch.float64).train()
        for module in copy.deepcopy((case.model, case.guide))
    )
    batch = tuple(moved(value, device, torch.float64) for value in case.batch)
    svi = SVI(model, guide, optimizer(model, guide, LEARNING_RATE), TraceMeanField_ELBO())
    with DrawsOfCPU():
        first = svi.loss_and_grads(model, guide, *batch)
        parameters = [*model.named_parameters(), *guide.named_parameters()]
        gradients = {
            name: own.grad.cpu().clone() for name, own in parameters if own.grad is not None
        }
        for _, own in parameters:
            own.grad = None
        losses = [first, *(svi.step(*batch) for _ in range(STEPS))]
    return losses, list(gradients.values())


def difference(one: Tensor, other: Tensor) -> float:
    """Largest difference, beside the largest value."""
    return float((one - other).abs().max() / other.abs().max().clamp(min=1e-12))


def compare_steps(cases: Iterator[Case], device: str) -> list[tuple[str, float, float, bool]]:
    """Compare losses and gradients of all cases: names, differences, and whether they are small."""
    rows = []
    for case in cases:
        (losses, gradients), (here, there) = run(case, "cpu"), run(case, device)
        of_losses = difference(torch.tensor(here), torch.tensor(losses))
        of_gradients = max(map(difference, there, gradients), default=0.0)
        tolerance = TOLERANCES.get(case.kind, TOLERANCE)
        rows.append((case.name, of_losses, of_gradients, max(of_losses, of_gradients) < tolerance))
    return rows


def compare_exports(path: Path, folder: Path, device: str) -> list[tuple[str, float, float, bool]]:
    """Fit on the CPU and export on both devices: differences of states and of expression."""
    rows = []
    for kind in MODELS:
        training = TrainingConfig(1, 32, LEARNING_RATE, device="cpu")
        fitting.fit(get_cells(path), IsoformConfig(kind), training, folder / kind)
        found = []
        for place in ("cpu", device):
            out = folder / f"{kind}_{place}.h5ad"
            exporting.export(fitting.load(folder / kind, place), path, out)
            found.append(anndata.read_h5ad(out))
        one, other = (torch.from_numpy(own.obsm["X_exvae"]) for own in found)
        sums = [torch.from_numpy(own.layers["expression"].sum(1)) for own in found]
        differences = difference(other, one), difference(sums[1], sums[0])
        small = differences[0] < STATES and differences[1] < EXPRESSION
        rows.append((f"export, {kind}", *differences, small))
    return rows


def seconds_of(job: Callable[[], object], repeats: int) -> float:
    """Least seconds of a job, after one that compiles; waits for the GPU."""

    def finished() -> None:
        job()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return seconds({"job": finished}, repeats)["job"]


def measure(path: Path, batch: int, exported: int, device: str, repeats: int) -> dict[str, float]:
    """Measure a step, an epoch and an export on a device, in a process of its own.

    Returns
    -------
    dict
        Seconds of gathering a minibatch on the device, of a step with a minibatch that is there, of
        an epoch with and without gathering, and of an export; memory at the peak (GiB).
    """
    cells = get_cells(path)
    training = TrainingConfig(1, batch, LEARNING_RATE, device=device)
    trainer: Trainer
    trainer, fit = fitting.set_up(
        cells, IsoformConfig(), training, train_fraction=1.0, progress=False
    )
    parts = np.array_split(np.arange(len(trainer.data)), max(1, len(trainer.data) // batch))
    resident = [trainer.data.minibatch(part) for part in parts]
    for module in trainer.modules.values():
        module.train()
    found = {
        "gathering a minibatch (s)": seconds_of(lambda: trainer.data.minibatch(parts[0]), repeats),
        "step, data on the device (s)": seconds_of(lambda: trainer.svi.step(*resident[0]), repeats),
        "epoch, data on the device (s)": seconds_of(
            lambda: [trainer.svi.step(*own) for own in resident], repeats
        ),
        "epoch, gathered on the CPU (s)": seconds_of(
            lambda: [trainer._step(own) for own in parts], repeats
        ),
    }
    for module in trainer.modules.values():
        module.eval()
    few = anndata.read_h5ad(path)[:exported].copy()
    out = path.with_name(f"export_{device}.h5ad")
    found[f"export of {exported} cells (s)"] = seconds_of(
        lambda: exporting.export(fit, few, out), 1
    )
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else peak_memory() / 2**10
    return {**found, "memory (GiB)": peak}


def compare_costs(options: argparse.Namespace, path: Path) -> str:
    """Make the table of costs on both devices."""
    write_cells(path, options.cells, options.isoforms, options.bootstraps)
    sizes = (options.batch, options.exported)
    columns = [
        json.loads(
            run_python(
                [__file__, "--measure", path, *sizes, device, options.repeats]
            ).printed.splitlines()[-1]
        )
        for device in ("cpu", options.device)
    ]
    rows = [
        (name, f"{one:.4g}", f"{columns[1][name]:.4g}", f"{one / columns[1][name]:.2f}")
        for name, one in columns[0].items()
    ]
    title = f"{options.cells} cells × {options.isoforms} isoforms, minibatches of {options.batch}"
    return table((title, "cpu", options.device, "cpu / " + options.device), rows)


def options_of_command_line() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--cells", type=int, default=2048)
    parser.add_argument("--isoforms", type=int, default=20_000)
    parser.add_argument("--bootstraps", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512, help="cells of a minibatch")
    parser.add_argument("--exported", type=int, default=16, help="cells to export")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Compare and print; give the exit status."""
    options = options_of_command_line()
    if options.measure:
        path, batch, exported, device, repeats = options.measure
        print(json.dumps(measure(Path(path), int(batch), int(exported), device, int(repeats))))
        return 0
    if options.device == "cuda" and not torch.cuda.is_available():
        print("torch sees no CUDA device; --device cpu tries the script", file=sys.stderr)
        return 2
    from exvae.experiments.commands.simulate_isoforms import simulate

    gpu = torch.cuda.get_device_name() if options.device == "cuda" else "no GPU"
    print(f"{machine(('torch', 'pyro-ppl'))} {gpu}.\n")
    with TemporaryDirectory() as temporary:
        folder, path = Path(temporary), Path(temporary) / "small.h5ad"
        sizes = {"cells": 40, "isoforms": 40, "bootstraps": 4}
        with redirect_stdout(None):
            simulate(path, **sizes, expression="simple", reads=True, batches=2)
        rows = compare_steps(cell_cases(path), options.device)
        rows += compare_steps(topic_cases(60), options.device)
        header = ("largest relative difference", "losses", "gradients", "")
        print(table(header, map(told, rows)), "\n")
        exports = compare_exports(path, folder, options.device)
        header = ("largest relative difference", "states", "expression of cells", "")
        print(table(header, map(told, exports)), "\n", flush=True)
        print(compare_costs(options, folder / "large.h5ad"))
    return 0 if all(good for *_, good in rows + exports) else 1


def told(row: tuple[str, float, float, bool]) -> tuple[str, str, str, str]:
    """Make a row of a table."""
    name, one, other, good = row
    return name, f"{one:.1e}", f"{other:.1e}", "same" if good else "**differs**"


if __name__ == "__main__":
    sys.exit(main())
