"""The writing of an export, some cells in memory at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import h5py
import numpy as np

from ...data.arguments import require
from ...data.cells import STATISTICS, Cells
from ...data.h5ad.growing import GrowingMatrix, SparseLayers, encode
from ...data.h5ad.new_files import NewFile
from ...data.h5ad.reading import DRAWS, CellFile
from ...data.progress import progress_bar
from ...data.random_draws import seed_draws
from ...models.scvi import RATES_PER_SAMPLE
from ..fitting.errors import ArgumentError
from ..fitting.workers import Alone
from . import inference
from .compact_layers import (
    EXPRESSION,
    IMPROBABLE,
    NEGLIGIBLE_READS,
    NORMALISED,
    CompactLayers,
    compact_layers,
    stratified_layers,
)
from .effective_draws import EffectiveDraws
from .export_columns import ExportColumns
from .expression import LEVELS, Scale, draw_expression, scale_of
from .fitting import IsoformFit
from .settings import LIBRARY_SIZE, POSTERIOR_SAMPLES, QUANTILES
from .stratified import can_stratify, stratified_expression

# Values in a chunk of a layer of expression.
_CHUNK = 1 << 18
# Entries (cells x isoforms) that are read at once.
READ = 1 << 19
# The same of posteriors of rates in closed form, which take little.
_BLOCK_OF_RATES = 1 << 18
# Parts of a file that are as they were if the columns are those of the cells.
_OF_COLUMNS = ("varm", "varp", "raw")


@dataclass(frozen=True)
class ExportOptions:
    """What an export holds.

    Attributes
    ----------
    level
        ``isoform``, or ``gene`` for sums over the isoforms of each gene.
    library_size
        Reads in the cell to which ``expression_normalised`` is normalised, or ``tpm`` for
        transcripts per million.
    quantiles
        Probabilities of the quantiles of ``expression``.
    num_samples
        Number of draws of the latent variables; at least ``draws``.
    seed
        Seed of these draws.
    transform_batch
        A batch to which expression is converted.
    new_batches
        ``average`` treats cells of unknown batches as of each known batch in turn.
    draws
        Number of draws of expression that are written as ``infRep1`` ... in the place of the
        quantifier's bootstraps.
    genes
        Names of genes to which the export is limited; normalisation is that of the whole cell.
    bootstraps
        Whether the quantifier's bootstraps and their statistics are kept.
    """

    level: str = "isoform"
    library_size: float | str = LIBRARY_SIZE
    quantiles: Sequence[float] = QUANTILES
    num_samples: int = POSTERIOR_SAMPLES
    seed: int = 0
    transform_batch: str | None = None
    new_batches: str | None = None
    draws: int = 0
    genes: Sequence[str] | None = None
    bootstraps: bool = True

    def __post_init__(self) -> None:
        require("level", self.level, LEVELS)
        wrong = [level for level in self.quantiles if not 0 < level < 1]
        if wrong:
            raise ArgumentError(f"quantiles holds {wrong[0]:g}; give probabilities between 0 and 1")
        if self.library_size != "tpm" and not float(self.library_size) > 0:
            raise ArgumentError(
                f"library_size is {self.library_size}; give a positive number or tpm"
            )

    @property
    def replicates(self) -> str:
        """Origin of the layers ``infRep1`` ..., if there are any."""
        return DRAWS if self.draws else "bootstraps" if self.bootstraps else "none"

    @property
    def all_samples(self) -> int:
        """Number of draws of the latent variables."""
        return max(self.num_samples, self.draws)

    def scales(self, cells: Cells) -> dict[str, Scale]:
        """Scale of ``expression`` and ``expression_normalised`` of cells."""
        normalised = scale_of(self.level, self.library_size, cells)
        return {EXPRESSION: Scale(self.level), NORMALISED: normalised}

    def code_of_batch(self, fit: IsoformFit) -> int | None:
        """Code of the batch to which expression is converted."""
        return None if self.transform_batch is None else fit.code_of_batch(self.transform_batch)

    def description(self, fit: IsoformFit) -> dict[str, object]:
        """Content of ``uns["exvae"]``."""
        return {
            "config": json.dumps(fit.config),
            "num_samples": self.all_samples,
            "seed": self.seed,
            "level": self.level,
            "library_size": str(self.library_size),
            "transform_batch": self.transform_batch or "",
            "inferential_replicates": self.replicates,
            "zero_unless": f"P(more than {NEGLIGIBLE_READS:g} read) >= {IMPROBABLE:g}",
        }


def compact_blocks(
    fit: IsoformFit,
    cells: Cells,
    options: ExportOptions,
    columns: np.ndarray | None = None,
    block: int | None = None,
    effective: EffectiveDraws | None = None,
    first: int = 0,
) -> Iterator[CompactLayers]:
    """Make the layers of expression of cells, some cells at a time.

    Draws depend on the seed and on the places of cells, and not on what was drawn before.

    Parameters
    ----------
    fit
        The fit.
    cells
        Cells with its isoforms.
    options
        The layers to make.
    columns
        Positions of isoforms or genes to which the layers are limited; None takes all.
    block
        Entries (cells x isoforms) whose posteriors are held at once; by default those of
        :func:`block_of`.
    effective
        Takes the draws of models whose draws are those of Markov chains.
    first
        Place of the first cell among all.
    """
    samples = options.all_samples
    scales, code = options.scales(cells), options.code_of_batch(fit)
    limits = {"columns": columns, "num_replicates": options.draws}
    source, block = fit.source(cells), block or block_of(fit)
    rows = max(1, block // cells.num_isoforms)
    for start in range(0, cells.num_cells, rows):
        positions = np.arange(start, min(start + rows, cells.num_cells))
        seed_draws(options.seed, first + start)
        if can_stratify(fit):
            number, batch = samples * RATES_PER_SAMPLE, source.batch(positions, len(positions))
            stratified = stratified_expression(fit, source, batch, samples, transform_batch=code)
            yield stratified_layers(stratified, scales, options.quantiles, number, **limits)
            continue
        chosen = {"transform_batch": code, "block": block}
        for _, draws in draw_expression(fit, source, positions, samples, **chosen):
            if effective is not None and fit.model.observes == "reads":
                effective.add(draws, max(1, len(inference.members_of(fit.model))))
            yield compact_layers(draws, fit.model.genes, scales, options.quantiles, **limits)


def block_of(fit: IsoformFit) -> int:
    """Entries (cells x isoforms) whose posteriors are held at once."""
    return _BLOCK_OF_RATES if can_stratify(fit) else inference.POSTERIOR_BLOCK


class Part(NamedTuple):
    """Posteriors of some cells.

    Attributes
    ----------
    rows
        Places of the cells.
    states
        Posterior means of z, shape (cells, latent_size).
    blocks
        Layers of expression, some cells each.
    effective
        Effective numbers of draws, where they are draws of Markov chains.
    """

    rows: slice
    states: np.ndarray
    blocks: list[CompactLayers]
    effective: EffectiveDraws


class ExportWriter:
    """Writes the export of a file of cells.

    Parameters
    ----------
    fit
        The fit.
    file
        The cells.
    options
        What to write.
    part, block
        Entries (cells x isoforms) that are read at once, and whose posteriors are held at once.

    Attributes
    ----------
    columns
        The isoforms or genes that are written.
    effective
        Effective numbers of the draws that were made.
    """

    def __init__(
        self, fit: IsoformFit, file: CellFile, options: ExportOptions, part: int, block: int
    ) -> None:
        self._fit, self._file, self._options, self._block = fit, file, options, block
        self.effective = EffectiveDraws()
        # A part holds whole blocks, so that draws do not depend on its size.
        rows = max(1, block // len(fit.isoforms))
        self._rows = rows * max(1, part // (rows * file.shape[1]))

    @cached_property
    def columns(self) -> ExportColumns:
        """The isoforms or genes that are written."""
        return ExportColumns.of(self._fit, self._file, self._options.level, self._options.genes)

    def check(self) -> None:
        """Find faults of all cells before hours are spent."""
        options = self._options
        with progress_bar(self._file.shape[0], "check") as bar:
            for rows in self._slices():
                options.scales(self._read(rows))
                bar.update(rows.stop - rows.start)
        options.code_of_batch(self._fit)
        _ = self.columns

    def parts(self, processes: Alone) -> Iterator[Part]:
        """Make the posteriors of all cells; several processes share the work.

        The first process gets all parts, in the order of the cells, and the others none.
        """
        slices = self._slices()
        with progress_bar(self._file.shape[0], "export", shown=processes.first) as bar:
            for part in processes.in_turn(len(slices), lambda place: self._part(slices[place])):
                yield part
                bar.update(part.rows.stop - part.rows.start)

    def write(self, new: NewFile, parts: Iterable[Part]) -> list[str]:
        """Write everything; return the names of the layers that were added."""
        self._write_tables(new)
        copies = {
            place: GrowingMatrix(new[folder], place.rpartition("/")[2], self._file.shape[0])
            for folder, place in self._kept()
            if not (self._has_columns_of_cells and self._file.copy_packed(place, new))
        }
        layers = SparseLayers(
            new["layers"], (self._file.shape[0], len(self.columns.var)), chunk=_CHUNK
        )
        states, names = [], []
        for part in parts:
            for place, copy in copies.items():
                copy.extend(self.columns.take(self._file.read_rows(place, part.rows)))
            states.append(part.states)
            self.effective.extend(part.effective)
            for compact in part.blocks:
                layers.extend(*compact)
                names = list(compact.values)
            new.check()
        for matrix in (*copies.values(), layers):
            matrix.finish()
        _write(new, "obsm", "X_exvae", np.concatenate(states))
        description = {**self._options.description(self._fit), **self.effective.figures()}
        _write(new, "uns", "exvae", description)
        return names

    def _slices(self) -> list[slice]:
        """Divide the cells into parts."""
        num_cells = self._file.shape[0]
        starts = range(0, num_cells, self._rows)
        return [slice(start, min(start + self._rows, num_cells)) for start in starts]

    def _read(self, rows: slice) -> Cells:
        """Read some cells, with the isoforms of the fit."""
        cells = self._file.read(self._fit.batch_key, rows)
        return self._fit.conform(cells, self._options.new_batches)

    def _part(self, rows: slice) -> Part:
        """Make the posteriors of some cells."""
        cells, effective = self._read(rows), EffectiveDraws()
        seed_draws(self._options.seed, rows.start)
        states = inference.mean_states(
            self._fit.guide, self._fit.source(cells), np.arange(cells.num_cells)
        )
        chosen = self.columns.chosen, self._block, effective, rows.start
        blocks = list(compact_blocks(self._fit, cells, self._options, *chosen))
        return Part(rows, states, blocks, effective)

    def _kept(self) -> Iterator[tuple[str, str]]:
        """Folders and places of the matrices of the cells that the export keeps."""
        yield "/", "X"
        yield from (("layers", f"layers/{name}") for name in self._kept_layers())

    @cached_property
    def _has_columns_of_cells(self) -> bool:
        """Whether the columns are those of the cells, in their order."""
        places = self.columns.places
        return self.columns.groups is None and np.array_equal(
            places, np.arange(self._file.shape[1])
        )

    def _kept_layers(self) -> list[str]:
        """Layers of the cells that the export keeps."""
        options, dropped = self._options, set()
        if options.draws or not options.bootstraps:
            dropped = {*self._file.bootstraps, *STATISTICS}
        elif options.level == "gene":
            dropped = set(STATISTICS)  # of a sum they do not follow from those of its parts
        return [
            name
            for name in self._file.layers
            if name not in dropped and name != EXPRESSION and not name.startswith(f"{EXPRESSION}_")
        ]

    def _write_tables(self, new: h5py.File) -> None:
        """Write everything but the matrices of cells by columns."""
        from anndata.io import write_elem  # slow to import, and no other command needs it

        file, columns = self._file, self.columns
        encode(new, "anndata", "0.1.0")
        write_elem(new, "obs", file.obs)
        write_elem(new, "var", columns.var)
        for name in ("obsm", "obsp", "uns", *(_OF_COLUMNS if self._has_columns_of_cells else ())):
            file.copy(name, new)
        for name in ("obsm", "uns", "layers"):
            if name not in new:
                write_elem(new, name, {})


def _write(file: h5py.File, group: str, name: str, value: object) -> None:
    """Write a value, replacing one of an earlier export."""
    from anndata.io import write_elem

    if name in file[group]:
        del file[group][name]
    write_elem(file[group], name, value)
