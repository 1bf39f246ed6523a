"""Cells whose isoforms were quantified with bootstraps, and the batches that models are trained on.

On disk an ``.h5ad``: ``X`` the estimated counts (reads), ``layers["infRep1"] ...`` the bootstraps,
``obs["n_bootstraps"]`` how many a cell has, and their sufficient statistics in
``layers["bootstrap_mean"]`` (of those that are not zero), ``["bootstrap_zeros"]`` and
``["bootstrap_ss"]`` (centred sum of squares of those that are not zero). Statistics that are not in
the file are computed; a file with statistics and few bootstraps, or none, will do as well.

In memory everything stays sparse; only the cells of a minibatch become dense.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from .bootstraps import BootstrapSummary
from .corpora import offsets_of
from .errors import DataError
from .h5ad.stored_rows import StoredRows

if TYPE_CHECKING:
    import h5py

STATISTICS = ("bootstrap_mean", "bootstrap_zeros", "bootstrap_ss")

# Values of a block of cells that is made dense.
_BLOCK = 1 << 22
# Sums of a million, but for rounding, are those of transcripts per million and no counts.
_MILLION, _TOLERANCE = 1e6, 1e-4


class SparseSummary(NamedTuple):
    """Sufficient statistics of bootstraps, kept where at least one bootstrap is not zero.

    Attributes
    ----------
    indptr, indices
        Entries of cell n are ``indices[indptr[n]:indptr[n + 1]]``, the isoforms, as in a CSR
        matrix.
    positives, mean, sum_of_squares
        Of :class:`~exvae.data.bootstraps.BootstrapSummary`, shape (entries,), float32.
    """

    indptr: np.ndarray
    indices: np.ndarray
    positives: np.ndarray
    mean: np.ndarray
    sum_of_squares: np.ndarray

    def matrix(self, name: str, num_isoforms: int) -> csr_matrix:
        """One of the statistics, or ``sum`` of the bootstraps, shape (cells, isoforms)."""
        values = self.positives * self.mean if name == "sum" else getattr(self, name)
        shape = (len(self.indptr) - 1, num_isoforms)
        return csr_matrix((values, self.indices, self.indptr), shape=shape)


@dataclass(frozen=True, eq=False)
class Cells:
    """Isoform counts of cells, with their bootstraps.

    Attributes
    ----------
    names, isoforms
        Shape (cells,) and (isoforms,), strings, distinct.
    genes
        The gene of each isoform, shape (isoforms,), strings; None if the file does not tell, the
        isoform itself where it does not tell of this one.
    counts
        The quantifier's estimates (reads), shape (cells, isoforms), float32.
    bootstraps
        Those in the file (reads), each of shape (cells, isoforms), float32; rows of cells that have
        fewer are empty.
    summary
        Sufficient statistics of all bootstraps; None if there are no bootstraps.
    num_bootstraps
        How many bootstraps the statistics are of, shape (cells,), int64.
    obs
        What else the file tells of each cell, a row for each.
    batches
        Shape (cells,), int64: positions in ``batch_names``.
    batch_names
        Names of the batches; one without a name if there is no batch key.
    source
        Where the cells come from, for messages.
    """

    names: np.ndarray
    isoforms: np.ndarray
    genes: np.ndarray | None
    counts: csr_matrix
    bootstraps: tuple[csr_matrix, ...]
    summary: SparseSummary | None
    num_bootstraps: np.ndarray
    obs: pd.DataFrame
    batches: np.ndarray
    batch_names: tuple[str, ...] = ("",)
    source: str = "the cells"

    @property
    def num_cells(self) -> int:
        """Number of cells."""
        return len(self.names)

    @property
    def num_isoforms(self) -> int:
        """Number of isoforms, whether they are expressed or not."""
        return len(self.isoforms)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of names, counts and sufficient statistics."""
        digest = hashlib.sha256("\n".join([*self.names, "", *self.isoforms]).encode())
        arrays = [self.counts.indptr, self.counts.indices, self.counts.data]
        for array in [*arrays, *(self.summary or ()), self.num_bootstraps]:
            kind = "<f4" if array.dtype.kind == "f" else "<i8"
            for start in range(0, len(array), _BLOCK):
                digest.update(array[start : start + _BLOCK].astype(kind).tobytes())
        return digest.hexdigest()

    @cached_property
    def mean_bootstraps(self) -> csr_matrix:
        """Mean of all bootstraps (reads), zeros too, shape (cells, isoforms), float32.

        Raises
        ------
        DataError
            If a cell has no bootstraps.
        """
        self.require_bootstraps()
        mean = self.summary.matrix("sum", self.num_isoforms)
        rows = np.repeat(np.arange(self.num_cells), np.diff(mean.indptr))
        mean.data /= self.num_bootstraps[rows]
        return mean.astype(np.float32, copy=False)

    @property
    def keeps_bootstraps(self) -> bool:
        """Whether two bootstraps of a cell are there beside their statistics."""
        return len(self.bootstraps) > 1 and bool((self.num_bootstraps > 1).any())

    def column(self, name: str, option: str) -> pd.Series:
        """Give a column of ``obs`` that an option names; DataError if there is no such column."""
        if name not in self.obs:
            columns = ", ".join(self.obs.columns) or "none"
            raise DataError(
                f"{self.source}: obs has no column {name!r}; {option} must be one of {columns}"
            )
        return self.obs[name]

    def require_bootstraps(self) -> None:
        """Raise a DataError unless every cell has bootstraps."""
        if self.summary is None:
            raise DataError(
                f"{self.source}: holds no bootstraps (layers infRep1, infRep2, ... or "
                f"{', '.join(STATISTICS)}); quantify with bootstraps (kallisto quant -b 30), or "
                "use the model that needs none (--model scvi)"
            )
        without = np.flatnonzero(self.num_bootstraps == 0)
        if without.size:
            raise DataError(
                f"{self.source}: cell {self.names[without[0]]} has no bootstraps "
                f"({without.size} such cells); quantify them with bootstraps or leave them out"
            )

    def recoded(self, isoforms: Sequence[str], batch_names: Sequence[str]) -> Cells:
        """Give these cells the batch codes of a fit.

        Raises
        ------
        DataError
            If the isoforms are not those of the fit in its order, or a batch is not in it.
        """
        if list(isoforms) != self.isoforms.tolist():
            raise DataError(f"{self.source}: {_difference(isoforms, self.isoforms.tolist())}")
        codes = {name: code for code, name in enumerate(batch_names)}
        unknown = [name for name in self.batch_names if name not in codes]
        if unknown:
            raise DataError(
                f"{self.source}: batch {unknown[0]!r} is not in the fit, which knows "
                f"{', '.join(map(repr, batch_names))}; leave its cells out or fit again"
            )
        batches = np.array([codes[name] for name in self.batch_names])[self.batches]
        return replace(self, batches=batches, batch_names=tuple(batch_names))


