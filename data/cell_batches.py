"""Minibatches of cells: the arguments of a cell model and its guide."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from . import shares
from .bootstraps import BootstrapMean, BootstrapSummary
from .cells import Cells, require_reads
from .corpora import offsets_of
from .memory import FOR_COMPILED_LOOPS, require_memory

# What models of cells may observe.
OBSERVATIONS = ("counts", "estimates", "bootstrap_mean", "bootstrap_summary", "reads")


class CellBatch(NamedTuple):
    """A minibatch of cells: the argument list of model and guide, all tensors on one device.

    Attributes
    ----------
    bootstraps
        Input of the guide (reads), the sets of the cells one after another, shape
        (elements, isoforms), float32.
    offsets
        Cell n of the minibatch is ``bootstraps[offsets[n]:offsets[n + 1]]``, shape (cells + 1,),
        int64.
    batches
        Batch of each cell, shape (cells,), int64.
    indices
        Positions of the cells among all cells, shape (cells,), int64.
    num_cells
        Number of all cells, to which the minibatch is scaled.
    obs
        Observations of the model, shape (cells, isoforms), or (cells, isoforms, statistics) for
        statistics of bootstraps. None to generate.
    """

    bootstraps: Tensor
    offsets: Tensor
    batches: Tensor
    indices: Tensor
    num_cells: int
    obs: Tensor | None


class BatchSource(ABC):
    """Cells from which minibatches are gathered on a device.

    A subclass says what the guide reads and what the model observes.

    Parameters
    ----------
    cells
        The cells; they are not copied.
    device
        Device of the minibatches.

    Attributes
    ----------
    estimates
        One estimate of the counts (reads), shape (cells, isoforms).
    """

    estimates: csr_matrix

    def __init__(self, cells: Cells, device: torch.device | str = "cpu") -> None:
        self.cells = cells
        self.device = torch.device(device)
        self.pair: tuple[nn.Module, nn.Module] | None = None

    def batch(
        self,
        positions: np.ndarray | Tensor,
        num_cells: int | None = None,
        **options: Any,
    ) -> CellBatch:
        """Gather the cells at these positions.

        Parameters
        ----------
        positions
            Positions of the cells, shape (cells,), in any order.
        num_cells
            Number of all cells, to which the minibatch is scaled; by default the cells here.
        **options
            Options of :meth:`training_options`; without them each cell comes with all that it has.
        """
        positions = np.asarray(positions)
        sets, sizes, observed = self._gather(positions, **options)
        return CellBatch(
            sets,
            torch.from_numpy(offsets_of(sizes)).to(self.device),
            torch.from_numpy(self.cells.batches[positions]).to(self.device),
            torch.from_numpy(positions).to(self.device),
            self.cells.num_cells if num_cells is None else num_cells,
            observed,
        )

    def follow(self, model: nn.Module, guide: nn.Module) -> None:
        """Let observations that are drawn depend on this model and guide from now on."""
        self.pair = (model, guide)

    def training_options(self, num_bootstraps: int | None) -> dict[str, Any]:
        """Options of :meth:`batch` for a training step.

        Parameters
        ----------
        num_bootstraps
            Number of bootstraps of each cell that the guide reads; None reads all.
        """
        return {"num_bootstraps": num_bootstraps}

    def redrawn(self, batch: CellBatch, number: int) -> Iterator[CellBatch]:
        """Give a minibatch again for each draw of the latent variables, at least ``number`` times.

        What is drawn with its observations is drawn anew.
        """
        return itertools.repeat(batch, number)

    @abstractmethod
    def _gather(self, positions: np.ndarray, **options: Any) -> tuple[Tensor, np.ndarray, Tensor]:
        """Gather the sets that the guide reads, their sizes, and the model's observation.

        Shapes: (elements, isoforms), (cells,) and (cells, isoforms) or (cells, isoforms,
        statistics).
        """

    def _dense(self, rows: csr_matrix) -> Tensor:
        """Dense copy of a few rows on the device, shape (cells, isoforms)."""
        return torch.from_numpy(rows.toarray()).to(self.device)


class CellTensors(BatchSource):
    """Cells from which minibatches for models of bootstraps are gathered on a device.

    The guide reads the bootstraps that the file holds; where it holds none, their mean, as a set
    of one.

    Parameters
    ----------
    cells
        The cells, all with bootstraps; they are not copied.
    device
        Device of the minibatches.
    observes
        ``estimates``: the mean of all bootstraps (reads); ``bootstrap_mean`` or
        ``bootstrap_summary``: their statistics, stacked, see :mod:`exvae.data.bootstraps`.

    Attributes
    ----------
    estimates
        Mean of the bootstraps (reads), shape (cells, isoforms).

    Raises
    ------
    DataError
        If a cell has no bootstraps.
    """

    def __init__(
        self,
        cells: Cells,
        device: torch.device | str = "cpu",
        observes: str = "bootstrap_mean",
    ) -> None:
        super().__init__(cells, device)
        cells.require_bootstraps()
        self.observed = {
            "estimates": self._mean,
            "bootstrap_mean": self._number_and_mean,
            "bootstrap_summary": self._summary,
        }[observes]
        self.estimates = cells.mean_bootstraps
        require_reads(cells.source, cells.names, self.estimates, "its bootstraps")
        self.read = cells.bootstraps or (self.estimates,)

    def _gather(
        self, positions: np.ndarray, num_bootstraps: int | None = None
    ) -> tuple[Tensor, np.ndarray, Tensor]:
        owner, number = self._chosen(positions, num_bootstraps)
        return (
            torch.from_numpy(self._gathered(positions[owner], number)).to(self.device),
            np.bincount(owner, minlength=len(positions)),
            self.observed(positions),
        )

    def _mean(self, positions: np.ndarray) -> Tensor:
        return self._dense(self.estimates[positions])

    def _number_and_mean(self, positions: np.ndarray) -> Tensor:
        mean = self._mean(positions)
        return BootstrapMean(self._number(positions, mean), mean).stacked()

    def _summary(self, positions: np.ndarray) -> Tensor:
        positives, mean, squares = (self._dense(matrix[positions]) for matrix in self._of_positives)
        zeros = self._number(positions, mean) - positives
        return BootstrapSummary(zeros, positives, mean, squares).stacked()

    @cached_property
    def _of_positives(self) -> list[csr_matrix]:
        return self.cells.statistics(["positives", "mean", "sum_of_squares"])

    def _number(self, positions: np.ndarray, like: Tensor) -> Tensor:
        """Give the number of bootstraps of cells, shape (cells, 1)."""
        return torch.from_numpy(self.cells.num_bootstraps[positions]).to(like).unsqueeze(-1)

    def _chosen(
        self, positions: np.ndarray, num_bootstraps: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose what is read: for each bootstrap the cell of the minibatch and its number."""
        sizes = np.minimum(self.cells.num_bootstraps[positions], len(self.read))
        owner = np.repeat(np.arange(len(positions)), sizes)
        number = np.arange(len(owner)) - (sizes.cumsum() - sizes)[owner]
        if num_bootstraps is None:
            return owner, number
        # Sorted by cell and, within a cell, at random; the first of each cell are taken.
        with shares.drawing(elements=len(owner)):
            draws = torch.rand(len(owner)).numpy()
        order = np.lexsort((draws, owner))
        return owner[number < num_bootstraps], number[order][number < num_bootstraps]

    def _gathered(self, positions: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Gather bootstraps of these numbers of the cells at these positions."""
        gathered = np.empty((len(positions), self.cells.num_isoforms), np.float32)
        for number in np.unique(numbers):
            chosen = np.flatnonzero(numbers == number)
            gathered[chosen] = self.read[number][positions[chosen]].toarray()
        return gathered


class CountTensors(BatchSource):
    """Cells from which minibatches for models of whole counts are gathered on a device.

    The guide reads one vector for each cell, the rounded counts, and the model observes the same.

    Parameters
    ----------
    cells
        The cells; counts that are not whole are rounded, here and nowhere else.
    device
        Device of the minibatches.

    Attributes
    ----------
    estimates
        The rounded counts (reads), shape (cells, isoforms).

    Raises
    ------
    DataError
        If a cell has no reads left once they are rounded.
    """

    def __init__(self, cells: Cells, device: torch.device | str = "cpu") -> None:
        super().__init__(cells, device)
        self.estimates = rounded(cells.counts)
        require_reads(cells.source, cells.names, self.estimates, "X after rounding")

    def _gather(
        self, positions: np.ndarray, num_bootstraps: int | None = None
    ) -> tuple[Tensor, np.ndarray, Tensor]:
        # One vector for each cell, whatever the number of bootstraps.
        counts = self._dense(self.estimates[positions])
        return counts, np.ones(len(positions), np.int64), counts


def batch_source(cells: Cells, observes: str, device: torch.device | str = "cpu") -> BatchSource:
    """Prepare cells for a model.

    Parameters
    ----------
    cells
        The cells.
    observes
        The model's :attr:`~exvae.models.cells.CellModel.observes`.
    device
        Device of the minibatches.

    Raises
    ------
    DataError
        If a cell lacks the bootstraps or reads that the model needs.
    """
    if observes == "counts":
        return CountTensors(cells, device)
    if observes == "reads":
        require_memory(FOR_COMPILED_LOOPS)
        from .read_batches import ReadTensors  # loads numba

        return ReadTensors(cells, device)
    return CellTensors(cells, device, observes)


def rounded(counts: csr_matrix) -> csr_matrix:
    """Whole counts, without stored zeros."""
    whole = counts.copy()
    np.round(whole.data, out=whole.data)
    whole.eliminate_zeros()
    return whole
