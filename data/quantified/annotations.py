"""Tables about cells and transcripts: columns of ``obs``, and the gene of each transcript."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError

# The rest of a GENCODE name from its first bar, and a version.
_DECORATION = re.compile(r"\|.*|\.\d+(?=\||$)")


def read_genes(path: Path, transcripts: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find the gene of each transcript.

    Parameters
    ----------
    path
        A table without header, separated by tabs (``.csv``: by commas): transcript, gene; further
        columns and transcripts are ignored. Names that differ only by a version (``.2``), or from
        the first bar on, are matched without it.
    transcripts
        Names of the transcripts, shape (isoforms,).

    Returns
    -------
    genes
        Gene of each transcript, shape (isoforms,), strings.
    notes
        Remarks on the matching, one line each.

    Raises
    ------
    DataError
        If the table cannot be read, or lacks the gene of a transcript.
    """
    separator = "," if path.suffix == ".csv" else "\t"
    table = read_delimited(path, separator, header=None, dtype=str, na_filter=False)
    if table.shape[1] < 2:
        raise DataError(
            f"{path}: has one column; it needs two, transcript and gene, separated by "
            f"{'commas' if separator == ',' else 'tabs'}"
        )
    names, genes = table[0].fillna("").tolist(), table[1].fillna("").tolist()
    incomplete = [name for name, gene in zip(names, genes, strict=True) if not (name and gene)]
    if incomplete:
        raise DataError(
            f"{path}: has a line with only {incomplete[0]!r}; every line needs a transcript and a "
            "gene"
        )
    found = _look_up(path, names, genes, transcripts)
    notes: tuple[str, ...] = ()
    if None in found:
        bare_names, bare_transcripts = ([*map(_bare, each)] for each in (names, transcripts))
        found = _look_up(path, bare_names, genes, bare_transcripts)
        notes = (f"{path}: transcripts are matched without their versions",)
    if None in found:
        missing = found.count(None)
        raise DataError(
            f"{path}: has no gene for {missing} of {len(found)} transcripts, the first is "
            f"{transcripts[found.index(None)]}; use the table of the index that the cells were "
            "quantified with"
        )
    return np.array(found, dtype=str), notes


def genes_or_own(
    path: Path | None, transcripts: Sequence[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find genes by :func:`read_genes`; without a table, a transcript is a gene of its own.

    Genes have shape (isoforms,), strings.
    """
    if path is None:
        note = "without a table of genes (t2g), every transcript is taken for a gene of its own"
        return np.array(transcripts, dtype=str), (note,)
    return read_genes(path, transcripts)


def _bare(name: str) -> str:
    return _DECORATION.sub("", name)


def _look_up(
    path: Path, names: Sequence[str], genes: Sequence[str], wanted: Sequence[str]
) -> list[str | None]:
    """Look up genes; a wanted name with two genes is an error."""
    known: dict[str, str] = {}
    conflicting: dict[str, str] = {}
    for name, gene in zip(names, genes, strict=True):
        if known.setdefault(name, gene) != gene:
            conflicting[name] = gene
    for name in wanted:
        if name in conflicting:
            raise DataError(
                f"{path}: has two genes for the transcript {name}, {known[name]} and "
                f"{conflicting[name]}; remove one"
            )
    return [known.get(name) for name in wanted]


def read_cell_table(
    path: Path, cells: Sequence[str], reserved: Collection[str]
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read columns of ``obs``.

    Parameters
    ----------
    path
        A table with a header, separated by commas (``.tsv``: by tabs); its first column names the
        cells.
    cells
        Names of the cells, in the order of the result.
    reserved
        Columns that the table must not have.

    Returns
    -------
    table
        A row for each of ``cells``.
    notes
        Remarks on rows that are not used, one line each.

    Raises
    ------
    DataError
        If the table cannot be read, lacks a cell, has one twice, or has a column that is reserved.
    """
    table = read_delimited(path, converters={0: str})
    names = table.pop(table.columns[0])
    if names.duplicated().any():
        raise DataError(
            f"{path}: has the cell {names[names.duplicated()].iloc[0]} twice; remove one of its "
            "rows"
        )
    clash = [column for column in table.columns if column in reserved or "/" in column]
    if clash:
        raise DataError(
            f"{path}: has a column {clash[0]}, which is reserved or no name for a column of obs; "
            "rename or remove it"
        )
    table.index = pd.Index(names.tolist())
    missing = [cell for cell in cells if cell not in table.index]
    if missing:
        raise DataError(
            f"{path}: lacks {len(missing)} of {len(cells)} cells, the first is {missing[0]}; add a "
            "row for each, with the name of its directory in the first column"
        )
    notes: tuple[str, ...] = ()
    extra = len(table) - len(cells)
    if extra:
        first = table.index[~table.index.isin(cells)][0]
        notes = (f"{path}: {extra} rows, the first {first}, are of no cell that is imported",)
    table = table.loc[list(cells)]
    for column in table.columns[[kind.kind not in "biuf" for kind in table.dtypes]]:
        text = table[column].astype("string")  # numbers among text too
        table[column] = pd.Categorical(text.astype(object))
    return table, notes


def read_delimited(path: Path, separator: str | None = None, **options: Any) -> pd.DataFrame:
    """Read a table of text by :func:`pandas.read_csv`.

    Parameters
    ----------
    path
        The table.
    separator
        What separates columns; by default commas, and tabs in ``.tsv``.
    **options
        Further arguments of :func:`pandas.read_csv`.

    Raises
    ------
    DataError
        If the table cannot be read.
    """
    if separator is None:
        separator = "\t" if path.name.removesuffix(".gz").endswith(".tsv") else ","
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of lines that are too long
            return pd.read_csv(
                path, sep=separator, index_col=False, encoding="utf-8-sig", **options
            )
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path}: is no table that can be read ({error}); correct it") from error
