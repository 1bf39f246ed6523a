"""Many cells' results of kallisto and salmon to one ``.h5ad``.

Cells are read in several processes and written row by row in their order, so that memory grows
neither with the number of cells nor with the number of bootstraps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError
from ..files import require_h5ad, unchanged, written_atomically
from ..h5ad.writing import H5adRows
from ..processes import MapInOrder, map_in_order, num_cores
from ..progress import with_progress
from .annotations import read_cell_table
from .bad_cells import BAD_CELLS_FILE, BadCells
from .cell_reading import CellReader
from .cell_rows import CellRows
from .copies import Copies
from .directories import read_quantification
from .genes import genes_or_own
from .quantifications import NeedsPackage, Quantification, text_of
from .sheets import listed_or_found

# Shorter imports would be over before further processes are ready.
_SECONDS_WORTH_PROCESSES = 10.0
# Cells of different transcripts that are read to find one that others are like.
_MOST_REFERENCES = 3

OBS_COLUMNS = (
    "n_bootstraps",
    "total_counts",
    "quantifier",
    "quantifier_version",
    "replicate_type",
)


class ImportOptions(NamedTuple):
    """Options of an import.

    Attributes
    ----------
    max_bootstraps
        Largest number of bootstraps of a cell to read; None reads all.
    num_layers
        Largest number of bootstraps to keep as layers ``infRep1`` ...; None keeps all. The
        sufficient statistics use all bootstraps that are read.
    num_processes
        Number of processes that read cells; None takes the cores where that pays.
    skip_bad
        Whether to go on without cells that are damaged, empty or have no bootstraps; they are
        counted and listed in ``bad_cells.csv`` beside the output.
    sheet
        Table of the names and paths of cells, see :func:`~exvae.data.quantified.sheets.read_sheet`.
    obs_key, only_listed
        Column of the table of cells with their names, and whether cells that it lacks are left
        out, see :func:`~exvae.data.quantified.annotations.read_cell_table`.
    """

    max_bootstraps: int | None = None
    num_layers: int | None = None
    num_processes: int | None = None
    skip_bad: bool = False
    sheet: Path | None = None
    obs_key: str | None = None
    only_listed: bool = False


class ImportSummary(NamedTuple):
    """Size of the imported cells.

    Attributes
    ----------
    cells, isoforms, genes
        Number of each.
    min_bootstraps, max_bootstraps
        Smallest and largest number of bootstraps of a cell.
    layers
        Number of layers infRep.
    reads
        Sum of the estimated counts of all cells (reads).
    notes
        Remarks for the user, one line each.
    skipped
        Number of bad cells that were skipped.
    """

    cells: int
    isoforms: int
    genes: int
    min_bootstraps: int
    max_bootstraps: int
    layers: int
    reads: float
    notes: tuple[str, ...]
    skipped: int = 0


def import_cells(
    directories: Sequence[str | os.PathLike[str]],
    out: Path,
    t2g: Path | None = None,
    obs: Path | None = None,
    options: ImportOptions | None = None,
    shared: MapInOrder | None = None,
) -> ImportSummary:
    """Import cells from directories of kallisto and salmon results.

    Parameters
    ----------
    directories
        Directories of cells, or directories to search for them.
    out
        The ``.h5ad`` to write; it appears when it is complete.
    t2g
        Table of transcripts and genes, see :func:`~exvae.data.quantified.genes.read_genes`.
    obs
        Table of cells, see :func:`~exvae.data.quantified.annotations.read_cell_table`.
    options
        Options; by default all bootstraps are kept.
    shared
        How processes that have been started share the cells; None starts ``num_processes``.

    Raises
    ------
    DataError
        If anything is wrong with the input; nothing is written then.
    """
    options = options or ImportOptions()
    require_h5ad(out)
    if obs is None and (options.obs_key or options.only_listed):
        raise DataError("obs_key and only_listed (--obs-key, --only-listed) need a table (--obs)")
    cells, incomplete, notes = listed_or_found(directories, options.sheet)
    sources = [path for path in (t2g, obs, options.sheet) if path is not None]
    with written_atomically(out) as path, unchanged([*sources, *cells.values()]):
        table, table_notes = pd.DataFrame(index=pd.Index(list(cells))), ()
        if obs is not None:
            reserved = (*OBS_COLUMNS, "_index")
            table, table_notes = read_cell_table(
                obs, list(cells), reserved, options.obs_key, options.only_listed
            )
            cells = {name: cells[name] for name in table.index}
        bad = BadCells(incomplete)
        started = time.perf_counter()
        first, num_read = _reference(cells, options, bad)
        seconds = (time.perf_counter() - started) / num_read * len(cells)
        var, gene_notes = transcript_table(first.transcripts, first.lengths, t2g)
        if options.num_processes is None and seconds > _SECONDS_WORTH_PROCESSES:
            options = options._replace(num_processes=num_cores())
        with H5adRows(path, len(var)) as file:
            number = min(options.num_processes or 1, len(cells))
            mapped = shared or partial(map_in_order, num_processes=number, folder=path.parent)
            known = _append_cells(file, cells, first.transcripts, options, bad, mapped)
            if len(bad):
                notes = (*notes, bad.note(len(known.names)))
            var["effective_length"] = known.effective_lengths / len(known.names)
            table = pd.concat([known.columns(), table.loc[known.names]], axis=1)
            uns = {"exvae_import": _provenance(t2g, obs, options, bad)}
            file.finish(table, var, uns)
        if options.skip_bad:
            bad.write(out.with_name(BAD_CELLS_FILE))
    notes = (*notes, *table_notes, *gene_notes, *known.notes())
    return summarise(table, var, options.num_layers, notes, len(bad))


def _reference(
    cells: dict[str, Path], options: ImportOptions, bad: BadCells
) -> tuple[Quantification, int]:
    """Read the cell that sets the transcripts of all, and give the number of cells read.

    It is the first whose transcripts another one has, too, so that one odd cell does not make all
    others bad; of different cells the first.

    Raises
    ------
    DataError
        If every cell is bad.
    """
    good: list[Quantification] = []
    names: list[set[bytes]] = []
    errors: list[tuple[str, Path, DataError]] = []
    for place in cells.items():
        try:
            cell = read_quantification(place[1], options.max_bootstraps)
        except NeedsPackage:
            raise
        except DataError as error:
            errors.append((*place, error))
            continue
        transcripts = set(cell.transcripts.tolist())
        if transcripts in names:
            return good[names.index(transcripts)], len(good) + len(errors) + 1
        good.append(cell)
        names.append(transcripts)
        if len(good) == _MOST_REFERENCES:
            break
    if not good:
        for error in errors:
            bad.add(*error)
        raise bad.error(0)
    return good[0], len(good) + len(errors)


def _append_cells(
    file: H5adRows,
    cells: dict[str, Path],
    transcripts: np.ndarray,
    options: ImportOptions,
    bad: BadCells,
    mapped: MapInOrder,
) -> KnownOfCells:
    """Append the rows of all good cells to a file, and gather the bad ones.

    Raises
    ------
    DataError
        If cells are bad and ``options.skip_bad`` is not set; all cells are read before.
    """
    reader = CellReader(transcripts, options.max_bootstraps, options.num_layers)
    known = KnownOfCells(len(transcripts))
    with closing(mapped(reader, cells.values())) as rows:
        shown = with_progress(rows, len(cells), "import")
        for (name, place), row in zip(cells.items(), shown, strict=True):
            if isinstance(row, DataError):
                bad.add(name, place, row)
            else:
                known.add(name, row)
                if options.skip_bad or not len(bad):
                    file.append(*row.matrices())
    if len(bad) and not (options.skip_bad and known.names):
        raise bad.error(len(known.names))
    return known


def summarise(
    obs: pd.DataFrame,
    var: pd.DataFrame,
    num_layers: int | None,
    notes: tuple[str, ...],
    num_bad: int,
) -> ImportSummary:
    """Summarise an import by its tables, its number of layers at most, notes and bad cells."""
    num_bootstraps = obs["n_bootstraps"]
    most = int(num_bootstraps.max())
    return ImportSummary(
        cells=len(obs),
        isoforms=len(var),
        genes=var["gene"].nunique(),
        min_bootstraps=int(num_bootstraps.min()),
        max_bootstraps=most,
        layers=most if num_layers is None else min(num_layers, most),
        reads=float(obs["total_counts"].sum()),
        notes=notes,
        skipped=num_bad,
    )


def transcript_table(
    transcripts: np.ndarray, lengths: np.ndarray, t2g: Path | None
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Make the table of isoforms, and remarks on their genes.

    ``transcripts`` are names as bytes, and ``lengths`` in bases, both of shape (isoforms,).
    """
    names = [text_of(name) for name in transcripts]
    genes, gene_names, notes = genes_or_own(t2g, names, lengths)
    columns = {"gene": pd.Categorical(genes)}
    if gene_names is not None:
        columns["gene_name"] = pd.Categorical(gene_names)
    columns["length"] = lengths
    return pd.DataFrame(columns, index=pd.Index(names)), notes


