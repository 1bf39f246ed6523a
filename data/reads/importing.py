"""Class counts of reads to one ``.h5ad``, with estimates and bootstraps made from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..compiled_loops import spread_in_order
from ..errors import DataError
from ..files import require_h5ad, unchanged, written_atomically
from ..h5ad.writing import H5adRows
from ..processes import MapInOrder
from ..progress import with_progress
from ..quantified.annotations import read_cell_table
from ..quantified.cell_rows import CellRows, cell_rows
from ..quantified.copies import Copies
from ..quantified.importing import (
    OBS_COLUMNS,
    ImportSummary,
    KnownOfCells,
    summarise,
    transcript_table,
)
from ..quantified.quantifications import LEAVE_OUT, Quantification
from ..quantified.sheets import listed_or_found
from .bustools import is_bustools, read_bustools
from .class_probabilities import FragmentModel
from .class_weights import weigh_by_sequences
from .classes import ReadClasses
from .estimation import estimate_with_bootstraps, generator_of_cell
from .salmon_classes import read_salmon_classes


class ReadOptions(NamedTuple):
    """Options of an import of class counts.

    Attributes
    ----------
    num_bootstraps
        Number of bootstraps to draw for each cell.
    num_layers
        Largest number of bootstraps to keep as layers; None keeps all.
    max_members
        Classes of more isoforms are left out; None leaves out those of all isoforms alone.
    seed
        Seed of the bootstraps; those of a cell depend on its place among all.
    skip_bad
        Whether to go on without cells that have no reads.
    lengths
        File of the lengths of isoforms, see :func:`~.bustools.read_bustools`.
    transcripts
        FASTA of the transcripts, from which classes are weighed, see :mod:`~.class_weights`; None
        weighs by effective lengths.
    read_length
        Bases read from each end of a fragment, for ``transcripts``.
    fragment_mean, fragment_sd
        Length of fragments (bases), for ``transcripts``; None takes what the quantifier counted.
    sheet, obs_key, only_listed
        As in :class:`~exvae.data.quantified.importing.ImportOptions`.
    """

    num_bootstraps: int = 20
    num_layers: int | None = None
    max_members: int | None = None
    seed: int = 0
    skip_bad: bool = False
    lengths: Path | None = None
    transcripts: Path | None = None
    read_length: int = 75
    fragment_mean: float | None = None
    fragment_sd: float | None = None
    sheet: Path | None = None
    obs_key: str | None = None
    only_listed: bool = False


def import_reads(
    directories: Sequence[str | os.PathLike[str]],
    out: Path,
    t2g: Path | None = None,
    obs: Path | None = None,
    options: ReadOptions | None = None,
    shared: MapInOrder | None = None,
) -> ImportSummary:
    """Import the reads of cells by the classes of isoforms that they fit.

    The file has estimates and bootstraps as kallisto makes them, and ``obsm["reads"]``, the counts
    of classes, with their isoforms in ``uns["reads"]``, see :meth:`~.classes.ReadClasses.stored`.

    Parameters
    ----------
    directories
        A folder that kallisto bus and bustools wrote, or folders with cells of salmon.
    out
        The ``.h5ad`` to write; it appears when it is complete.
    t2g, obs
        Tables as for :func:`~exvae.data.quantified.importing.import_cells`.
    options
        Options.
    shared
        How processes share the cells; None takes torch's threads.

    Raises
    ------
    DataError
        If anything is wrong with the input; nothing is written then.
    """
    options = options or ReadOptions()
    require_h5ad(out)
    cells, notes = _places(directories, options.sheet)
    sources = (t2g, obs, options.sheet, options.lengths, options.transcripts)
    places = [*(path for path in sources if path is not None), *cells.values()]
    with written_atomically(out) as path, unchanged(places):
        summary = _write(path, cells, t2g, obs, options, shared or _in_threads)
    return summary._replace(notes=(*notes, *summary.notes))


def _places(
    directories: Sequence[str | os.PathLike[str]], sheet: Path | None
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Find salmon's folder of each cell, or bustools' folder alone, and remarks."""
    folders = list(map(Path, directories))
    if len(folders) == 1 and sheet is None and is_bustools(folders[0]):
        return {"": folders[0]}, ()
    found = listed_or_found(directories, sheet)
    return found.cells, found.notes