def _difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """Tell how isoforms differ from those of a fit."""
    advice = "use the cells of the fit, or select and order their isoforms as in isoforms.txt"
    if len(expected) != len(found):
        return f"has {len(found)} isoforms, but the fit has {len(expected)}; {advice}"
    pairs = enumerate(zip(expected, found, strict=True), start=1)
    number, (there, here) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    return f"isoform {number} is {here}, but {there} in the fit; {advice}"


# Reading


def read_cells(path: str | Path, batch_key: str | None = None) -> Cells:
    """Read cells from an ``.h5ad``.

    Parameters
    ----------
    path
        The file.
    batch_key
        Column of ``obs`` that tells the batch of a cell; None puts all cells in one.

    Raises
    ------
    DataError
        If the file is missing or damaged, or does not hold counts of distinct cells and isoforms,
        or has no such column.
    """
    with open_cells(path) as file:
        return file.read(batch_key)


@contextmanager
def open_cells(path: str | Path) -> Iterator[CellFile]:
    """Open an ``.h5ad`` of cells to read its parts; DataError if there is no such file."""
    import h5py  # with anndata slow to import, and not needed for documents

    path = Path(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not path.exists() else "not a readable .h5ad file"
        raise DataError(f"{path}: {reason}; give the cells as .h5ad") from error
    with file:
        yield CellFile(path, file)


class CellFile:
    """Reads the parts of one file.

    Parameters
    ----------
    path
        For messages.
    file
        The open file.

    Attributes
    ----------
    obs, var
        What the file tells of cells and isoforms, a row for each.
    names, isoforms
        Their names, strings.
    layers
        Names of all layers.
    bootstraps
        Those of bootstraps, in their order.
    has_statistics
        Whether the sufficient statistics are among the layers.

    Raises
    ------
    DataError
        If the file has no ``obs`` or ``var`` that can be read, or not of distinct cells and
        isoforms.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.file = file
        self._matrices: dict[str, StoredRows] = {}
        self.obs = self.element("obs")
        self.var = self.element("var")
        self.names = self.obs.index.to_numpy().astype(np.str_)
        self.isoforms = self.var.index.to_numpy().astype(np.str_)
        self.layers = tuple(file["layers"]) if "layers" in file else ()
        numbers = (re.fullmatch(r"infRep(\d+)", name) for name in self.layers)
        matches = sorted(filter(None, numbers), key=lambda match: int(match[1]))
        self.bootstraps = tuple(match[0] for match in matches)
        self.has_statistics = all(name in self.layers for name in STATISTICS)
        self._require_distinct()

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and isoforms."""
        return len(self.names), len(self.isoforms)

    def read(self, batch_key: str | None = None, rows: slice | None = None) -> Cells:
        """Read and check some cells, a slice with start and stop; by default all.

        Raises
        ------
        DataError
            As for :func:`read_cells`.
        """
        rows = slice(0, len(self.names)) if rows is None else rows
        batches, batch_names = self._batches(batch_key)
        counts = self._counts("X", "X", rows)
        _require_reads(self.path, self.names[rows], counts, "X")
        bootstraps = self._bootstraps(rows)
        summary = None
        if self.has_statistics:
            summary = self._summary(rows)
        elif bootstraps:
            summary = summarise(bootstraps)
        return Cells(
            names=self.names[rows],
            isoforms=self.isoforms,
            genes=self._genes(),
            counts=counts,
            bootstraps=bootstraps,
            summary=summary,
            num_bootstraps=self.num_bootstraps[rows],
            obs=self.obs.iloc[rows],
            batches=batches[rows],
            batch_names=batch_names,
            source=str(self.path),
        )

    def _genes(self) -> np.ndarray | None:
        """Names of genes; an isoform of which none is told is a gene of its own."""
        if "gene" not in self.var:
            return None
        names = self.var["gene"].astype(str).to_numpy()
        return np.where(self.var["gene"].isna() | (names == ""), self.isoforms, names)

    def _require_distinct(self) -> None:
        """Require cells and isoforms, of which no two have the same name."""
        if 0 in self.shape:
            raise self.error(f"has {self.shape[0]} cells and {self.shape[1]} isoforms")
        for what, values in (("cell", self.names), ("isoform", self.isoforms)):
            distinct, counts = np.unique(values, return_counts=True)
            if counts.max() > 1:
                twice = distinct[counts.argmax()]
                raise self.error(f"{what} {twice} occurs {counts.max()} times; make names unique")

    def error(self, message: str) -> DataError:
        """Make an error that names the file."""
        return DataError(f"{self.path}: {message}")

    def element(self, name: str):
        """Read a part of the file as anndata does."""
        from anndata.io import read_elem

        if name not in self.file:
            raise self.error(f"has no {name}; give the cells as .h5ad")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about old files, which are read all the same
                return read_elem(self.file[name])
        except Exception as error:  # of many kinds, as anndata and h5py find their way in the file
            raise self.error(f"{name} cannot be read ({error}); write the file again") from error

    def _batches(self, key: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
        if key is None:
            return np.zeros(len(self.names), np.int64), ("",)
        if key not in self.obs:
            columns = ", ".join(self.obs.columns) or "none"
            raise self.error(f"obs has no column {key!r}; --batch-key must be one of {columns}")
        if self.obs[key].isna().any():
            raise self.error(f"obs[{key!r}] does not tell the batch of every cell; fill it in")
        names, codes = np.unique(self.obs[key].astype(str).to_numpy(np.str_), return_inverse=True)
        return codes.astype(np.int64), tuple(names.tolist())

    def read_rows(self, place: str, rows: slice) -> csr_matrix | np.ndarray:
        """Read some cells of a matrix, sparse if it is; DataError if it is none of this shape."""
        if place not in self.file:
            raise self.error(f"has no {place}; give the cells as .h5ad")
        try:
            if place not in self._matrices:
                self._matrices[place] = StoredRows(self.file[place])
            matrix = self._matrices[place]
            values = matrix[rows]
        except Exception as error:  # of many kinds, as anndata and h5py find their way in the file
            raise self.error(f"{place} cannot be read ({error}); write the file again") from error
        if matrix.shape != self.shape or values.dtype.kind not in "biuf":
            raise self.error(f"{place} is no matrix of numbers, cells by isoforms; put counts")
        return values

    def _counts(self, name: str, place: str, rows: slice) -> csr_matrix:
        """Read a matrix of counts, float32 without stored zeros, and check it."""
        counts = csr_matrix(self.read_rows(place, rows)).astype(np.float32, copy=False)
        counts.sum_duplicates()
        wrong = np.flatnonzero(~((counts.data >= 0) & np.isfinite(counts.data)))
        if wrong.size:
            row = np.searchsorted(counts.indptr, wrong[0], side="right") - 1
            raise self.error(
                f"{name} holds {counts.data[wrong[0]]} in cell {self.names[rows][row]}; it must "
                "hold estimated counts (reads), which are neither negative nor missing"
            )
        counts.eliminate_zeros()
        # One cell alone may have a million reads by chance.
        whole = counts.shape == self.shape
        if whole and np.allclose(counts.sum(1), _MILLION, rtol=_TOLERANCE):
            raise self.error(
                f"{name} sums to a million in every cell, so it holds transcripts per million "
                "and no counts; put estimated counts (reads) there"
            )
        return counts

    def _bootstraps(self, rows: slice) -> tuple[csr_matrix, ...]:
        """Read the bootstraps that the file holds; no cell may have more than it says."""
        num_bootstraps = self.num_bootstraps[rows]
        bootstraps = []
        for number, layer in enumerate(self.bootstraps):
            counts = self._counts(f"layers[{layer!r}]", f"layers/{layer}", rows)
            has_reads = np.diff(counts.indptr) > 0
            wrong = has_reads & (num_bootstraps <= number)
            if "n_bootstraps" not in self.obs:
                wrong = ~has_reads
            if wrong.any():
                cell = wrong.argmax()
                raise self.error(
                    f"cell {self.names[rows][cell]} has {'' if has_reads[cell] else 'no '}reads in "
                    f'{layer}; correct obs["n_bootstraps"], the number of bootstraps of each cell'
                )
            bootstraps.append(counts)
        return tuple(bootstraps)

    @cached_property
    def num_bootstraps(self) -> np.ndarray:
        """How many bootstraps each cell has, shape (cells,), int64; DataError if unclear."""
        num_layers = len(self.bootstraps)
        if not num_layers and not self.has_statistics:
            return np.zeros(len(self.names), np.int64)
        if "n_bootstraps" not in self.obs:
            if self.has_statistics:
                raise self.error(
                    f'has {STATISTICS[0]} but no obs["n_bootstraps"]; add the number of bootstraps '
                    "of each cell"
                )
            return np.full(len(self.names), num_layers)
        numbers = pd.to_numeric(self.obs["n_bootstraps"], errors="coerce").to_numpy(float)
        wrong = np.flatnonzero(~((numbers >= 0) & (numbers % 1 == 0)))
        if wrong.size:
            raise self.error(
                f'obs["n_bootstraps"] is {self.obs["n_bootstraps"].iloc[wrong[0]]} in cell '
                f"{self.names[wrong[0]]}; it must be the number of bootstraps"
            )
        if not self.has_statistics and numbers.max() > num_layers:
            raise self.error(
                f"cell {self.names[numbers.argmax()]} has {numbers.max():.0f} bootstraps, but "
                f"there are {num_layers} layers infRep and not all of {', '.join(STATISTICS)}; "
                "import the cells again"
            )
        return numbers.astype(np.int64)

    def _summary(self, cells: slice) -> SparseSummary:
        """Read the sufficient statistics, block by block of cells."""
        parts = []
        for block in blocks(cells.stop - cells.start, len(self.isoforms)):
            rows = slice(cells.start + block.start, cells.start + block.stop)
            read = (self.read_rows(f"layers/{name}", rows) for name in STATISTICS)
            mean, zeros, squares = map(dense_rows, read)
            positives = self.num_bootstraps[rows, None] - zeros
            wrong = (positives < 0) | (zeros < 0) | ~(mean >= 0) | ~(squares >= 0)
            wrong |= ((positives > 0) != (mean > 0)) | np.isinf(mean) | np.isinf(squares)
            if wrong.any():
                cell, isoform = np.argwhere(wrong)[0]
                raise self.error(
                    f"{', '.join(STATISTICS)} are {mean[cell, isoform]:g}, "
                    f"{zeros[cell, isoform]:g}, {squares[cell, isoform]:g} for "
                    f"{self.isoforms[isoform]} in cell {self.names[rows][cell]}, which has "
                    f"{self.num_bootstraps[rows][cell]} bootstraps; import the cells again"
                )
            cell, isoform = np.nonzero(positives)
            lengths = np.bincount(cell, minlength=len(positives))
            values = (array[cell, isoform] for array in (positives, mean, squares))
            parts.append(_part(lengths, isoform, *values))
        return _joined(parts)


def dense_rows(rows: csr_matrix | np.ndarray) -> np.ndarray:
    """Rows of a matrix as a dense float64 array, in which differences of counts are exact."""
    return (rows if isinstance(rows, np.ndarray) else rows.toarray()).astype(np.float64)


def blocks(num_cells: int, num_isoforms: int, size: int = _BLOCK) -> Iterator[slice]:
    """Slices of cells, so that cells times isoforms of each are at most ``size`` (or one cell)."""
    rows = max(1, size // num_isoforms)
    for start in range(0, num_cells, rows):
        yield slice(start, min(start + rows, num_cells))


def summarise(bootstraps: Sequence[csr_matrix]) -> SparseSummary:
    """Compute the sufficient statistics of bootstraps (reads), each of shape (cells, isoforms)."""
    num_cells, num_isoforms = bootstraps[0].shape
    parts = []
    for rows in blocks(num_cells, num_isoforms):
        size = (rows.stop - rows.start) * num_isoforms
        positives, mean, squares = np.zeros(size), np.zeros(size), np.zeros(size)
        keys_and_values = [_entries(counts[rows]) for counts in bootstraps]
        for key, values in keys_and_values:
            positives[key] += 1
            mean[key] += values
        mean /= np.maximum(positives, 1)
        for key, values in keys_and_values:
            squares[key] += (values - mean[key]) ** 2
        entries = np.flatnonzero(positives)
        lengths = np.bincount(entries // num_isoforms, minlength=rows.stop - rows.start)
        statistics = (array[entries] for array in (positives, mean, squares))
        parts.append(_part(lengths, entries % num_isoforms, *statistics))
    return _joined(parts)


def _entries(matrix: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the entries in the flat dense matrix, and their values in float64."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return row * matrix.shape[1] + matrix.indices, matrix.data.astype(np.float64)


def _part(lengths: np.ndarray, indices: np.ndarray, *statistics: np.ndarray) -> tuple:
    """Entries of each cell, isoforms and statistics of a block, in the least memory."""
    return lengths, indices.astype(np.int32), *(array.astype(np.float32) for array in statistics)


def _joined(parts: list[tuple[np.ndarray, ...]]) -> SparseSummary:
    """Join blocks of (entries of each cell, isoforms, statistics)."""
    lengths, indices, *statistics = (np.concatenate(part) for part in zip(*parts, strict=True))
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return SparseSummary(indptr, indices, *statistics)


def _require_reads(path: Path, names: np.ndarray, counts: csr_matrix, place: str) -> None:
    """Require that every cell has reads."""
    empty = np.flatnonzero(np.diff(counts.indptr) == 0)
    if empty.size:
        raise DataError(
            f"{path}: cell {names[empty[0]]} has no reads in {place} ({empty.size} such cells); "
            "leave them out"
        )


# Minibatches


class CellBatch(NamedTuple):
    """A minibatch of cells: the argument list of model and guide, all tensors on one device.

    Attributes
    ----------
    bootstraps
        What the guide reads (reads), the sets of the cells one after another, shape
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
        What is observed, entries of shape (cells, isoforms): a summary of the bootstraps, or the
        counts. None to generate.
    """

    bootstraps: Tensor
    offsets: Tensor
    batches: Tensor
    indices: Tensor
    num_cells: int
    obs: BootstrapSummary | Tensor | None


def _dense(rows: csr_matrix, device: torch.device) -> Tensor:
    """Dense copy of a few rows on a device."""
    return torch.from_numpy(rows.toarray()).to(device)


class CellTensors:
    """Cells from which minibatches for the model of bootstraps are gathered on a device.

    The guide reads the bootstraps that the file holds; where it holds none, their mean, as a set
    of one. The model observes the statistics of all bootstraps.

    Parameters
    ----------
    cells
        The cells, all with bootstraps; they are not copied.
    device
        Where minibatches go.

    Attributes
    ----------
    estimates
        Mean of the bootstraps (reads), shape (cells, isoforms).

    Raises
    ------
    DataError
        If a cell has no bootstraps.
    """

    def __init__(self, cells: Cells, device: torch.device | str = "cpu") -> None:
        cells.require_bootstraps()
        self.cells = cells
        self.device = torch.device(device)
        names = ("positives", "mean", "sum_of_squares")
        self.statistics = [cells.summary.matrix(name, cells.num_isoforms) for name in names]
        self.estimates = cells.mean_bootstraps
        _require_reads(Path(cells.source), cells.names, self.estimates, "its bootstraps")
        self.read = cells.bootstraps or (self.estimates,)

    def batch(
        self,
        positions: np.ndarray | Tensor,
        num_cells: int | None = None,
        num_bootstraps: int | None = None,
    ) -> CellBatch:
        """Gather the cells at these positions.

        Parameters
        ----------
        positions
            Of the cells, shape (cells,), in any order.
        num_cells
            Number of all cells to which the minibatch is scaled; that of these cells by default.
        num_bootstraps
            How many of each cell's bootstraps the guide reads, drawn anew from torch's generator
            (all where a cell has fewer); None takes all.
        """
        positions = np.asarray(positions)
        owner, number = self._chosen(positions, num_bootstraps)
        sizes = np.bincount(owner, minlength=len(positions))
        positives, mean, squares = (
            _dense(matrix[positions], self.device) for matrix in self.statistics
        )
        num_read = torch.from_numpy(self.cells.num_bootstraps[positions]).to(positives)
        return CellBatch(
            torch.from_numpy(self._gathered(positions[owner], number)).to(self.device),
            torch.from_numpy(offsets_of(sizes)).to(self.device),
            torch.from_numpy(self.cells.batches[positions]).to(self.device),
            torch.from_numpy(positions).to(self.device),
            self.cells.num_cells if num_cells is None else num_cells,
            BootstrapSummary(num_read.unsqueeze(-1) - positives, positives, mean, squares),
        )

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
        order = np.lexsort((torch.rand(len(owner)).numpy(), owner))
        return owner[number < num_bootstraps], number[order][number < num_bootstraps]

    def _gathered(self, positions: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """Gather bootstraps of these numbers of the cells at these positions."""
        gathered = np.empty((len(positions), self.cells.num_isoforms), np.float32)
        for number in np.unique(numbers):
            chosen = np.flatnonzero(numbers == number)
            gathered[chosen] = self.read[number][positions[chosen]].toarray()
        return gathered


class CountTensors:
    """Cells from which minibatches for a model of whole counts are gathered on a device.

    The guide reads one vector for each cell, the rounded counts, and the model observes the same.

    Parameters
    ----------
    cells
        The cells; counts that are not whole are rounded, here and nowhere else.
    device
        Where minibatches go.

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
        self.cells = cells
        self.device = torch.device(device)
        self.estimates = rounded(cells.counts)
        _require_reads(Path(cells.source), cells.names, self.estimates, "X after rounding")

    def batch(
        self,
        positions: np.ndarray | Tensor,
        num_cells: int | None = None,
        num_bootstraps: int | None = None,
    ) -> CellBatch:
        """Gather the cells at these positions; arguments as for :class:`CellTensors`.

        ``num_bootstraps`` is without effect, as there is one vector for each cell.
        """
        positions = np.asarray(positions)
        counts = _dense(self.estimates[positions], self.device)
        return CellBatch(
            counts,
            torch.arange(len(positions) + 1, device=self.device),
            torch.from_numpy(self.cells.batches[positions]).to(self.device),
            torch.from_numpy(positions).to(self.device),
            self.cells.num_cells if num_cells is None else num_cells,
            counts,
        )


def rounded(counts: csr_matrix) -> csr_matrix:
    """Whole counts, without stored zeros."""
    whole = counts.copy()
    np.round(whole.data, out=whole.data)
    whole.eliminate_zeros()
    return whole


# Where a fit starts


class ExpressionScales(NamedTuple):
    """Library sizes and expression of cells as their counts have them.

    Attributes
    ----------
    log_library_mean, log_library_sd
        Of the log reads of a cell, in each batch, shape (batches,).
    fractions
        Share of each isoform in the reads of all cells, shape (isoforms,), positive, of sum one.
    """

    log_library_mean: Tensor
    log_library_sd: Tensor
    fractions: Tensor


def expression_scales(
    counts: csr_matrix, batches: np.ndarray, num_batches: int
) -> ExpressionScales:
    """Measure the scales of counts (reads), shape (cells, isoforms); every cell has reads.

    A batch of fewer than two cells gets what all cells together have.
    """
    log_library = np.log(np.asarray(counts.sum(1)).ravel())
    of_batches = [log_library[batches == batch] for batch in range(num_batches)]
    of_batches = [own if len(own) > 1 else log_library for own in of_batches]
    # Half a read more for every isoform: none is impossible because it was not seen.
    totals = np.asarray(counts.sum(0)).ravel() + 0.5
    return ExpressionScales(
        torch.tensor([own.mean() for own in of_batches], dtype=torch.float32),
        torch.tensor([max(own.std(), 0.05) for own in of_batches], dtype=torch.float32),
        torch.tensor(totals / totals.sum(), dtype=torch.float32),
    )


class InputScales(NamedTuple):
    """What an encoder measures the counts of a cell against.

    Attributes
    ----------
    reads
        Median reads of a cell, to which every cell is scaled, shape ().
    log1p_means
        Mean over cells of log1p of the counts so scaled, shape (isoforms,).
    """

    reads: Tensor
    log1p_means: Tensor


def input_scales(counts: csr_matrix) -> InputScales:
    """Measure the scales of counts (reads), shape (cells, isoforms); every cell has reads."""
    library = np.asarray(counts.sum(1), np.float64)
    reads = np.median(library)
    means = np.asarray(counts.multiply(reads / library).tocsr().log1p().mean(0)).ravel()
    return InputScales(
        torch.tensor(reads, dtype=torch.float32), torch.tensor(means, dtype=torch.float32)
    )


def noise_variances(cells: Cells, positions: np.ndarray, *, relative: bool) -> Tensor:
    """Mean variance of the bootstraps of each isoform that are not zero, shape (isoforms,).

    Parameters
    ----------
    cells
        The cells, all with bootstraps.
    positions
        Of the cells to measure, shape (cells,).
    relative
        Whether each variance (reads squared) is divided by one plus the mean bootstrap.
    """
    positives, mean, squares = (
        cells.summary.matrix(name, cells.num_isoforms)[positions]
        for name in ("positives", "mean", "sum_of_squares")
    )
    several = positives.data > 1
    variance = squares.data[several] / (positives.data[several] - 1)
    if relative:
        variance = variance / (1 + mean.data[several])
    isoform = positives.indices[several]
    count = np.bincount(isoform, minlength=cells.num_isoforms)
    total = np.bincount(isoform, variance, cells.num_isoforms)
    # One measurement of one unit more, so that there always is one.
    return torch.tensor((total + 1.0) / (count + 1.0), dtype=torch.float32)
