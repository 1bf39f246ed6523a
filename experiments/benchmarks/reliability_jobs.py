"""Jobs whose reliability is measured: their data, commands and results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from commands import run
from isoform_import import make_cells

EPOCHS = 12
# Of the ensemble of a model that has one.
MEMBERS = 1


@dataclass(frozen=True)
class Job:
    """A command that writes something.

    Attributes
    ----------
    name
        Its name in the table.
    arguments
        Command line, by the folder in which it writes.
    result
        Digest of the whole result in this folder; empty if there is none.
    is_fit
        Whether it goes on with ``--resume``.
    """

    name: str
    arguments: Callable[[Path], list[object]]
    result: Callable[[Path], str]
    is_fit: bool = False

    def again(self, folder: Path) -> list[object]:
        """Command line for a run after one that was stopped."""
        goes_on = self.is_fit and (folder / "fit" / "checkpoint.pt").exists()
        return [*self.arguments(folder), *(["--resume"] if goes_on else [])]


def make_data(folder: Path) -> None:
    """Write cells, a corpus, results of a quantifier, and a fit to export."""
    small = ["--cells", 40, "--isoforms", 60, "--bootstraps", 6, "--reads"]
    commands = [
        ["isoforms", "simulate", folder / "cells.h5ad", *small],
        ["lda", "simulate", folder / "corpus.npz", "--documents", 200, "--vocabulary", 100],
        ["isoforms", "fit", folder / "cells.h5ad", "--out", folder / "fit", "--epochs", 2],
    ]
    for command in commands:
        ended = run(command, folder / "log.txt")
        if ended.status:
            raise RuntimeError(f"{command} failed: {ended.told} {ended.noise}")
    make_cells(folder / "quantified", 60, isoforms=200)
    make_classes(folder / "bus", 400, isoforms=200)


def make_classes(folder: Path, cells: int, isoforms: int) -> None:
    """Write reads by class as kallisto bus and bustools count do; every class is a pair or one."""
    import numpy as np
    from scipy.io import mmwrite
    from scipy.sparse import csr_matrix

    generator = np.random.default_rng(0)
    folder.mkdir()
    names = [f"transcript_{number}" for number in range(isoforms)]
    (folder / "transcripts.txt").write_text("".join(f"{name}\n" for name in names))
    lengths = zip(names, generator.integers(300, 5000, isoforms), strict=True)
    table = "".join(f"{name} {length}\n" for name, length in lengths)
    (folder / "transcript_lengths.txt").write_text(table)
    members = [f"{number}" for number in range(isoforms)]
    members += [f"{number},{number + 1}" for number in range(0, isoforms, 2)]
    lines = (f"{number}\t{own}\n" for number, own in enumerate(members))
    (folder / "matrix.ec").write_text("".join(lines))
    (folder / "matrix.cells").write_text("".join(f"cell_{cell}\n" for cell in range(cells)))
    shares = generator.dirichlet(np.full(len(members), 0.1))
    mmwrite(folder / "matrix.mtx", csr_matrix(generator.multinomial(5000, shares, size=cells)))


def jobs(data: Path) -> list[Job]:
    """Give all jobs on data in a folder."""
    cells = data / "cells.h5ad"
    models = {name: ["--model", name] for name in MODELS}
    models["reads"] += ["--set", f"members={MEMBERS}"]
    fits = [_fit(["isoforms", "fit", cells, *chosen], name) for name, chosen in models.items()]
    topics = ["lda", "fit", data / "corpus.npz", "--topics", 4]
    commands = {
        "import": ["isoforms", "import", data / "quantified"],
        "import, reads": ["isoforms", "import", "--reads", data / "bus", "--bootstraps", 10],
        "export": ["isoforms", "export", data / "fit", cells],
        "filter": ["isoforms", "filter", cells, "--min-cells", 2],
    }
    others = [_file(command, name) for name, command in commands.items()]
    return [*fits, _fit(topics, "topics"), *others]


MODELS = ("effective-reads", "reads", "paper", "scvi")


def _fit(command: list[object], name: str) -> Job:
    options = ["--epochs", EPOCHS, "--batch-size", 8, "--device", "cpu"]

    def arguments(folder: Path) -> list[object]:
        return [*command, *options, "--out", folder / "fit"]

    return Job(f"fit, {name}", arguments, lambda folder: _digest_of_fit(folder / "fit"), True)


def _file(command: list[object], name: str) -> Job:
    def arguments(folder: Path) -> list[object]:
        return [*command, "--out", folder / "out.h5ad"]

    return Job(name, arguments, lambda folder: _digest_of_file(folder / "out.h5ad"))


def _digest_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def _digest_of_fit(folder: Path) -> str:
    """Digest of the state of a fit but for measured times; empty before it is complete."""
    from exvae.experiments.fitting import checkpoints

    if not (folder / "checkpoint.pt").exists():
        return ""
    state = checkpoints.read_checkpoint(folder)
    members = state["model"].get("ensemble.num_kept", MEMBERS + 1)  # and the model itself
    if state["progress"]["epoch"] < EPOCHS or members <= MEMBERS:
        return ""
    del state["progress"]["seconds"]
    return checkpoints.digest_of(state)
