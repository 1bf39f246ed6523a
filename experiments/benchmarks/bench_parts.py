"""Parts of the benchmark that ``bench.py`` composes, each a few figures beside those of a peer.

A part runs in a process of its own. Within it ours and peer take turns, so that a machine that
slows down does so for both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from processes import run_python

# This module imports nothing large: some parts measure the memory of processes that they start.


class Figure(NamedTuple):
    """A figure, ours and a peer's, of which less is better.

    Attributes
    ----------
    name
        What was measured, with its unit.
    peer
        Name of the peer.
    ours, theirs
        The two values.
    """

    name: str
    peer: str
    ours: float
    theirs: float


@dataclass(frozen=True)
class Sizes:
    """Sizes of all parts.

    Attributes
    ----------
    cells, isoforms, bootstraps
        Of likelihoods and training steps.
    repeats
        Runs of which the fastest counts, where one takes less than a second.
    posterior_cells, posterior_isoforms
        Of the posterior of expression.
    imported
        Cells that are imported.
    documents, topics, topic_epochs
        Of topic models; no epochs are those of the command.
    fitted, fitted_isoforms, epochs
        Of commands, where fewer epochs than all are extrapolated.
    several
        Options of ``distributed.py``.
    on_disk, steps
        Cells that stay on disk, and training steps with them.
    reads
        Options of ``reads_cost.py``: reads, classes, isoforms, cells.
    threads
        Threads of every library.
    """

    cells: int = 128
    isoforms: int = 5000
    bootstraps: int = 30
    repeats: int = 3
    posterior_cells: int = 16
    posterior_isoforms: int = 2000
    imported: int = 60
    documents: int = 1000
    topics: int = 20
    topic_epochs: int | None = None
    fitted: int = 240
    fitted_isoforms: int = 900
    epochs: int = 10
    several: tuple[str, ...] = ("--epochs", "3", "--cells", "1000", "--documents", "3000")
    on_disk: int = 4096
    reads: tuple[int, ...] = (10_000, 5_000, 2_000, 64)
    threads: int = 2


TINY = Sizes(
    cells=4,
    isoforms=60,
    bootstraps=4,
    repeats=1,
    posterior_cells=8,
    posterior_isoforms=30,
    imported=6,
    documents=120,
    topics=3,
    topic_epochs=2,
    fitted=30,
    fitted_isoforms=30,
    epochs=1,
    several=(
        *("--epochs", "2", "--cells", "30", "--isoforms", "30", "--batch", "8"),
        *("--documents", "60", "--topics", "3", "--vocabulary", "50", "--words", "20"),
    ),
    on_disk=256,
    reads=(100, 60, 30, 10),
)


def likelihood(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Time likelihoods of bootstraps, value and gradient, beside scvi-tools' ZINB and the grid."""
    import torch
    from bootstrap_likelihood import (
        GRID,
        PAPER,
        PEER,
        READS,
        draw_parameters,
        runs_of_bootstraps,
        runs_of_peer,
        seconds,
        time_grid,
        value_and_gradient,
    )

    from exvae.models.distributions.negative_binomial import ZINB

    torch.manual_seed(repeat)
    parameters = draw_parameters(sizes.cells, sizes.isoforms)
    counts = torch.poisson(parameters[0])
    few, many = 2, 10 * (sizes.bootstraps // 10) or 4
    runs = runs_of_bootstraps(parameters, [few, many])
    own = partial(
        value_and_gradient,
        parameters[:3],
        lambda *parts: ZINB(*parts, validate_args=False).log_prob(counts),
    )
    peers = runs_of_peer(parameters)
    taken = seconds({**runs, "own": own, **peers}, sizes.repeats)
    taken[GRID] = time_grid(parameters, many)
    named = {
        f"effective reads, {many} bootstraps": f"{READS}, {many}",
        f"paper's model, {many} bootstraps": f"{PAPER}, {many}",
        "ZINB": "own",
    }
    figures = [
        Figure(f"likelihood of {name} (s)", "ZINB of scvi-tools", taken[key], taken[PEER])
        for name, key in named.items()
        if peers
    ]
    for name, key in (("effective reads", READS), ("paper's model", PAPER)):
        times = (taken[f"{key}, {number}"] for number in (many, few))
        figures.append(
            Figure(f"likelihood of {name}, {many} bootstraps (s)", f"{few} bootstraps", *times)
        )
    sums = taken[f"{PAPER}, {many}"]
    name = f"likelihood of paper's model, {many} bootstraps (s)"
    return [*figures, Figure(name, "the paper's grid", sums, taken[GRID])]


def training_step(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Time training steps of a minibatch beside SCVI of scvi-tools."""
    import pyro
    from bootstrap_likelihood import seconds
    from isoform_training import MODELS, simulate, step_of_exvae, step_of_scvi

    pyro.set_rng_seed(repeat)
    drawn = simulate(sizes.cells, sizes.isoforms, sizes.bootstraps)
    read = min(5, sizes.bootstraps)
    steps = {
        name: step_of_exvae(*make(sizes.isoforms), drawn, read) for name, make in MODELS.items()
    }
    peer = step_of_scvi(drawn[..., 0].round())
    if peer is None:
        return []
    taken = seconds({**steps, "peer": peer}, sizes.repeats)
    return [
        Figure(f"training step, {name} (s)", "SCVI of scvi-tools", taken[name], taken["peer"])
        for name in steps
    ]


def posterior(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Time posterior means, standard deviations and quantiles of expression beside SCVI."""
    import anndata
    import numpy as np
    from bootstrap_likelihood import seconds
    from distributed import write_cells

    from exvae import IsoformModel
    from exvae.experiments.figures import scvi_tools
    from exvae.experiments.isoforms.export_writing import ExportOptions, compact_blocks
    from exvae.experiments.isoforms.settings import QUANTILES
    from exvae.experiments.isoforms.stratified import _DRAWS_PER_SAMPLE

    if not scvi_tools.is_installed():
        return []
    path = folder / "cells.h5ad"
    write_cells(path, sizes.posterior_cells, sizes.posterior_isoforms, 5)
    adata = anndata.read_h5ad(path)
    model = IsoformModel(adata).train(1, progress=False)
    fit, cells, options = model._trained(), model._own_cells(), ExportOptions()
    peer = scvi_tools.fit_scvi(adata.X.toarray().round(), 1, repeat)
    few, many = options.num_samples, options.num_samples * _DRAWS_PER_SAMPLE

    def ours() -> None:
        for _ in compact_blocks(fit, fit.conform(cells), options):
            pass

    def theirs(number: int, summarise: bool) -> None:
        drawn = peer.get_normalized_expression(
            n_samples=number, return_mean=False, return_numpy=True, library_size="latent"
        )
        drawn.mean(0)
        if summarise:
            drawn.std(0)
            np.quantile(drawn, QUANTILES, axis=0)

    runs = {
        "ours": ours,
        f"SCVI of scvi-tools, the same of {many} draws": partial(theirs, many, True),
        f"SCVI of scvi-tools, means of {few} draws": partial(theirs, few, False),
    }
    taken = seconds(runs, min(3, sizes.repeats))
    own = taken.pop("ours")
    name = f"posterior expression, {many} draws, means, sd, quantiles (s)"
    return [Figure(name, peer, own, other) for peer, other in taken.items()]


def importing(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Compare the import of kallisto's bootstraps with pytximport."""
    from importlib.util import find_spec

    if find_spec("pytximport") is None:
        return []
    script = Path(__file__).with_name("isoform_import.py")
    # A process of its own makes the cells, so that this one stays small.
    make = "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
    make += "from isoform_import import make_cells; make_cells(Path(sys.argv[2]), int(sys.argv[3]))"
    run_python(["-c", make, script.parent, folder / "cells", sizes.imported])
    from isoform_import import METHODS, measure

    ours, theirs = (measure(method, folder / "cells", None) for method in METHODS)
    named = {
        "seconds": f"import of {sizes.imported} cells (s)",
        "whole": f"import of {sizes.imported} cells, with start (s)",
        "memory_mib": f"memory of an import of {sizes.imported} cells (MiB)",
        "file_mib": "file of an import (MiB)",
    }
    return [
        Figure(name, "pytximport", ours[column], theirs[column]) for column, name in named.items()
    ]


def topics(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Train topic models of several libraries on the same documents."""
    import pandas as pd

    script = Path(__file__).with_name("lda.py")
    epochs = () if sizes.topic_epochs is None else ("--epochs", sizes.topic_epochs)
    size = ("--documents", sizes.documents, "--topics", sizes.topics, *epochs)
    run_python(
        [script, *size, "--seeds", repeat, "--threads", sizes.threads, "--out", folder]
        + ["--methods", "exvae", "sklearn-online", "sklearn-batch", "gensim", "tomotopy"]
    )
    measured = pd.read_csv(folder / "lda_benchmark.csv").set_index("method")
    measured["seconds"] = 1e3 / measured["documents_per_second"]
    named = {
        "perplexity": "topics: held-out perplexity",
        "training_seconds": "topics: training (s)",
        "seconds": "topics: inference of 1000 documents (s)",
        "memory_above_baseline_mib": "topics: memory without imports (MiB)",
    }
    ours = measured.loc["exvae refined"]
    peers = [method for method in measured.index if not method.startswith("exvae")]
    return [
        Figure(name, peer, ours[column], measured.loc[peer, column])
        for column, name in named.items()
        for peer in peers
    ]


def commands(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Compare the computing of an export and of a check with that of the fit of all epochs."""
    path, script = folder / "cells.h5ad", Path(__file__).with_name("isoform_export.py")
    size = ("--cells", sizes.fitted, "--isoforms", sizes.fitted_isoforms)
    make = ["isoforms", "simulate", path, *size, "--expression", "simple", "--seed", repeat]
    run_python(["-m", "exvae", *make])
    printed = run_python([script, path, "--epochs", sizes.epochs, "--check"]).printed
    fit = float(_found(r"fit of \d+ epochs \((\S+) s\)", printed))
    export = float(_found(r"of all: (\S+) s", printed))
    check = float(_found(r"^check: (\S+) s", printed))
    return [
        Figure(f"{name} of {sizes.fitted} cells (s of computing)", "its fit", own, fit)
        for name, own in (("export", export), ("check", check))
    ]


def several(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Compare training by two processes of one thread with one."""
    script = Path(__file__).with_name("distributed.py")
    printed = run_python([script, "--repeats", 1, *sizes.several]).printed
    found = re.findall(
        r"^(.*?), \d+ .*: (\S+) s (?:per epoch|of training) in 1 process, (\S+) s in 2",
        printed,
        re.M,
    )
    return [
        Figure(f"training by two processes, {name} (s)", "one process", float(two), float(one))
        for name, one, two in found
    ]


def on_disk(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Compare an epoch on cells that stay on disk with one on cells in memory."""
    script = Path(__file__).with_name("cells_from_disk.py")
    number = ("--cells", sizes.on_disk, "--in-memory", sizes.on_disk)
    printed = run_python([script, *number, "--folder", folder]).printed
    figures = []
    for name, pattern in (
        ("training on a cell from disk (ms)", r"ms per cell (\S+),"),
        ("training on a cell from disk (ms of computing)", r"computing per cell (\S+)$"),
        (f"memory of training on {sizes.on_disk} cells from disk (MiB)", r"peak \(MiB\) (\S+),"),
    ):
        disk, memory = (
            float(_found(rf"^  {where}: .*{pattern}", printed)) for where in ("disk", "memory")
        )
        figures.append(Figure(name, "in memory", disk, memory))
    return figures


def sweeps(sizes: Sizes, repeat: int, folder: Path) -> list[Figure]:
    """Compare sweeps of the model of reads, ten times the reads or cells beside the base."""
    import torch
    from reads_cost import BASE, seconds_of_sweep

    torch.set_num_threads(1)
    base = dict(zip(BASE, sizes.reads, strict=True))
    one, _ = seconds_of_sweep(base, sizes.repeats)
    figures = []
    for varied in ("reads", "cells"):
        ten, _ = seconds_of_sweep({**base, varied: 10 * base[varied]}, sizes.repeats)
        name = f"sweep of the model of reads, ten times the {varied} (s of computing)"
        figures.append(Figure(name, f"a tenth of the {varied}", ten, one))
    return figures


def _found(pattern: str, text: str) -> str:
    """Give the part of a text that a pattern finds."""
    return re.search(pattern, text, re.MULTILINE)[1]


PARTS: dict[str, Callable[[Sizes, int, Path], list[Figure]]] = {
    part.__name__: part
    for part in (
        likelihood,
        training_step,
        posterior,
        importing,
        topics,
        commands,
        several,
        on_disk,
        sweeps,
    )
}


def sizes_of(tiny: bool, threads: int) -> Sizes:
    """Give the sizes of a run."""
    return replace(TINY if tiny else Sizes(), threads=threads)
