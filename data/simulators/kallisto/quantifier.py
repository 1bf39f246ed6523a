"""Quantification of simulated cells with bootstraps, from equivalence classes as in kallisto."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from ...quantified.cell_rows import CellRows, cell_rows
from ...quantified.quantifications import Quantification
from ...reads.class_probabilities import EquivalenceClasses
from ...reads.estimation import resample
from ...reads.transcripts import Transcripts


class CellReads(NamedTuple):
    """Reads of some cells.

    Attributes
    ----------
    class_counts
        Number of fragments in each equivalence class, shape (cells, classes), int64; no cell is
        empty.
    generators
        Source of the random numbers of each cell.
    """

    class_counts: np.ndarray
    generators: Sequence[np.random.Generator]


@dataclass(frozen=True, eq=False)
class IsoformQuantifier:
    """Estimates the counts of isoforms in cells, and in bootstraps of their reads.

    A bootstrap draws as many fragments again as the cell has, from the classes of the cell
    (``Bootstrap.cpp`` of pachterlab/kallisto), and starts from the same initial values as the
    estimate. A start from the estimate would take fewer rounds, but differ from kallisto: an
    isoform with a zero estimate would be zero in every bootstrap. In 240 cells quantified by
    kallisto, 6.3 % of the entries are zero in the estimate and not in all bootstraps.

    Attributes
    ----------
    transcripts
        The isoforms.
    classes
        Their equivalence classes.
    num_bootstraps
        Number of bootstraps of each cell.
    num_layers
        Largest number of bootstraps to keep; None keeps all.
    """

    transcripts: Transcripts
    classes: EquivalenceClasses
    num_bootstraps: int = 30
    num_layers: int | None = None

    def estimate(self, reads: CellReads) -> np.ndarray:
        """Estimate counts of isoforms (reads).

        Returns
        -------
        numpy.ndarray
            Estimate of each cell, then its bootstraps, shape (cells, 1 + bootstraps, isoforms).
        """
        drawn = [
            resample(counts, self.num_bootstraps, generator)
            for counts, generator in zip(reads.class_counts, reads.generators, strict=True)
        ]
        problems = np.stack([reads.class_counts, *np.stack(drawn, 1)], 1)
        flat = problems.reshape(-1, problems.shape[-1])
        counts = self.classes.estimate(flat).counts
        return counts.reshape(*problems.shape[:2], -1)

    def __call__(self, reads: CellReads) -> list[CellRows]:
        """Estimate counts and make the rows of cells."""
        names = np.char.encode(self.transcripts.names)
        return [
            cell_rows(
                Quantification(
                    names,
                    self.transcripts.lengths,
                    self.classes.effective_lengths,
                    counts[0].astype(np.float32),
                    counts[1:].astype(np.float32),
                    "exvae",
                    version("exvae"),
                ),
                self.num_layers,
            )
            for counts in self.estimate(reads)
        ]
