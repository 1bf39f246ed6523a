"""Cells read from an ``.h5ad``, as a whole or some rows at a time.

``X`` holds the estimated counts (reads), ``layers["infRep1"] ...`` the bootstraps,
``obs["n_bootstraps"]`` their number in each cell, and three layers their sufficient statistics:
``["bootstrap_mean"]`` (over bootstraps above zero), ``["bootstrap_zeros"]`` and
``["bootstrap_ss"]`` (centred sum of squares over bootstraps above zero). Statistics that are
not in the file are computed; a file with statistics and few bootstraps, or none, will do as well.
Files of tximeta and fishpond have these layers (``var["gene_id"]``, or another column, names the
genes); the one array in which pytximport keeps the bootstraps is read as if it were layers.

Whoever reads cells opens them here, so that one place checks their structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ..cell_matrices import MATRICES, CellMatrices
from ..cells import STATISTICS, Cells, SparseSummary, summarise
from ..errors import DataError
from ..row_blocks import blocks
from .class_counts import StoredClasses, read_class_counts, read_classes
from .elements import as_text
from .gate import Gate
from .opening import GIVE_CELLS, open_h5ad
from .parts import CellParts
from .stored_statistics import sparse_statistics
from .zarr_stores import is_zarr, open_zarr

if TYPE_CHECKING:
    import h5py
    from anndata import AnnData

# What uns["exvae"]["inferential_replicates"] says of layers infRep that are no bootstraps.
DRAWS = "posterior draws"
# Entries (cells x isoforms) of statistics that are dense at once.
_BLOCK = 1 << 20


def read_cells(
    source: str | Path | AnnData, batch_key: str | None = None, gene_key: str | None = None
) -> Cells:
    """Read cells from an ``.h5ad`` or a zarr store, or take them from memory.

    Parameters
    ----------
    source
        The file or zarr store, or its content as an AnnData.
    batch_key
        Column of ``obs`` with the batch of each cell; None puts all cells in one.
    gene_key
        Column of ``var`` with the gene of each isoform; None takes ``gene`` or ``gene_id``.

    Raises
    ------
    DataError
        If the file is missing or damaged, or does not hold counts of distinct cells and isoforms,
        or has no such column.
    """
    with open_cells(source, gene_key=gene_key) as file:
        return file.read(batch_key)


@contextmanager
def open_cells(
    source: str | Path | AnnData, remedy: str = GIVE_CELLS, *, gene_key: str | None = None
) -> Iterator[CellFile]:
    """Open an ``.h5ad`` or a zarr store, or an AnnData as if it were one; check its structure.

    Parameters
    ----------
    source
        The file or zarr store, or its content as an AnnData.
    remedy
        Advice for a file that is missing or of another kind.
    gene_key
        As in :func:`read_cells`.

    Raises
    ------
    DataError
        If there is no such file, or it is damaged, or has no such column.
    """
    if not isinstance(source, str | Path) and source.isbacked:
        source = file_of(source)
    if isinstance(source, str | Path) and is_zarr(Path(source)):
        yield _cell_file(Path(source), open_zarr(Path(source)), gene_key)
        return
    if isinstance(source, str | Path):
        with open_h5ad(Path(source), remedy) as file:
            yield _cell_file(Path(source), file, gene_key)
        return
    import h5py  # with anndata slow to import, and not needed for documents
    from anndata.io import write_elem

    # A file in memory passes the same checks as one on disk.
    with h5py.File("adata", "w", driver="core", backing_store=False) as file:
        write_elem(file, "/", _storable(source))
        yield _cell_file(Path("adata"), file, gene_key)


def file_of(adata: AnnData) -> Path:
    """Give the file of a backed AnnData; DataError if it is but a part of it."""
    if adata.is_view:
        raise DataError(
            "adata is a part of a file; give all of it, or read the part into memory (to_memory())"
        )
    return Path(adata.filename)


def _cell_file(path: Path, file: h5py.File, gene_key: str | None) -> CellFile:
    """Find the parts of an open file; DataError whatever is wrong with it."""
    try:
        return CellFile(path, file, gene_key)
    except DataError:
        raise
    except Exception as error:  # of many kinds, as h5py finds its way in the file
        raise DataError(f"{path}: the file is damaged ({error}); write it again") from error


def _storable(adata: AnnData) -> AnnData:
    """Give cells whose columns of text can be stored where some values are missing."""
    from anndata import AnnData

    from .elements import storable_table

    parts = {name: getattr(adata, name) for name in ("uns", "obsm", "varm", "obsp", "varp")}
    tables = {name: storable_table(getattr(adata, name)) for name in ("obs", "var")}
    return AnnData(adata.X, layers=dict(adata.layers), **tables, **parts)


class CellFile(CellParts):
    """Reads cells from one file.

    See :class:`~.parts.CellParts` for its parameters and attributes.
    """

    # Whether a warning told that the bootstraps do not scatter around the counts.
    told_off_centre = False

    def read(self, batch_key: str | None = None, rows: slice | None = None) -> Cells:
        """Read and check some cells, a slice with start and stop; by default all.

        Raises
        ------
        DataError
            See :func:`read_cells`.
        """
        rows = slice(0, len(self.names)) if rows is None else rows
        facts = self.facts(batch_key, rows)
        matrices = self.matrices(rows)
        gate = Gate(self)
        gate.add(rows, matrices)
        gate.finish()
        return Cells(**facts, **{name: getattr(matrices, name) for name in MATRICES})

    def facts(self, batch_key: str | None = None, rows: slice | None = None) -> dict[str, Any]:
        """Give the attributes of a :class:`~exvae.data.cell_tables.CellTable` of some cells."""
        rows = slice(0, len(self.names)) if rows is None else rows
        batches, batch_names = self._batches(batch_key)
        return {
            "names": self.names[rows],
            "isoforms": self.isoforms,
            "genes": self.genes(),
            "num_bootstraps": self.num_bootstraps[rows],
            "obs": self.obs.iloc[rows],
            "batches": batches[rows],
            "batch_names": batch_names,
            "batch_key": batch_key,
            "gene_key": self.gene_key,
            "effective_lengths": self._effective_lengths,
            "source": str(self.path),
            "lost_var": self._lost_var(),
        }

    def matrices(
        self,
        rows: slice,
        names: Sequence[str] = MATRICES,
        layers: Sequence[int] | None = None,
    ) -> CellMatrices:
        """Read matrices of some cells, and check each by itself.

        Of the bootstraps ``layers`` are read, which are positions among all; None reads all.

        Raises
        ------
        DataError
            If a matrix holds anything but counts or statistics of bootstraps.
        """
        counts, bootstraps, summary, reads = None, (), None, None
        if "counts" in names:
            counts = self._counts("X", "X", rows)
        if "bootstraps" in names or ("summary" in names and not self.has_statistics):
            bootstraps = self._bootstraps(rows, layers)
        if "summary" in names:
            if self.has_statistics:
                summary = self._summary(rows)
            elif bootstraps:
                summary = summarise(bootstraps)
        if "reads" in names and self.has_reads:
            reads = read_class_counts(self, self._classes, rows)
        return CellMatrices(counts, bootstraps if "bootstraps" in names else (), summary, reads)

    @property
    def has_summary(self) -> bool:
        """Whether the file holds statistics of bootstraps, or bootstraps."""
        return self.has_statistics or bool(self.bootstraps)

    @property
    def has_reads(self) -> bool:
        """Whether the file holds reads by class."""
        return self._classes is not None

    @cached_property
    def _classes(self) -> StoredClasses | None:
        """Classes of the reads, read once however many parts the cells are read in."""
        return read_classes(self)

    def _lost_var(self) -> bool:
        """Tell whether an import made the cells and its columns of ``var`` are gone."""
        imported = "exvae_import" in self.group("uns")
        # anndata.concat drops uns as well, but keeps obs.
        imported |= self.var.columns.empty and "n_bootstraps" in self.obs
        return "gene" not in self.var and imported

    @cached_property
    def _effective_lengths(self) -> np.ndarray | None:
        """Effective lengths of the isoforms (bases), shape (isoforms,), where all are known."""
        if "effective_length" in self.var:
            lengths = pd.to_numeric(self.var["effective_length"], errors="coerce").to_numpy(float)
            return lengths if (lengths > 0).all() else None
        for group in ("layers", "obsm"):
            # tximeta, fishpond and pytximport tell them of each cell, beside the abundances.
            if not (self.has(f"{group}/length") and self.has(f"{group}/abundance")):
                continue
            if getattr(self.file[f"{group}/length"], "shape", self.shape) == self.shape:
                rows = self.read_rows(f"{group}/length", slice(0, self.shape[0]))
                lengths = dense_rows(rows).mean(0)
                return lengths if (lengths > 0).all() else None
        return None

    def _batches(self, key: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
        if key is None:
            return np.zeros(len(self.names), np.int64), ("",)
        if key not in self.obs:
            columns = ", ".join(self.obs.columns) or "none"
            raise self.error(f"obs has no column {key!r}; batch_key must be one of {columns}")
        if self.obs[key].isna().any():
            raise self.error(f"obs[{key!r}] lacks the batch of some cells; fill it in")
        names, codes = np.unique(as_text(self.obs[key]).to_numpy(np.str_), return_inverse=True)
        return codes.astype(np.int64), tuple(names.tolist())

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
        return counts

    def _bootstraps(
        self, rows: slice, layers: Sequence[int] | None = None
    ) -> tuple[csr_matrix, ...]:
        """Read bootstraps of the file; no cell may have more than ``n_bootstraps``."""
        if self.bootstraps and self._holds_draws:
            raise self.error(
                "its layers infRep are draws from the posterior of a fit, and no bootstraps of the "
                "quantifier; give the cells that were fitted"
            )
        num_bootstraps = self.num_bootstraps[rows]
        bootstraps = []
        for number in range(len(self.bootstraps)) if layers is None else layers:
            layer = self.bootstraps[number]
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
    def _holds_draws(self) -> bool:
        """Whether the layers of bootstraps hold what ``export --draws`` wrote."""
        place = "uns/exvae/inferential_replicates"
        return self.has(place) and self.element(place) == DRAWS

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
        for block in blocks(cells.stop - cells.start, len(self.isoforms), _BLOCK):
            rows = slice(cells.start + block.start, cells.start + block.stop)
            mean, zeros, squares = (self.read_rows(f"layers/{name}", rows) for name in STATISTICS)
            parts.append(
                sparse_statistics(mean, zeros, squares, self.num_bootstraps[rows])
                or self._dense_statistics(mean, zeros, squares, rows)
            )
        return SparseSummary.joined(parts)

    def _dense_statistics(self, *read: csr_matrix | np.ndarray | slice) -> SparseSummary:
        """Check every entry of mean, zeros and squares, (cells, isoforms), of some cells."""
        *read, rows = read
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
        return SparseSummary.of_entries(cell, isoform, len(positives), statistics)


def dense_rows(rows: csr_matrix | np.ndarray) -> np.ndarray:
    """Rows of a matrix, dense, float64 for exact differences of counts, shape (rows, columns)."""
    return (rows if isinstance(rows, np.ndarray) else rows.toarray()).astype(np.float64)
