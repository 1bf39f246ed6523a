"""Simulated cells and fits to them that several figures show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...data.cells import Cells, summarise
from ...data.h5ad.reading import read_cells
from ...data.isoform_truth import IsoformTruth, read_truth
from ...data.simulators.cells import SimulationOptions, simulate_cells
from ...data.simulators.expression import draw_symsim_expression
from ...data.simulators.gene_structures import ISOFORMS_PER_GENE, draw_transcripts
from ..fitting.training import TrainingConfig
from ..isoforms import fitting
from ..isoforms.fitting import IsoformFit
from ..isoforms.settings import BATCH_SIZE, EPOCHS, LEARNING_RATE, IsoformConfig
from .workshop import Workshop

SIMULATED = "simulated"


@dataclass(frozen=True)
class IsoformSizes:
    """Sizes of simulated cells, and epochs of the fits."""

    num_cells: int = 200
    num_isoforms: int = 300
    num_bootstraps: int = 30
    reads_per_isoform: float = 10.0
    isoforms_per_gene: float = ISOFORMS_PER_GENE
    epochs: int = EPOCHS


QUICK = IsoformSizes(20, 24, 4, epochs=2)


class KnownCells(NamedTuple):
    """Simulated cells and their truth."""

    cells: Cells
    truth: IsoformTruth


def sizes_of(workshop: Workshop, **changes) -> IsoformSizes:
    """Sizes of this run, with changes; tiny sizes keep their own numbers."""
    if workshop.quick:
        changes = {name: value for name, value in changes.items() if not name.startswith("num_")}
        return replace(QUICK, **changes)
    return replace(IsoformSizes(), **changes)


def simulated(workshop: Workshop, sizes: IsoformSizes, seed: int) -> KnownCells:
    """Simulate cells with SymSim's expression; equal cells are simulated once."""
    return workshop.once(("cells", sizes, seed), lambda: _simulate(workshop, sizes, seed))


def _simulate(workshop: Workshop, sizes: IsoformSizes, seed: int) -> KnownCells:
    generator = np.random.default_rng(seed)
    transcripts = draw_transcripts(
        sizes.num_isoforms, generator, isoforms_per_gene=sizes.isoforms_per_gene
    )
    depth = sizes.reads_per_isoform * sizes.num_isoforms
    expression = draw_symsim_expression(sizes.num_cells, transcripts.gene_lengths, depth, generator)
    path = _new(workshop.folder, "cells").with_suffix(".h5ad")
    simulate_cells(
        path,
        transcripts,
        expression.molecules,
        expression.cell_types,
        generator,
        SimulationOptions(sizes.num_bootstraps),
        obs=expression.obs,
    )
    cells = read_cells(path)
    return KnownCells(cells, read_truth(path, cells))


def _new(folder: Path, name: str) -> Path:
    """Find a name that nothing in a folder has yet."""
    return folder / f"{name}-{len(list(folder.iterdir()))}"


def fitted(
    workshop: Workshop,
    known: KnownCells,
    config: IsoformConfig,
    epochs: int,
    seed: int,
    train_fraction: float = 1.0,
) -> IsoformFit:
    """Fit a model to cells; equal fits are made once."""

    def fit() -> IsoformFit:
        folder = _new(workshop.folder, "fit")
        training = TrainingConfig(epochs, BATCH_SIZE, LEARNING_RATE, seed, "cpu")
        fitting.fit(known.cells, config, training, folder, train_fraction=train_fraction)
        return fitting.load(folder, "cpu")

    # Options are a dictionary, which is no key.
    key = ("isoforms", known.cells.fingerprint, repr(config), epochs, seed, train_fraction)
    return workshop.once(key, fit)


def with_bootstraps(cells: Cells, number: int) -> Cells:
    """Keep the first ``number`` bootstraps of cells that all have at least as many."""
    bootstraps = cells.bootstraps[:number]
    return replace(
        cells,
        bootstraps=bootstraps,
        summary=summarise(bootstraps),
        num_bootstraps=np.full(cells.num_cells, number),
    )
