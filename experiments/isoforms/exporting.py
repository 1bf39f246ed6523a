"""Export of states and expression of every cell to a file that scanpy reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anndata import AnnData

from ...data.errors import DataError
from ...data.files import (
    folder_written_atomically,
    require_folder,
    require_regular,
    unchanged,
    written_atomically,
)
from ...data.h5ad.conversion import write_csv, write_zarr
from ...data.h5ad.new_files import NewFile
from ...data.h5ad.reading import open_cells
from ...data.h5ad.zarr_stores import require_zarr
from ..fitting import workers
from ..fitting.workers import Alone
from .export_writing import READ, ExportOptions, ExportWriter, block_of
from .fitting import IsoformFit


def export(
    fit: IsoformFit,
    source: str | Path | AnnData,
    out: Path,
    *,
    csv: Path | None = None,
    part: int = READ,
    block: int | None = None,
    **options: object,
) -> dict[str, object]:
    """Write cells with their states and expression, some cells in memory at a time.

    The file holds the isoforms of the fit, in its order, or its genes. It gets
    ``obsm["X_exvae"]``, the posterior mean of z, ``uns["exvae"]``, and sparse layers
    ``expression``, ``expression_sd``, ``expression_log1p`` (posterior mean of log1p) and
    ``expression_q0.025`` ...: the posterior of the expression y (reads) of each isoform at the
    depth of the cell. ``expression_normalised``, ``_sd`` and ``_log1p`` are of y divided by its sum
    over the cell. For scVI y is the rate of the count. :mod:`.compact_layers` tells which entries
    are zero and how values are rounded. ``varm``, ``varp`` and ``raw`` are kept if all columns are.

    Parameters
    ----------
    fit
        The fit.
    source
        The cells, an ``.h5ad`` or its content.
    out
        The ``.h5ad`` or ``.zarr`` to write; it appears only when it is complete. An ``.h5ad`` that
        exists is replaced, a ``.zarr`` is refused.
    csv
        A new folder for a copy in CSV and MatrixMarket files.
    part, block
        Entries (cells x isoforms) read, and whose posteriors are held at once; by default as
        many as suit the model.
    **options
        See :class:`ExportOptions`.

    Returns
    -------
    dict
        ``out``, ``cells``, ``isoforms`` or ``genes``, and the names of the ``layers`` added; of
        models of reads the figures of :meth:`.effective_draws.EffectiveDraws.figures`, which
        ``uns["exvae"]`` holds as well.

    Raises
    ------
    DataError
        If an isoform of the fit is missing, a batch is unknown, or the file cannot be written.
    """
    chosen = ExportOptions(**options)
    _check(source, out, csv)
    sources = [] if isinstance(source, AnnData) else [Path(source)]
    with (
        workers.joined(out) as processes,
        open_cells(source, gene_key=fit.keys["gene_key"]) as file,
        unchanged(sources),
    ):
        writer = ExportWriter(fit, file, chosen, part, block or block_of(fit))
        processes.same(writer.check)
        if processes.first:
            layers = _written(writer, processes, out, csv)
        else:
            layers = list(writer.parts(processes))  # none: the first process has them
        sizes = {"cells": file.shape[0], f"{chosen.level}s": len(writer.columns.var)}
    written = {"out": str(out)} | ({} if csv is None else {"csv": str(csv)})
    return {**written, **sizes, **writer.effective.figures(), "layers": sorted(layers)}


def _written(writer: ExportWriter, processes: Alone, out: Path, csv: Path | None) -> list[str]:
    """Write the export, and give the names of its layers."""
    # HDF5 1.10, of 2016, has an index of chunks that takes less space.
    options = {"libver": ("v110", "latest")}
    with _complete(out, csv) as temporary, NewFile(temporary, **options) as new:
        return writer.write(new, writer.parts(processes))


def _check(source: str | Path | AnnData, out: Path, csv: Path | None) -> None:
    """Raise a DataError unless the files can be written."""
    if out.suffix not in (".h5ad", ".zarr"):
        raise DataError(f"{out}: give a name that ends in .h5ad or .zarr")
    require_folder(out)
    if out.suffix == ".zarr":
        require_zarr(out)
    else:
        require_regular(out)
    if not isinstance(source, AnnData) and out.resolve() == Path(source).resolve():
        raise DataError(f"{out}: is the file that is read; choose another place")
    for folder in (csv, out if out.suffix == ".zarr" else None):
        if folder is not None and folder.exists():
            raise DataError(f"{folder}: exists already; remove it or choose another place")
    if csv is not None:
        require_folder(csv)


@contextmanager
def _complete(out: Path, csv: Path | None) -> Iterator[Path]:
    """Give the name of an ``.h5ad`` to write, and make of it what is asked for."""
    if out.suffix == ".h5ad":
        with written_atomically(out) as temporary:
            yield temporary
            _write_csv(temporary, csv)
        return
    with folder_written_atomically(out) as store:
        temporary = store.with_suffix(".h5ad")
        yield temporary
        write_zarr(temporary, store)
        _write_csv(temporary, csv)


def _write_csv(source: Path, csv: Path | None) -> None:
    if csv is not None:
        with folder_written_atomically(csv) as folder:
            write_csv(source, folder)
