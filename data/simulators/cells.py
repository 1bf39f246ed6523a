"""A simulator of cells whose isoforms were quantified with bootstraps, as by kallisto.

Molecules of genes are divided among isoforms, which yield fragments in proportion to molecules and
effective length, as in protocols that sequence whole transcripts. Fragments fall into equivalence
classes, and the counts of classes give estimates of the counts of isoforms: one for the cell, and
one for each bootstrap, which draws as many fragments again from the classes of the cell.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from ..errors import DataError
from ..files import require_h5ad, written_atomically
from ..h5ad.writing import H5adRows
from ..processes import map_in_order, num_cores
from ..progress import with_progress
from ..quantified.cell_rows import CellRows, SparseRow
from ..reads.class_probabilities import EquivalenceClasses, FragmentModel, build_classes
from ..reads.class_weights import weights_of
from ..reads.classes import ReadClasses
from ..reads.transcripts import Transcripts
from .kallisto.quantifier import CellReads, IsoformQuantifier
from .usage import draw_usage, vary_usage

# Cells whose fragments are drawn at once.
_BLOCK = 64
# Estimates (of an isoform in a cell or bootstrap) that are made at once.
_ESTIMATES = 1 << 16
# Estimates in all for which further processes pay, as each needs seconds to start.
_WORTH_PROCESSES = 1 << 22


class SimulationOptions(NamedTuple):
    """Options of a simulation.

    Attributes
    ----------
    num_bootstraps
        Number of bootstraps of each cell, at least 1.
    num_layers
        Largest number of bootstraps to keep as layers ``infRep1`` ...; None keeps all. The
        sufficient statistics use all bootstraps.
    switching_share
        Share of the genes of several isoforms whose usage differs between cell types.
    usage_concentration
        Concentration of the Dirichlet distribution of a gene's usage, for each isoform.
    usage_noise
        Noise of the usage in single cells, see
        :func:`~exvae.data.simulators.usage.vary_usage`.
    fragments
        Model of fragments and reads.
    keep_reads
        Whether to write the reads by class, too, as an import of reads does.
    num_processes
        Number of processes that estimate counts; None takes the cores where that pays.
    """

    num_bootstraps: int = 30
    num_layers: int | None = None
    switching_share: float = 0.35
    usage_concentration: float = 1.0
    usage_noise: float = 0.0
    fragments: FragmentModel = FragmentModel()
    keep_reads: bool = False
    num_processes: int | None = None


class SimulationSummary(NamedTuple):
    """Size of the simulated cells.

    Attributes
    ----------
    cells, isoforms, genes, bootstraps
        Number of each; bootstraps of one cell.
    switching_genes
        Number of genes whose usage differs between cell types.
    classes
        Number of equivalence classes.
    reads
        Sum of the estimated counts of all cells (reads).
    """

    cells: int
    isoforms: int
    genes: int
    bootstraps: int
    switching_genes: int
    classes: int
    reads: float


def simulate_cells(
    out: Path,
    transcripts: Transcripts,
    gene_expression: np.ndarray,
    cell_types: np.ndarray,
    generator: np.random.Generator,
    options: SimulationOptions | None = None,
    *,
    obs: Mapping[str, np.ndarray] | None = None,
    provenance: Mapping[str, object] | None = None,
) -> SimulationSummary:
    """Simulate cells and write them with their truth.

    The truth is ``layers["expected_counts"]``, the expected fragments of the sequenced molecules,
    ``layers["true_counts"]``, the fragments drawn (Poisson), ``obs["cell_type"]`` and
    ``var["switching"]``.

    Parameters
    ----------
    out
        The ``.h5ad`` to write; it appears when it is complete.
    transcripts
        The isoforms.
    gene_expression
        Sequenced molecules of each gene, the names of genes sorted, shape (cells, genes). A cell's
        sum is its depth (expected fragments); the fragments of an isoform are in proportion to the
        molecules of its gene, its share of them and its effective length.
    cell_types
        Cell type of each cell, shape (cells,), strings.
    generator
        Source of the random numbers; the file does not depend on the number of processes.
    options
        Options; by default the defaults of :class:`SimulationOptions`.
    obs
        Further columns of ``obs``, each of shape (cells,).
    provenance
        Further entries of ``uns["exvae_simulation"]``, such as the origin of the expression.

    Raises
    ------
    DataError
        If the file cannot be written, no read would fit a transcript or a cell gets no reads;
        nothing is written then.
    ValueError
        If shapes do not fit, expression is negative, or there are no bootstraps.
    """
    options = options or SimulationOptions()
    require_h5ad(out)
    gene_names, genes = np.unique(transcripts.genes, return_inverse=True)
    _check_arguments(gene_expression, len(cell_types), len(gene_names), options)
    type_names, types = np.unique(cell_types, return_inverse=True)
    usage, switching = draw_usage(
        genes,
        len(type_names),
        generator,
        concentration=options.usage_concentration,
        switching_share=options.switching_share,
    )
    classes = _build_classes(transcripts, options)
    quantifier = IsoformQuantifier(transcripts, classes, options.num_bootstraps, options.num_layers)
    cells = _Cells(gene_expression, genes, usage, types, options.usage_noise, generator)
    with (
        written_atomically(out) as path,
        H5adRows(path, len(genes)) as file,
        closing(_quantify(quantifier, cells, options, path.parent)) as rows,
    ):
        reads, class_counts = _append(file, with_progress(rows, len(types), "simulate"))
        names = np.array([f"cell_{number}" for number in range(len(types))])
        uns = {"exvae_simulation": {**_provenance(options), **(provenance or {})}}
        obsm = {}
        if options.keep_reads:
            own = _read_classes(names, transcripts, classes, class_counts)
            uns["reads"], obsm["reads"] = own.stored(), own.counts
        known = {
            "n_bootstraps": np.full(len(types), options.num_bootstraps, np.int32),
            "total_counts": reads,
            "cell_type": pd.Categorical(cell_types),
            **(obs or {}),
        }
        file.finish(
            pd.DataFrame(known, index=pd.Index(names)),
            _isoform_table(transcripts, classes, switching),
            uns,
            obsm,
        )
    return SimulationSummary(
        cells=len(types),
        isoforms=len(genes),
        genes=len(gene_names),
        bootstraps=options.num_bootstraps,
        switching_genes=len(np.unique(genes[switching])),
        classes=classes.members.shape[0],
        reads=float(reads.sum()),
    )


def _check_arguments(
    gene_expression: np.ndarray, num_cells: int, num_genes: int, options: SimulationOptions
) -> None:
    """Raise a ValueError unless expression fits the cells and genes, and options are valid."""
    if gene_expression.shape != (num_cells, num_genes):
        raise ValueError(
            f"gene_expression has shape {gene_expression.shape}, but there are {num_cells} "
            f"cell types and {num_genes} genes"
        )
    if not (gene_expression >= 0).all():
        raise ValueError("gene_expression must be neither negative nor missing")
    if options.num_bootstraps < 1:
        raise ValueError("num_bootstraps must be at least 1")


def _build_classes(transcripts: Transcripts, options: SimulationOptions) -> EquivalenceClasses:
    """Build equivalence classes; DataError if no read would fit a transcript."""
    classes = build_classes(transcripts.sequences, options.fragments)
    if classes.probabilities.nnz == 0:
        raise DataError(
            f"transcripts: none has {options.fragments.k} known bases in a row, so that no read "
            "would fit one; give longer ones"
        )
    return classes


def _append(file: H5adRows, rows: Iterable[_QuantifiedCell]) -> tuple[np.ndarray, csr_matrix]:
    """Append cells with their fragments.

    Returns their reads, shape (cells,), and reads by class, shape (cells, classes).
    """
    reads, class_counts = [], []
    for row, expected, drawn, counts in rows:
        class_counts.append(csr_matrix(counts.astype(np.int32)))
        sparse, dense = row.matrices()
        sparse["layers/true_counts"] = SparseRow.of(drawn)
        dense["layers/expected_counts"] = expected.astype(np.float32)
        file.append(sparse, dense)
        reads.append(row.total_counts)
    return np.array(reads), vstack(class_counts, "csr")


def _read_classes(
    cells: np.ndarray, transcripts: Transcripts, classes: EquivalenceClasses, counts: csr_matrix
) -> ReadClasses:
    """Give the classes that have reads, with their counts of shape (cells, classes)."""
    lengths, members = classes.effective_lengths, classes.members
    known = ReadClasses(
        counts,
        members.indptr.astype(np.int64),
        members.indices.astype(np.int32),
        weights_of(classes, members.indptr, members.indices, np.arange(members.shape[0])),
        cells=cells,
        isoforms=transcripts.names,
        lengths=transcripts.lengths,
        effective_lengths=lengths,
    )
    return known.kept(np.flatnonzero(counts.sum(0)))


def _isoform_table(
    transcripts: Transcripts, classes: EquivalenceClasses, switching: np.ndarray
) -> pd.DataFrame:
    """Make the table ``var``; switching has shape (isoforms,)."""
    columns = {
        "gene": pd.Categorical(transcripts.genes),
        "length": transcripts.lengths,
        "effective_length": classes.effective_lengths,
        "switching": switching,
    }
    return pd.DataFrame(columns, index=pd.Index(transcripts.names.tolist()))


def _provenance(options: SimulationOptions) -> dict[str, object]:
    """Describe the simulation."""
    return {
        "exvae_version": version("exvae"),
        "switching_share": options.switching_share,
        "usage_concentration": options.usage_concentration,
        "usage_noise": options.usage_noise,
        "fragments": options.fragments._asdict(),
    }


class _Cells(NamedTuple):
    """Cells before they are sequenced.

    Attributes
    ----------
    gene_expression
        Molecules, shape (cells, genes); the sum of a cell is its expected fragments.
    genes
        Number of the gene of each isoform, shape (isoforms,).
    usage
        Share of the gene's molecules, shape (types, isoforms).
    types
        Number of the type of each cell, shape (cells,).
    usage_noise
        Noise of the usage in single cells.
    generator
        Source of the random numbers.
    """

    gene_expression: np.ndarray
    genes: np.ndarray
    usage: np.ndarray
    types: np.ndarray
    usage_noise: float
    generator: np.random.Generator

    def sequence(self, classes: EquivalenceClasses) -> Iterator[_SequencedCells]:
        """Draw fragments, a block of cells at a time."""
        for start in range(0, len(self.types), _BLOCK):
            rows = slice(start, start + _BLOCK)
            usage = self.usage[self.types[rows]]
            usage = vary_usage(usage, self.genes, self.usage_noise, self.generator)
            expected = self._expect(rows, usage * classes.effective_lengths)
            drawn = self.generator.poisson(expected)
            counts = classes.draw(drawn, self.generator)
            empty = np.flatnonzero(counts.sum(1) == 0)
            if empty.size:
                raise DataError(
                    f"cell_{start + empty[0]}: has no reads, of {expected[empty[0]].sum():g} "
                    "expected; raise the depth"
                )
            generators = self.generator.spawn(len(counts))
            yield _SequencedCells(CellReads(counts, generators), expected, drawn)

    def _expect(self, rows: slice, fragments: np.ndarray) -> np.ndarray:
        """Compute expected fragments, shape (cells, isoforms).

        ``fragments`` are relative fragments of a molecule of the gene, of the same shape.
        """
        molecules = self.gene_expression[rows]
        weights = molecules[:, self.genes] * fragments
        depths, totals = molecules.sum(1, keepdims=True), weights.sum(1, keepdims=True)
        return weights * np.divide(depths, totals, out=np.zeros_like(totals), where=totals > 0)


class _SequencedCells(NamedTuple):
    """Reads of some cells, and their expected and drawn fragments (cells, isoforms)."""

    reads: CellReads
    expected: np.ndarray
    drawn: np.ndarray

    def split(self, num_cells: int) -> Iterator[_SequencedCells]:
        """Give these cells, so many at a time."""
        for start in range(0, len(self.drawn), num_cells):
            rows = slice(start, start + num_cells)
            reads = CellReads(*(part[rows] for part in self.reads))
            yield _SequencedCells(reads, self.expected[rows], self.drawn[rows])


class _QuantifiedCell(NamedTuple):
    """Rows of a cell, its expected and drawn fragments (isoforms,), and its reads (classes,)."""

    rows: CellRows
    expected: np.ndarray
    drawn: np.ndarray
    class_counts: np.ndarray


def _quantify(
    quantifier: IsoformQuantifier, cells: _Cells, options: SimulationOptions, folder: Path
) -> Iterator[_QuantifiedCell]:
    """Yield the rows of each cell, its fragments, and its reads by class.

    ``folder`` is for what processes read.
    """
    of_a_cell = (1 + options.num_bootstraps) * len(cells.genes)
    num_cells = max(1, _ESTIMATES // of_a_cell)
    num_processes = options.num_processes
    if num_processes is None:
        is_long = of_a_cell * len(cells.types) > _WORTH_PROCESSES
        num_processes = num_cores() if is_long else 1
    waiting: deque[_SequencedCells] = deque()

    def reads() -> Iterator[CellReads]:
        for block in cells.sequence(quantifier.classes):
            for part in block.split(num_cells):
                waiting.append(part)
                yield part.reads

    with closing(map_in_order(quantifier, reads(), num_processes, folder)) as quantified:
        for rows in quantified:
            part = waiting.popleft()
            counts = part.reads.class_counts
            yield from map(_QuantifiedCell, rows, part.expected, part.drawn, counts)
