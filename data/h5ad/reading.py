"""Cells read from an ``.h5ad``, as a whole or some rows at a time.

``X`` holds the estimated counts (reads), ``layers["infRep1"] ...`` the bootstraps,
``obs["n_bootstraps"]`` their number in each cell, and three layers their sufficient statistics:
``["bootstrap_mean"]`` (over bootstraps above zero), ``["bootstrap_zeros"]`` and
``["bootstrap_ss"]`` (centred sum of squares over bootstraps above zero). Statistics that are
not in the file are computed; a file with statistics and few bootstraps, or none, will do as well.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..cells import STATISTICS, Cells, SparseSummary, require_reads, summarise
from ..errors import DataError
from ..row_blocks import blocks
from .stored_rows import StoredRows

if TYPE_CHECKING:
    import h5py
    from anndata import AnnData

# What uns["exvae"]["inferential_replicates"] says of layers infRep that are no bootstraps.
DRAWS = "posterior draws"
# Transcripts per million sum to a million, but for rounding.
_MILLION, _TOLERANCE = 1e6, 1e-4


def read_cells(source: str | Path | AnnData, batch_key: str | None = None) -> Cells:
    """Read cells from an ``.h5ad``, or take them from memory.

    Parameters
    ----------
    source
        The file, or its content as an AnnData.
    batch_key
        Column of ``obs`` with the batch of each cell; None puts all cells in one.

    Raises
    ------
    DataError
        If the file is missing or damaged, or does not hold counts of distinct cells and isoforms,
        or has no such column.
    """
    with open_cells(source) as file:
        return file.read(batch_key)


@contextmanager
def open_cells(source: str | Path | AnnData) -> Iterator[CellFile]:
    """Open an ``.h5ad``, or an AnnData as if it were one; DataError if there is no such file."""
    import h5py  # with anndata slow to import, and not needed for documents

    if not isinstance(source, str | Path):
        from anndata.io import write_elem

        # A file in memory passes the same checks as one on disk.
        with h5py.File("adata", "w", driver="core", backing_store=False) as file:
            write_elem(file, "/", _storable(source))
            yield CellFile(Path("adata"), file)
        return
    path = Path(source)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = "no such file" if not path.exists() else "not a readable .h5ad file"
        raise DataError(f"{path}: {reason}; give the cells as .h5ad") from error
    with file:
        yield CellFile(path, file)


def _storable(adata: AnnData) -> AnnData:
    """Give cells whose columns of text can be stored where some values are missing."""
    from anndata import AnnData

    parts = {name: getattr(adata, name) for name in ("uns", "obsm", "varm", "obsp", "varp")}
    tables = {name: getattr(adata, name).copy() for name in ("obs", "var")}
    for table in tables.values():
        for name in table.select_dtypes(object).columns:
            known = table[name].notna()
            table[name] = pd.Categorical(table[name].where(~known, table[name].astype(str)))
    return AnnData(adata.X, layers=dict(adata.layers), **tables, **parts)


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
        Tables of cells and of isoforms, a row for each.
    names, isoforms
        Their names, strings.
    layers
        Names of all layers.
    bootstraps
        Names of the layers of bootstraps, in their order.
    has_statistics
        Whether the sufficient statistics are among the layers.

    Raises
    ------
    DataError
        If ``obs`` or ``var`` is missing or damaged, or has no distinct names.
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
            See :func:`read_cells`.
        """
        rows = slice(0, len(self.names)) if rows is None else rows
        batches, batch_names = self._batches(batch_key)
        counts = self._counts("X", "X", rows)
        require_reads(str(self.path), self.names[rows], counts, "X")
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
            effective_lengths=self._effective_lengths(),
            source=str(self.path),
            lost_var=self._lost_var(),
        )

    def _lost_var(self) -> bool:
        """Tell whether an import made the cells and its columns of ``var`` are gone."""
        imported = "uns" in self.file and "exvae_import" in self.file["uns"]
        # anndata.concat drops uns as well, but keeps obs.
        imported |= self.var.columns.empty and "n_bootstraps" in self.obs
        return "gene" not in self.var and imported

    def _genes(self) -> np.ndarray | None:
        """Genes of the isoforms, shape (isoforms,); an isoform without a gene is its own."""
        if "gene" not in self.var:
            return None
        names = self.var["gene"].astype(str).to_numpy()
        return np.where(self.var["gene"].isna() | (names == ""), self.isoforms, names)

    def _effective_lengths(self) -> np.ndarray | None:
        """Effective lengths of the isoforms (bases), shape (isoforms,), where all are known."""
        if "effective_length" not in self.var:
            return None
        lengths = pd.to_numeric(self.var["effective_length"], errors="coerce").to_numpy(float)
        return lengths if (lengths > 0).all() else None

    def _require_distinct(self) -> None:
        """Require cells and isoforms with distinct names."""
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
            raise self.error(f"obs has no column {key!r}; batch_key must be one of {columns}")
        if self.obs[key].isna().any():
            raise self.error(f"obs[{key!r}] lacks the batch of some cells; fill it in")
        names, codes = np.unique(self.obs[key].astype(str).to_numpy(np.str_), return_inverse=True)
        return codes.astype(np.int64), tuple(names.tolist())

    def read_rows(self, place: str, rows: slice) -> csr_matrix | np.ndarray:
        """Read some cells of a matrix, shape (rows, isoforms), sparse or dense as stored.

        Raises
        ------
        DataError
            If there is no such matrix of numbers, cells by isoforms.
        """
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
        """Read the bootstraps in the file; no cell may have more than ``n_bootstraps``."""
        if self.bootstraps and self._holds_draws():
            raise self.error(
                "its layers infRep are draws from the posterior of a fit, and no bootstraps of the "
                "quantifier; give the cells that were fitted"
            )
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

    def _holds_draws(self) -> bool:
        """Whether the layers of bootstraps hold what ``export --draws`` wrote."""
        place = "uns/exvae/inferential_replicates"
        return place in self.file and self.element(place) == DRAWS

    @cached_property
    def num_bootstraps(self) -> np.ndarray:
        """Number of bootstraps of each cell, shape (cells,), int64; DataError if unclear."""
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
            statistics = (array[cell, isoform] for array in (positives, mean, squares))
            parts.append(SparseSummary.of_entries(cell, isoform, len(positives), statistics))
        return SparseSummary.joined(parts)


def dense_rows(rows: csr_matrix | np.ndarray) -> np.ndarray:
    """Rows of a matrix, dense, float64 for exact differences of counts, shape (rows, columns)."""
    return (rows if isinstance(rows, np.ndarray) else rows.toarray()).astype(np.float64)
