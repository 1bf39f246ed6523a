"""Minibatches of cells whose reads are divided among isoforms by sweeps of a Gibbs sampler.

A read tells its class, the isoforms that it fits, and not its isoform. The source keeps a division
of each cell's reads. Before cells are gathered it draws their rates given the division, from model
and guide, and then the division given the rates. Given a division the model has a closed form, so
that a step of ``SVI`` on it follows, on average, the gradient of the likelihood of the classes
(Fisher's identity: the gradient of log p(classes) is the mean gradient of log p(division)).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from . import shares
from .cell_batches import BatchSource, CellBatch
from .cell_matrices import CellMatrices
from .cell_tables import CellTable
from .cells import flat_entries
from .effective_sample_size import effective_sample_size
from .errors import DataError
from .evaluating import evaluating
from .reads.classes import ClassCounts
from .reads.division import divide_reads

# Sweeps of a cell until its division no longer shows where it began: so many autocorrelation times,
# looked at every so many sweeps, and at most so many.
SETTLING_TIMES, SETTLING, MOST_SETTLING = 5, 20, 200
# Sweeps for each draw of the latent variables that is asked for: one division alone is one draw.
SWEEPS_PER_SAMPLE = 16
# Sweeps until divisions follow changed parameters.
_RESETTLING = 4
# Share of the values that may forget more slowly than is waited for.
_SLOW = 0.05
# Sweeps over which the expected division is averaged.
_MEMORY = 20


class ReadTensors(BatchSource):
    """Cells from which minibatches for models of reads are gathered on a device.

    The guide reads the expected division, a set of one vector; the model observes the drawn one.
    Sweeps begin from the quantifier's estimates.

    Parameters
    ----------
    cells
        The cells, all with reads by class; they are not copied.
    device
        Device of the minibatches.

    Raises
    ------
    DataError
        If a cell has no reads by class.
    """

    matrices = ("counts",)

    def __init__(self, cells: CellTable, device: torch.device | str = "cpu") -> None:
        super().__init__(cells, device)
        cells.require_class_counts()
        # Reads and their division stay in memory, as every sweep changes the division.
        matrices = cells.read(("counts", "reads"))
        self.classes: ClassCounts = matrices.reads
        begin = _possible(self.classes, cells.num_isoforms)
        self._indptr, self._indices = begin.indptr, begin.indices
        # Reads of the isoforms that a cell's reads fit: as drawn, and as expected.
        self._drawn = _values_at(matrices.counts, begin)
        self._expected = self._drawn.copy()
        self._sweeps = np.zeros(cells.num_cells, np.int64)

    def estimates_of(self, positions: np.ndarray, matrices: CellMatrices) -> csr_matrix:
        """Give the quantifier's estimates (reads), shape (cells, isoforms)."""
        return matrices.counts

    def training_options(self, num_bootstraps: int | None) -> dict[str, Any]:
        """Options of :meth:`batch` for a training step, which follows one sweep."""
        return {"num_sweeps": 1}

    def _gather(
        self, positions: np.ndarray, num_sweeps: int | None = None
    ) -> tuple[Tensor, np.ndarray, Tensor]:
        if num_sweeps is None:
            self._settle(positions)
            num_sweeps = 1
        for _ in range(num_sweeps):
            self.sweep(positions)
        return (
            self._of_cells(self._expected, positions),
            np.ones(len(positions), np.int64),
            self._of_cells(self._drawn, positions),
        )

    def _settle(self, positions: np.ndarray) -> None:
        """Sweep until divisions no longer show where they began, unless they are that far."""
        # All processes decide alike, by the cells of the whole minibatch.
        everywhere = shares.gathered(torch.from_numpy(positions))[0].numpy()
        if self._sweeps[everywhere].min(initial=SETTLING) >= SETTLING:
            return
        places, drawn = self._entries(everywhere)[1], []
        while len(drawn) < MOST_SETTLING:
            for _ in range(SETTLING):
                self.sweep(positions)
                drawn.append(self._drawn[places])
            if len(drawn) >= SETTLING_TIMES * autocorrelation_time(drawn):
                return

    def redrawn(self, batch: CellBatch, number: int) -> Iterator[CellBatch]:
        """Give a minibatch again with other divisions, :data:`SWEEPS_PER_SAMPLE` for each draw."""
        positions = batch.indices.cpu().numpy()
        for _ in range(_RESETTLING):  # divisions may be of another member of an ensemble
            self.sweep(positions, batch.batches)
        for _ in range(number * SWEEPS_PER_SAMPLE):
            self.sweep(positions, batch.batches)
            expected, _, drawn = self._gather(positions, 0)
            yield batch._replace(bootstraps=expected, obs=drawn)

    @torch.no_grad()
    def sweep(self, positions: np.ndarray, batches: Tensor | None = None) -> None:
        """Draw rates given divisions and then divisions given rates.

        Parameters
        ----------
        positions
            Positions of the cells, shape (cells,).
        batches
            Batch of each cell, shape (cells,), int64; by default its own, or any known one.
        """
        model, guide = self.pair
        if batches is None:
            batches = torch.from_numpy(self.cells.batches[positions]).to(self.device)
            with shares.drawing():
                anywhere = torch.randint_like(batches, model.num_batches)
            batches = torch.where(batches < 0, anywhere, batches)
        offsets = torch.arange(len(positions) + 1, device=self.device)
        with evaluating(model, guide):
            posteriors = guide.posteriors(
                self._of_cells(self._expected, positions), offsets, batches
            )
            with shares.drawing():
                latents = {name: posterior.sample() for name, posterior in posteriors.items()}
            drawn = self._of_cells(self._drawn, positions)
            with shares.drawing(1):
                rates = model.draw_rates(latents, batches, drawn, 1)[0]
        drawn, expected = divide_reads(self.classes, positions, rates)
        self._keep(positions, drawn.cpu().numpy(), expected.cpu().numpy())

    def _keep(self, positions: np.ndarray, drawn: np.ndarray, expected: np.ndarray) -> None:
        """Keep divisions of cells, and average their expectations over the last sweeps."""
        # Every process keeps the divisions of all cells, as any may have a cell next time.
        whole, own = shares.gathered(torch.from_numpy(positions))
        positions = whole.numpy()
        rows, places = self._entries(positions)
        here = slice(*np.searchsorted(rows, [own.start, own.stop]))
        cells, isoforms = rows[here] - own.start, self._indices[places[here]]
        found = np.stack([drawn[cells, isoforms], expected[cells, isoforms]])
        drawn, expected = shares.gathered(torch.from_numpy(found), 1)[0].numpy()
        share = 1 / np.minimum(self._sweeps[positions] + 1, _MEMORY)
        self._drawn[places] = drawn
        change = expected - self._expected[places]
        self._expected[places] += share[rows].astype(np.float32) * change
        self._sweeps[positions] += 1

    def _entries(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give row and place of all kept values of cells, each of shape (values,)."""
        sizes = np.diff(self._indptr)[positions]
        rows = np.repeat(np.arange(len(positions)), sizes)
        first = self._indptr[positions] - (sizes.cumsum() - sizes)
        return rows, first[rows] + np.arange(len(rows))

    def _of_cells(self, values: np.ndarray, positions: np.ndarray) -> Tensor:
        """Dense values of cells, shape (cells, isoforms)."""
        rows, places = self._entries(positions)
        dense = np.zeros((len(positions), self.cells.num_isoforms), np.float32)
        dense[rows, self._indices[places]] = values[places]
        return torch.from_numpy(dense).to(self.device)

    def state_dict(self) -> dict[str, Tensor]:
        """Give the divisions of all cells, from which training resumes."""
        parts = {"drawn": self._drawn, "expected": self._expected, "sweeps": self._sweeps}
        return {name: torch.from_numpy(part) for name, part in parts.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take divisions from :meth:`state_dict`; DataError if they are of other cells."""
        for name, own in self.state_dict().items():
            if name not in state or state[name].shape != own.shape:
                raise DataError(
                    f"{self.cells.source}: the divisions of reads in the checkpoint are of other "
                    "cells; resume with the cells of the fit"
                )
            own.copy_(state[name])


def autocorrelation_time(drawn: Sequence[np.ndarray]) -> float:
    """Count the sweeps that tell as much as one independent draw, of slow values.

    Parameters
    ----------
    drawn
        Values after each sweep, each of shape (values,).

    Returns
    -------
    float
        The number that a twentieth of the values that change exceed; 1 if none changes.
    """
    chain = torch.from_numpy(np.stack(drawn))
    chain = chain[:, (chain != chain[0]).any(0)]
    if not chain.shape[1]:
        return 1.0
    times = len(drawn) / effective_sample_size(chain.unsqueeze(0))
    return float(np.nanquantile(times.numpy(), 1 - _SLOW))


def _possible(classes: ClassCounts, num_isoforms: int) -> csr_matrix:
    """Mark the isoforms that the reads of each cell fit, shape (cells, isoforms)."""
    ones = np.ones(len(classes.members), np.float32)
    shape = (len(classes.starts) - 1, num_isoforms)
    fits = csr_matrix((ones, classes.members, classes.starts), shape)
    found = ((classes.counts > 0).astype(np.float32) @ fits).tocsr()
    found.sort_indices()
    return found


def _values_at(matrix: csr_matrix, places: csr_matrix) -> np.ndarray:
    """Give values of a matrix at the entries of another of its shape, 0 where it has none."""
    own, values = flat_entries(matrix)
    wanted, _ = flat_entries(places)
    if not len(own):
        return np.zeros(len(wanted), np.float32)
    found = np.searchsorted(own, wanted).clip(max=len(own) - 1)
    return np.where(own[found] == wanted, values[found], 0).astype(np.float32)