def _provenance(
    t2g: Path | None, obs: Path | None, options: ImportOptions, bad: BadCells
) -> dict[str, object]:
    """Describe the import, without the options not given: h5ad has no None."""
    values = {
        "exvae_version": version("exvae"),
        "t2g": None if t2g is None else t2g.name,
        "obs": None if obs is None else obs.name,
        "max_bootstraps": options.max_bootstraps,
        "layers": options.num_layers,
        "sheet": None if options.sheet is None else options.sheet.name,
        "bad_cells": np.array(bad.names, dtype=object) if len(bad) else None,
    }
    return {name: value for name, value in values.items() if value is not None}


class KnownOfCells:
    """Facts about each good cell, gathered while cells are read."""

    def __init__(self, num_isoforms: int) -> None:
        self.effective_lengths = np.zeros(num_isoforms)
        self.names: list[str] = []
        self._rows: list[tuple[int, float, str, str, str]] = []
        self._off_centre: list[tuple[str, float]] = []
        self._noted: dict[str, list[str]] = {}
        self._copies = Copies()

    def add(self, name: str, row: CellRows) -> None:
        """Take the facts about a cell from its rows."""
        self.effective_lengths += row.effective_lengths
        self.names.append(name)
        about = (row.num_bootstraps, row.total_counts)
        self._rows.append((*about, row.quantifier, row.version, row.replicates))
        if not row.is_centred:
            self._off_centre.append((name, row.displaced))
        self._copies.add(name, (*row.counts, *row.mean, *row.sum_of_squares))
        for note in row.notes:
            self._noted.setdefault(note, []).append(name)

    def columns(self) -> pd.DataFrame:
        """Make the columns of ``obs``."""
        table = pd.DataFrame(self._rows, columns=list(OBS_COLUMNS), index=pd.Index(self.names))
        table["n_bootstraps"] = table["n_bootstraps"].astype(np.int32)
        return table.astype(dict.fromkeys(OBS_COLUMNS[2:], "category"))

    def notes(self) -> Iterator[str]:
        """Yield remarks on cells, one line each."""
        num_cells = len(self.names)
        for note, names in self._noted.items():
            yield f"in {len(names)} of {num_cells} cells, the first {names[0]}, {note}"
        gibbs = sum(row[-1] != "bootstrap" for row in self._rows)
        if gibbs:
            yield (
                f"{gibbs} of {num_cells} cells hold Gibbs samples of salmon, which are taken for "
                "bootstraps"
            )
        yield from self._copies.notes("estimates and bootstraps")
        if self._off_centre:
            name, share = max(self._off_centre, key=lambda pair: pair[1])
            yield (
                f"warning: in {len(self._off_centre)} of {num_cells} cells the bootstraps are not "
                f"centred on the estimates, most in {name}, where they displace {share:.1%} of the "
                "reads by more than they scatter; kallisto --bias does that (it corrects only the "
                "estimates), so quantify without it if it was on"
            )
