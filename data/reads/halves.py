"""Halves of the reads of cells: expression is inferred from the first, and scored by the second."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, vstack

from ..cell_tables import CellTable, RowReader
from ..cells import Cells, summarise
from ..compiled_loops import spread_in_order
from ..progress import progress_bar
from .classes import ClassCounts
from .estimation import estimate_with_bootstraps, generator_of_cell

# Streams of random numbers, apart from each other and from an import's.
_DIVISION, _BOOTSTRAPS = 1, 2


class Halves(NamedTuple):
    """Cells with half of their reads, and the other half.

    Attributes
    ----------
    observed
        Cells that have the first half: its estimates, bootstraps and reads by class.
    held_out
        The second half of each cell, in the same order.
    """

    observed: Cells
    held_out: ClassCounts


def halve_reads(
    cells: CellTable, positions: np.ndarray, seed: int, reader: RowReader | None = None
) -> Halves:
    """Divide the reads of cells at random in two halves, each read into one.

    Of an odd number of reads the first half has one more. Its estimates and bootstraps are made
    anew, as an import of reads makes them: as many bootstraps as the cells have, and as many of
    them kept.

    Parameters
    ----------
    cells
        Cells with reads by class.
    positions
        Positions of the cells to halve, shape (cells,).
    seed
        Seed of the halves and bootstraps; those of a cell do not depend on other cells.
    reader
        Reads the reads of the cells; None makes one, which reads all cells on disk.

    Raises
    ------
    DataError
        If a cell has no reads by class.
    """
    cells.require_class_counts("leave out completion")
    given = (reader or cells.reader(("reads",))).take(positions).reads
    names, whole = cells.names[positions], given.counts
    first = _first_half(whole, names, seed)
    second = whole - first
    second.eliminate_zeros()
    reads = replace(given, counts=first)
    number = int(cells.num_bootstraps.max(initial=0))
    estimates, *bootstraps = _estimates(reads, names, cells.num_isoforms, number, seed)
    facts = {
        **cells.facts,
        "names": names,
        "num_bootstraps": np.full(len(positions), number),
        "obs": cells.obs.iloc[positions],
        "batches": cells.batches[positions],
        "source": f"{cells.source}, half of the reads",
    }
    observed = Cells(
        **facts,
        counts=estimates,
        bootstraps=tuple(bootstraps[: cells.num_layers]),
        summary=summarise(bootstraps) if number else None,
        reads=reads,
    )
    return Halves(observed, replace(given, counts=second))


def _first_half(whole: csr_matrix, names: np.ndarray, seed: int) -> csr_matrix:
    """Draw half of the reads of each cell without replacement, shape (cells, classes)."""
    half = whole.copy()
    for name, start, stop in zip(names, whole.indptr[:-1], whole.indptr[1:], strict=True):
        own = whole.data[start:stop]
        generator = generator_of_cell(name, seed, _DIVISION)
        size = (int(own.sum()) + 1) // 2
        half.data[start:stop] = generator.multivariate_hypergeometric(own, size, method="marginals")
    half.eliminate_zeros()
    return half


def _estimates(
    reads: ClassCounts, names: np.ndarray, num_isoforms: int, num_bootstraps: int, seed: int
) -> list[csr_matrix]:
    """Estimate the counts of cells, and bootstraps, each of shape (cells, isoforms)."""

    def of_cell(place: int) -> csr_matrix:
        generator = generator_of_cell(names[place], seed, _BOOTSTRAPS)
        return csr_matrix(
            estimate_with_bootstraps(reads, place, num_isoforms, num_bootstraps, generator)
        )

    found = []
    with progress_bar(len(names), "halves", delay=1.0) as bar:
        for own in spread_in_order(of_cell, len(names)):
            found.append(own)
            bar.update()
    stacked = vstack(found, "csr")
    return [stacked[number :: 1 + num_bootstraps] for number in range(1 + num_bootstraps)]
