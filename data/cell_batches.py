"""Minibatches of cells: the arguments of a cell model and its guide."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from . import shares
from .bootstraps import BootstrapMean, BootstrapSummary
from .cell_matrices import CellMatrices
from .cell_tables import CellTable, RowReader
from .corpora import offsets_of
from .dense_rows import dense_rows

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
    matrices
        Names of the matrices of cells that are read, see :data:`~.cell_matrices.MATRICES`.
    estimated_from
        Names of those from which :meth:`estimates_of` makes estimates.
    """

    matrices: tuple[str, ...]
    estimated_from: tuple[str, ...] = ("counts",)

    def __init__(self, cells: CellTable, device: torch.device | str = "cpu") -> None:
        self.cells = cells
        self.reader = cells.reader(self.matrices)
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

    def arranged(self, positions: np.ndarray) -> np.ndarray:
        """Give the order in which to gather cells at positions; both have shape (cells,).

        Cells on disk are read in blocks; those in memory are left in their order.
        """
        return self.reader.arranged(positions)

    @abstractmethod
    def estimates_of(self, positions: np.ndarray, matrices: CellMatrices) -> csr_matrix:
        """Give one estimate of the counts (reads), shape (cells, isoforms).

        ``matrices`` are those of the cells at ``positions``, shape (cells,).
        """

    def estimates(self, positions: np.ndarray) -> csr_matrix:
        """Give one estimate of the counts (reads) of cells at positions, shape (cells,).

        Shape (cells, isoforms).
        """
        return self.estimates_of(positions, self.reader.take(positions))

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

    Raises
    ------
    DataError
        If a cell has no bootstraps.
    """

    estimated_from = ("summary",)

    def __init__(
        self,
        cells: CellTable,
        device: torch.device | str = "cpu",
        observes: str = "bootstrap_mean",
    ) -> None:
        cells.require_bootstraps()
        self.matrices = ("summary", "bootstraps") if cells.num_layers else ("summary",)
        super().__init__(cells, device)
        self.observed = {
            "estimates": self._mean,
            "bootstrap_mean": self._number_and_mean,
            "bootstrap_summary": self._summary,
        }[observes]
        cells.require_reads(cells.sizes("summary"), "its bootstraps")
        self.num_read = max(1, cells.num_layers)
        self._reader_of_few: RowReader | None = None

    def estimates_of(self, positions: np.ndarray, matrices: CellMatrices) -> csr_matrix:
        """Give the mean of the bootstraps (reads), shape (cells, isoforms)."""
        return self.cells.estimates_of(positions, matrices)

    def training_options(self, num_bootstraps: int | None) -> dict[str, Any]:
        """Options of :meth:`batch` for a training step, see :meth:`BatchSource.training_options`.

        Of cells on disk no more bootstraps are read than the guide reads.
        """
        if num_bootstraps is not None:
            self._reader_of_few = self.cells.reader_of_few(self.matrices, num_bootstraps)
        return super().training_options(num_bootstraps)

    def arranged(self, positions: np.ndarray) -> np.ndarray:
        """Give the order in which a training gathers cells, see :meth:`BatchSource.arranged`."""
        return (self._reader_of_few or self.reader).arranged(positions)

    def _gather(
        self, positions: np.ndarray, num_bootstraps: int | None = None
    ) -> tuple[Tensor, np.ndarray, Tensor]:
        if num_bootstraps is None or self._reader_of_few is None:
            matrices, rows = self.reader.locate(positions)
            owner, number = self._chosen(positions, num_bootstraps)
        else:
            matrices, rows = self._reader_of_few.locate(positions)
            owner = np.repeat(np.arange(len(positions)), num_bootstraps)
            number = np.tile(np.arange(num_bootstraps), len(positions))
        bootstraps = matrices.bootstraps
        matrices = CellMatrices(summary=matrices.summary.take(rows))
        estimates = self.estimates_of(positions, matrices)
        if not bootstraps:
            bootstraps, rows = (estimates,), np.arange(len(positions))
        return (
            torch.from_numpy(dense_rows(bootstraps, number, rows[owner])).to(self.device),
            np.bincount(owner, minlength=len(positions)),
            self.observed(positions, matrices, estimates),
        )

    def _mean(self, positions: np.ndarray, matrices: CellMatrices, estimates: csr_matrix) -> Tensor:
        return self._dense(estimates)

    def _number_and_mean(
        self, positions: np.ndarray, matrices: CellMatrices, estimates: csr_matrix
    ) -> Tensor:
        mean = self._dense(estimates)
        return BootstrapMean(self._number(positions, mean), mean).stacked()

    def _summary(
        self, positions: np.ndarray, matrices: CellMatrices, estimates: csr_matrix
    ) -> Tensor:
        positives, mean, squares = (
            self._dense(matrices.summary.matrix(name, self.cells.num_isoforms))
            for name in ("positives", "mean", "sum_of_squares")
        )
        zeros = self._number(positions, mean) - positives
        return BootstrapSummary(zeros, positives, mean, squares).stacked()

    def _number(self, positions: np.ndarray, like: Tensor) -> Tensor:
        """Give the number of bootstraps of cells, shape (cells, 1)."""
        return torch.from_numpy(self.cells.num_bootstraps[positions]).to(like).unsqueeze(-1)

    def _chosen(
        self, positions: np.ndarray, num_bootstraps: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose what is read: for each bootstrap the cell of the minibatch and its number."""
        sizes = np.minimum(self.cells.num_bootstraps[positions], self.num_read)
        owner = np.repeat(np.arange(len(positions)), sizes)
        number = np.arange(len(owner)) - (sizes.cumsum() - sizes)[owner]
        if num_bootstraps is None:
            return owner, number
        # Sorted by cell and, within a cell, at random; the first of each cell are taken.
        with shares.drawing(elements=len(owner)):
            draws = torch.rand(len(owner)).numpy()
        order = np.lexsort((draws, owner))
        return owner[number < num_bootstraps], number[order][number < num_bootstraps]


class CountTensors(BatchSource):
    """Cells from which minibatches for models of whole counts are gathered on a device.

    The guide reads one vector for each cell, the rounded counts, and the model observes the same.

    Parameters
    ----------
    cells
        The cells; counts that are not whole are rounded, here and nowhere else.
    device
        Device of the minibatches.

    Raises
    ------
    DataError
        If a cell has no reads left once they are rounded.
    """

    matrices = ("counts",)

    def __init__(self, cells: CellTable, device: torch.device | str = "cpu") -> None:
        super().__init__(cells, device)
        cells.require_reads(cells.sizes("rounded"), "X after rounding")

    def estimates_of(self, positions: np.ndarray, matrices: CellMatrices) -> csr_matrix:
        """Give the rounded counts (reads), shape (cells, isoforms)."""
        return rounded(matrices.counts)

    def _gather(
        self, positions: np.ndarray, num_bootstraps: int | None = None
    ) -> tuple[Tensor, np.ndarray, Tensor]:
        # One vector for each cell, whatever the number of bootstraps.
        counts = self._dense(self.estimates(positions))
        return counts, np.ones(len(positions), np.int64), counts


def batch_source(
    cells: CellTable, observes: str, device: torch.device | str = "cpu"
) -> BatchSource:
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
        from .read_batches import ReadTensors  # loads numba

        return ReadTensors(cells, device)
    return CellTensors(cells, device, observes)


def rounded(counts: csr_matrix) -> csr_matrix:
    """Whole counts, without stored zeros."""
    whole = counts.copy()
    np.round(whole.data, out=whole.data)
    whole.eliminate_zeros()
    return whole