def _write(
    path: Path,
    cells: dict[str, Path],
    t2g: Path | None,
    obs: Path | None,
    options: ReadOptions,
    mapped: MapInOrder,
) -> ImportSummary:
    """Write the cells that lie in folders to a file."""
    if "" in cells:
        classes, notes = read_bustools(cells[""], options.lengths or options.transcripts)
    else:
        classes, notes = read_salmon_classes(cells)
    if options.transcripts is not None:
        fragments = _fragment_model(classes, options)
        classes, weight_notes = weigh_by_sequences(classes, options.transcripts, fragments)
        notes = (*notes, *weight_notes)
    classes, class_notes = _with_informative(classes, options.max_members)
    classes, cell_notes = _with_reads(classes, options.skip_bad)
    table, table_notes = pd.DataFrame(index=pd.Index(classes.cells)), ()
    if obs is not None:
        reserved = (*OBS_COLUMNS, "_index")
        table, table_notes = read_cell_table(
            obs, list(classes.cells), reserved, options.obs_key, options.only_listed
        )
        kept = pd.Index(classes.cells).get_indexer(table.index)
        classes = classes.of_cells(kept)
    names = np.char.encode(classes.isoforms, "utf-8")
    var, gene_notes = transcript_table(names, classes.lengths, t2g)
    known, copies = KnownOfCells(len(names)), Copies()
    with H5adRows(path, len(var)) as file:
        reader = _CellEstimates(classes, names, options)
        rows = mapped(reader, range(len(classes.cells)))
        shown = with_progress(rows, len(classes.cells), "import")
        for cell, row in zip(classes.cells, shown, strict=True):
            known.add(cell, row)
            own = classes.counts[len(known.names) - 1]
            copies.add(cell, (own.indices, own.data))
            file.append(*row.matrices())
        var["effective_length"] = known.effective_lengths / len(classes.cells)
        table = pd.concat([known.columns(), table.loc[known.names]], axis=1)
        uns = {"exvae_import": _provenance(t2g, options), "reads": classes.stored()}
        file.finish(table, var, uns, {"reads": classes.counts})
    notes = (*notes, *class_notes, *cell_notes, *table_notes, *gene_notes, *known.notes())
    notes = (*notes, *copies.notes("reads"))
    return summarise(table, var, options.num_layers, notes, 0)


def _fragment_model(classes: ReadClasses, options: ReadOptions) -> FragmentModel:
    """Describe the fragments by what is given, or else by what the quantifier counted."""
    mean, sd = options.fragment_mean, options.fragment_sd
    if classes.fragments is not None:
        sizes = np.arange(len(classes.fragments))
        shares = classes.fragments / classes.fragments.sum()
        counted = sizes @ shares
        mean = counted if mean is None else mean
        sd = np.sqrt((sizes - counted) ** 2 @ shares) if sd is None else sd
    if mean is None or sd is None:
        raise DataError(
            f"{options.transcripts}: weighs classes by the lengths of fragments, which the "
            "quantifier does not tell; give --fragment-mean and --fragment-sd (bases)"
        )
    return FragmentModel(float(mean), max(float(sd), 1.0), options.read_length)


def _with_informative(
    classes: ReadClasses, max_members: int | None
) -> tuple[ReadClasses, tuple[str, ...]]:
    """Leave out classes that tell nothing, or of too many isoforms."""
    reads = np.asarray(classes.counts.sum(0)).ravel()
    most = max(1, len(classes.isoforms) - 1 if max_members is None else max_members)
    small = classes.num_members <= most
    lost = reads[~small].sum()
    notes = ()
    if lost:
        notes = (
            f"{lost / reads.sum():.2%} of the reads fit more than {most} isoforms and are left out",
        )
    return classes.kept(np.flatnonzero(small & (reads > 0))), notes


def _with_reads(classes: ReadClasses, skip_bad: bool) -> tuple[ReadClasses, tuple[str, ...]]:
    """Leave out cells without reads, or raise a DataError about them."""
    reads = np.asarray(classes.counts.sum(1)).ravel()
    empty = classes.cells[reads == 0]
    if not len(empty):
        return classes, ()
    told = f"{len(empty)} of {len(reads)} cells have no reads, the first is {empty[0]}"
    if not skip_bad or len(empty) == len(reads):
        raise DataError(f"{told}; {LEAVE_OUT}")
    return classes.of_cells(np.flatnonzero(reads)), (f"{told}; they are left out",)


class _CellEstimates(NamedTuple):
    """Estimates the counts of a cell and of its bootstraps; ``names`` of isoforms are bytes."""

    classes: ReadClasses
    names: np.ndarray
    options: ReadOptions

    def __call__(self, place: int) -> CellRows:
        classes, options = self.classes, self.options
        generator = generator_of_cell(classes.cells[place], options.seed)
        size = (len(classes.isoforms), options.num_bootstraps)
        estimates = estimate_with_bootstraps(classes, place, *size, generator)
        lengths = (classes.lengths, classes.effective_lengths)
        cell = Quantification(
            self.names, *lengths, estimates[0], estimates[1:], "exvae", version("exvae")
        )
        return cell_rows(cell, options.num_layers)


def _in_threads(function: Callable[[int], CellRows], places: Sequence[int]) -> Iterator[CellRows]:
    """Yield the results of a function for places 0, 1, ..., made in torch's threads."""
    return spread_in_order(function, len(places))


def _provenance(t2g: Path | None, options: ReadOptions) -> dict[str, object]:
    """Describe the import, without the options not given: h5ad has no None."""
    values = {
        "exvae_version": version("exvae"),
        "t2g": None if t2g is None else t2g.name,
        "bootstraps": options.num_bootstraps,
        "seed": options.seed,
        "max_members": options.max_members,
        "transcripts": None if options.transcripts is None else options.transcripts.name,
    }
    return {name: value for name, value in values.items() if value is not None}
