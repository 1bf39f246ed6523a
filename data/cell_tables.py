"""What is known of cells apart from their matrices, be these in memory or on disk."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from .cell_matrices import MATRICES, CellMatrices
from .errors import DataError
from .row_blocks import blocks

if TYPE_CHECKING:
    from .cells import Cells

STATISTICS = ("bootstrap_mean", "bootstrap_zeros", "bootstrap_ss")

Table = TypeVar("Table", bound="CellTable")


class RowReader(Protocol):
    """Gives matrices of cells by the positions of these."""

    def take(self, positions: np.ndarray) -> CellMatrices:
        """Give the matrices of the cells at positions, shape (cells,), in their order."""

    def locate(self, positions: np.ndarray) -> tuple[CellMatrices, np.ndarray]:
        """Give matrices that hold the cells at positions, and their rows, shape (cells,).

        Nothing is copied where that can be avoided.
        """

    def keep(self, positions: np.ndarray) -> None:
        """Keep cells at positions, shape (cells,), in memory, as they are asked for often."""

    def arranged(self, positions: np.ndarray) -> np.ndarray:
        """Arrange cells, shape (cells,), that will be taken one after another.

        Returns
        -------
        numpy.ndarray
            Order in which to take them, shape (cells,).
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class CellTable:
    """Names and properties of cells, and access to their matrices.

    Attributes
    ----------
    names, isoforms
        Distinct names, shapes (cells,) and (isoforms,), strings.
    genes
        Gene of each isoform, shape (isoforms,), strings; an isoform of unknown gene is its own.
        None if the file names no genes.
    num_bootstraps
        Number of bootstraps in the statistics, shape (cells,), int64.
    obs
        Further columns about the cells, a row for each.
    batches
        Batch of each cell, a position in ``batch_names``, shape (cells,), int64.
    batch_names
        Names of the batches; one empty name if there is no batch key.
    batch_key, gene_key
        Columns that were asked for the batches (of ``obs``) and the genes (of ``var``); None where
        none was named.
    effective_lengths
        Effective lengths of the isoforms (bases), shape (isoforms,); None if they are not known.
    source
        Origin of the cells, for messages.
    lost_var
        Whether an import by exvae made the cells, but its columns of ``var`` are gone.
    """

    names: np.ndarray
    isoforms: np.ndarray
    genes: np.ndarray | None
    num_bootstraps: np.ndarray
    obs: pd.DataFrame
    batches: np.ndarray
    batch_names: tuple[str, ...] = ("",)
    batch_key: str | None = None
    gene_key: str | None = None
    effective_lengths: np.ndarray | None = None
    source: str = "the cells"
    lost_var: bool = False

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return len(self.names)

    @property
    def num_isoforms(self) -> int:
        """Number of isoforms, expressed or not."""
        return len(self.isoforms)

    @property
    def facts(self) -> dict[str, Any]:
        """Give the attributes of a table, without those of its subclasses, by name."""
        return {name: getattr(self, name) for name in CellTable.__dataclass_fields__}

    @property
    @abstractmethod
    def num_layers(self) -> int:
        """Number of bootstraps that are kept, beside their statistics."""

    @property
    @abstractmethod
    def has_summary(self) -> bool:
        """Whether there are statistics of bootstraps."""

    @property
    @abstractmethod
    def has_reads(self) -> bool:
        """Whether there are reads by class."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of names, counts and sufficient statistics."""

    @abstractmethod
    def sizes(self, name: str) -> np.ndarray:
        """Count isoforms with reads in each cell, see :meth:`~.cell_matrices.CellMatrices.sizes`.

        Shape (cells,), int64.
        """

    @abstractmethod
    def reader(self, names: Sequence[str]) -> RowReader:
        """Give access to matrices of these names, of :data:`~.cell_matrices.MATRICES`, by cell."""

    def reader_of_few(self, names: Sequence[str], num_bootstraps: int) -> RowReader | None:
        """Give access to matrices of these names with so many bootstraps of each cell.

        They are chosen at random for the cells that are read together. None where this saves
        nothing, or cells differ in the number of their bootstraps.
        """
        return None

    @abstractmethod
    def read(self, names: Sequence[str]) -> CellMatrices:
        """Give matrices of these names of all cells."""

    @abstractmethod
    def in_memory(self, columns: np.ndarray | None = None) -> Cells:
        """Hold all cells in memory, or isoforms at these positions, shape (chosen,), of them."""

    @abstractmethod
    def of_isoforms(self: Table, columns: np.ndarray) -> Table:
        """Select isoforms at these positions, shape (chosen,), in order."""

    def blocks(
        self,
        names: Sequence[str] = MATRICES,
        positions: np.ndarray | None = None,
        size: int | None = None,
    ) -> Iterator[tuple[np.ndarray, CellMatrices]]:
        """Yield the matrices of cells, some cells at a time, in the order of the cells.

        Parameters
        ----------
        names
            Names of the matrices.
        positions
            Positions of the cells, shape (cells,), sorted here; None takes all.
        size
            Entries (cells x isoforms) of a block.

        Yields
        ------
        tuple
            Positions of the cells of a block, shape (cells,), and their matrices.
        """
        positions = np.arange(self.num_cells) if positions is None else np.sort(positions)
        reader = self.reader(names)
        options = () if size is None else (size,)
        for rows in blocks(len(positions), self.num_isoforms, *options):
            yield positions[rows], reader.take(positions[rows])

    @property
    def keeps_bootstraps(self) -> bool:
        """Whether the file keeps several bootstraps, and not only their statistics."""
        return self.num_layers > 1 and bool((self.num_bootstraps > 1).any())

    def estimates_of(self, positions: np.ndarray, matrices: CellMatrices) -> csr_matrix:
        """Mean of all bootstraps (reads), zeros included, shape (cells, isoforms), float32.

        ``matrices`` hold the statistics of the cells at ``positions``, shape (cells,).
        """
        number = self.num_bootstraps[positions]
        return matrices.summary.mean_bootstraps(number, self.num_isoforms)

    def column(self, name: str, argument: str) -> pd.Series:
        """Give a column of ``obs``, shape (cells,).

        Raises
        ------
        DataError
            If there is no such column; the message names the ``argument`` to change.
        """
        if name not in self.obs:
            columns = ", ".join(self.obs.columns) or "none"
            raise DataError(
                f"{self.source}: obs has no column {name!r}; {argument} must be one of {columns}"
            )
        return self.obs[name]

    def require_bootstraps(self) -> None:
        """Raise a DataError unless every cell has bootstraps."""
        if not self.has_summary:
            raise DataError(
                f"{self.source}: holds no bootstraps (layers infRep1, infRep2, ... or "
                f"{', '.join(STATISTICS)}); quantify with bootstraps (kallisto quant -b 30), or "
                "choose scvi, the model that needs none"
            )
        without = np.flatnonzero(self.num_bootstraps == 0)
        if without.size:
            raise DataError(
                f"{self.source}: cell {self.names[without[0]]} has no bootstraps "
                f"({without.size} such cells); quantify them with bootstraps or leave them out"
            )

    def require_class_counts(self, otherwise: str = "choose another model") -> None:
        """Raise a DataError unless every cell has reads by class; ``otherwise`` is a remedy."""
        if not self.has_reads:
            raise DataError(
                f'{self.source}: holds no reads by class (obsm["reads"] and uns["reads"]); import '
                f"them (exvae isoforms import --reads), or {otherwise}"
            )
        self.require_reads(self.sizes("reads"), "its classes")

    def require_shared_batches(self) -> None:
        """Raise a DataError if most batches are of one cell, as of a column of measurements."""
        number = len(self.batch_names)
        if number > 1 and 2 * number > self.num_cells:
            raise DataError(
                f"{self.source}: its {self.num_cells} cells are in {number} batches, the first "
                f"{self.batch_names[0]!r}; choose a batch_key whose values many cells share"
            )

    def require_reads(self, sizes: np.ndarray, place: str) -> None:
        """Raise a DataError unless every cell has reads.

        Parameters
        ----------
        sizes
            Number of isoforms, or classes, with reads, shape (cells,).
        place
            Place of the counts in the file, for the message.
        """
        empty = np.flatnonzero(sizes == 0)
        if empty.size:
            raise DataError(
                f"{self.source}: cell {self.names[empty[0]]} has no reads in {place} "
                f"({empty.size} such cells); leave them out"
            )

    def selected(self: Table, isoforms: Sequence[str]) -> Table:
        """Select isoforms by name, in their order.

        Raises
        ------
        DataError
            If the cells lack one of them.
        """
        if list(isoforms) == self.isoforms.tolist():
            return self
        places = {name: place for place, name in enumerate(self.isoforms.tolist())}
        missing = [name for name in isoforms if name not in places]
        if missing:
            own = {name.partition(".")[0]: name for name in places}
            alike = own.get(missing[0].partition(".")[0])
            remedy = (
                "quantify its cells with the same transcripts"
                if alike is None
                else f"{alike} differs in its version alone: give its isoforms the names of the fit"
            )
            raise DataError(
                f"{self.source}: lacks {len(missing)} of the {len(isoforms)} isoforms of the fit, "
                f"among them {missing[0]}; {remedy}"
            )
        return self.of_isoforms(np.array([places[name] for name in isoforms]))

    def _of_isoforms(self, columns: np.ndarray) -> dict[str, np.ndarray]:
        """Give the attributes of isoforms at these positions, shape (chosen,)."""
        return {
            name: values[columns]
            for name in ("isoforms", "genes", "effective_lengths")
            if (values := getattr(self, name)) is not None
        }

    def recoded(self: Table, batch_names: Sequence[str], *, average: bool = False) -> Table:
        """Give these cells the batch codes of a fit.

        Parameters
        ----------
        batch_names
            Batches of the fit, in its order.
        average
            Whether cells of other batches get the code -1; otherwise they are an error.

        Raises
        ------
        DataError
            If the cells have an unknown batch.
        """
        codes = {name: code for code, name in enumerate(batch_names)}
        unknown = [name for name in self.batch_names if name not in codes]
        if unknown and not average:
            raise DataError(
                f"{self.source}: batch {unknown[0]!r} is not in the fit, which knows "
                f"{', '.join(map(repr, batch_names))}; leave its cells out, fit again, or take the "
                "average of the known batches (new_batches='average')"
            )
        batches = np.array([codes.get(name, -1) for name in self.batch_names])[self.batches]
        return replace(self, batches=batches, batch_names=tuple(batch_names))
