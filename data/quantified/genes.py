"""The gene of each transcript, from tables as people have them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..errors import DataError
from .cell_files import first_line
from .delimited import SEPARATORS, read_delimited, separator_of

_GENCODE = re.compile(r"ENS\w*T[\d.]+\w*\|(ENS\w*G[\d.]+\w*)\|[^|]*\|[^|]*\|[^|]*\|([^|]+)\|\d+\|")
_VERSION = re.compile(r"\.\d+(?=$|_PAR_Y$)")
# Names of columns, without what is no letter.
_GENE = {"gene", "geneid", "ensemblgeneid", "ensemblgeneidversion", "ensg"}
_GENE |= {"genestableid", "genestableidversion"}
_GENE_NAME = {"genename", "genesymbol", "symbol", "externalgenename", "hgncsymbol", "mgisymbol"}
_TRANSCRIPT = {"transcript", "transcriptid", "transcriptname", "tx", "txid", "txname", "enst"}
_TRANSCRIPT |= {"target", "targetid", "ensembltranscriptid", "ensembltranscriptidversion"}
_TRANSCRIPT |= {"transcriptstableid", "transcriptstableidversion"}
_ANNOTATION = re.compile(r"\.(gtf|gff3?)(\.gz)?$", re.IGNORECASE)
# Columns that may hold the transcripts.
_FIRST_COLUMNS = 6


class Genes(NamedTuple):
    """Genes of transcripts.

    Attributes
    ----------
    genes
        Gene of each transcript, shape (isoforms,), strings.
    names
        Name of each gene, for people, shape (isoforms,), strings; None where unknown.
    notes
        Remarks, one line each.
    """

    genes: np.ndarray
    names: np.ndarray | None
    notes: tuple[str, ...]


class _Rows(NamedTuple):
    """Rows of a table, each of shape (rows,)."""

    transcripts: list[str]
    genes: list[str]
    names: list[str] | None


def genes_or_own(
    path: Path | None, transcripts: Sequence[str], lengths: Sequence[int] | None = None
) -> Genes:
    """Find genes by :func:`read_genes`; without a table, a transcript is a gene of its own.

    Names of GENCODE, ``transcript|gene|...|gene name|length|type|``, tell genes without a table.

    Parameters
    ----------
    path
        The table, or None.
    transcripts
        Names of the transcripts, shape (isoforms,).
    lengths
        Their lengths (bases), shape (isoforms,); None if unknown.

    Raises
    ------
    DataError
        If the table cannot be used, or its column of genes holds lengths or other numbers that
        no two transcripts share.
    """
    if path is None and (found := _of_gencode(transcripts)) is not None:
        return found
    if path is None:
        note = "without a table of genes (t2g), every transcript is taken for a gene of its own"
        return Genes(np.array(transcripts, dtype=str), None, (note,))
    found = read_genes(path, transcripts)
    return found._replace(notes=(*found.notes, *_notes_on_sharing(path, found.genes, lengths)))


def _of_gencode(transcripts: Sequence[str]) -> Genes | None:
    """Take genes from names of transcripts, shape (isoforms,), if all are as GENCODE has them."""
    parts = [_GENCODE.match(name) for name in transcripts]
    if not all(parts):
        return None
    genes, names = (np.array([part[group] for part in parts], dtype=str) for group in (1, 2))
    note = "without a table of genes (t2g), genes are those in the transcripts' names, of GENCODE"
    return Genes(genes, names, (note,))


def _notes_on_sharing(
    path: Path, genes: np.ndarray, lengths: Sequence[int] | None
) -> tuple[str, ...]:
    """Remark on genes, shape (isoforms,), that no two transcripts share, or that all share."""
    if len(genes) < 2:
        return ()
    num_genes = len(np.unique(genes))
    if num_genes == 1:
        return (
            f"warning: {path}: all transcripts have one gene, {genes[0]}; is it the right column?",
        )
    shared = num_genes < len(genes)
    numbers = sum(gene.isdecimal() for gene in genes)
    as_long = 0 if lengths is None else np.sum(genes == np.asarray(lengths).astype(str))
    # Numbers that transcripts share are genes, too: Entrez numbers them.
    if 2 * as_long > len(genes) or (not shared and 2 * numbers > len(genes)):
        raise DataError(
            f"{path}: its column of genes holds numbers, such as lengths, and no names; give a "
            "table of transcript and gene, as kb ref writes it (t2g.txt)"
        )
    if shared:
        return ()
    return (f"{path}: no two transcripts share a gene; is the second column the gene?",)


def read_genes(path: Path, transcripts: Sequence[str]) -> Genes:
    """Find the gene of each transcript.

    Parameters
    ----------
    path
        A table separated by tabs, commas or semicolons, with a header or without: transcript,
        gene, and perhaps the name of the gene; the transcripts may be in another column. Further
        columns and transcripts are ignored. A transcript that the table lacks is matched without
        what follows a bar, without its version, or without ``_PAR_Y``, unless two transcripts
        then have one name.
    transcripts
        Names of the transcripts, shape (isoforms,).

    Returns
    -------
    Genes
        A transcript without a gene is a gene of its own, and a remark tells of it.

    Raises
    ------
    DataError
        If the table cannot be read, lacks the genes of most transcripts, or has two for one.
    """
    rows = _read_rows(path, transcripts)
    found, num_shortened = _rows_of(path, rows, transcripts)
    notes = []
    if num_shortened:
        notes.append(
            f"{path}: {num_shortened} of {len(found)} transcripts are matched without their "
            "versions, or without other additions to their names"
        )
    genes = ["" if row is None else rows.genes[row] for row in found]
    missing = [name for name, gene in zip(transcripts, genes, strict=True) if not gene]
    if missing:
        told = (
            f"{path}: has no gene for {len(missing)} of {len(found)} transcripts, the first is "
            f"{missing[0]}"
        )
        if 2 * len(missing) > len(found):
            raise DataError(
                f"{told}; use the table of the index that the cells were quantified with"
            )
        notes.append(f"{told}; each is taken for a gene of its own")
    genes = [gene or name for name, gene in zip(transcripts, genes, strict=True)]
    names = None
    if rows.names is not None:
        named = ["" if row is None else rows.names[row] for row in found]
        names = np.array([name or gene for name, gene in zip(named, genes, strict=True)], dtype=str)
    return Genes(np.array(genes, dtype=str), names, tuple(notes))


def _read_rows(path: Path, transcripts: Sequence[str]) -> _Rows:
    """Read a table and tell its columns apart."""
    if _ANNOTATION.search(path.name):
        raise DataError(
            f"{path}: is an annotation (GTF or GFF); give a table of transcript and gene, as "
            "kb ref writes it (t2g.txt)"
        )
    if first_line(path).startswith(">"):
        raise DataError(
            f"{path}: holds sequences (FASTA); give a table of transcript and gene, as kb ref "
            "writes it (t2g.txt)"
        )
    separator = separator_of(path, otherwise="\t")
    # Among tabs a quotation mark is a part of a field, so that one without a partner harms nothing.
    quoting = {"quoting": 3} if separator == "\t" else {}
    table = read_delimited(path, separator, header=None, dtype=str, na_filter=False, **quoting)
    if table.shape[1] < 2:
        raise DataError(
            f"{path}: has one column; it needs two, transcript and gene, separated by "
            f"{SEPARATORS[separator]}"
        )
    table = table.fillna("").apply(lambda column: column.str.strip(' "'))
    columns = [table[number].tolist() for number in table]
    known = [_letters(column[0]) for column in columns]
    has_header = bool({*known} & _TRANSCRIPT and {*known} & (_GENE | _GENE_NAME))
    own = _column_of(columns, transcripts)
    others = [number for number in range(len(columns)) if number != own]
    gene, name = others[0], others[1] if len(others) > 1 else None
    if has_header:
        columns = [column[1:] for column in columns]
        named = [number for number in others if known[number] in _GENE_NAME]
        identified = [number for number in others if known[number] in _GENE]
        gene = (identified or named or others)[0]
        name = named[0] if named and named[0] != gene else None
    elif name is not None and not _are_names(columns[gene], columns[name]):
        name = None
    return _Rows(columns[own], columns[gene], None if name is None else columns[name])


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def _column_of(columns: list[list[str]], transcripts: Sequence[str]) -> int:
    """Find the column that has most of the transcripts; the first of several."""
    candidates = columns[:_FIRST_COLUMNS]
    for level in range(len(_SHORTENED) + 1):
        wanted = {_shortened(name, level) for name in transcripts}
        matches = [
            len(wanted.intersection(_shortened(name, level) for name in column))
            for column in candidates
        ]
        if 2 * max(matches) > len(wanted):
            break
    return int(np.argmax(matches))


def _are_names(genes: list[str], names: list[str]) -> bool:
    """Tell whether a column names genes: one name for each, and not few names for many genes."""
    pairs = pd.DataFrame({"gene": genes, "name": names}).drop_duplicates()
    pairs = pairs[pairs["gene"] != ""]
    return not pairs["gene"].duplicated().any() and 2 * pairs["name"].nunique() > len(pairs)


def _before_bar(name: str) -> str:
    return name.partition("|")[0]


def _without_version(name: str) -> str:
    return _VERSION.sub("", _before_bar(name))


def _without_par(name: str) -> str:
    return _before_bar(name).removesuffix("_PAR_Y")


def _bare(name: str) -> str:
    return _without_version(name).removesuffix("_PAR_Y")


# Each leaves out more than the one before.
_SHORTENED = (_before_bar, _without_version, _without_par, _bare)


def _shortened(name: str, level: int) -> str:
    return _SHORTENED[level - 1](name) if level else name


def _rows_of(path: Path, rows: _Rows, transcripts: Sequence[str]) -> tuple[list[int | None], int]:
    """Find the row of each transcript, and the number of those found by a shortened name."""
    found = _look_up(path, rows, rows.transcripts, transcripts)
    num_exact = len(found) - found.count(None)
    for level in range(1, len(_SHORTENED) + 1):
        if None not in found:
            break
        wanted = [_shortened(name, level) for name in transcripts]
        twins = {name for name, count in Counter(wanted).items() if count > 1}
        keys = [
            None if row is not None or name in twins else name
            for row, name in zip(found, wanted, strict=True)
        ]
        names = [_shortened(name, level) for name in rows.transcripts]
        more = _look_up(path, rows, names, keys)
        found = [own if own is not None else new for own, new in zip(found, more, strict=True)]
    return found, len(found) - found.count(None) - num_exact


def _look_up(
    path: Path, rows: _Rows, names: Sequence[str], wanted: Sequence[str | None]
) -> list[int | None]:
    """Look up rows by name, rows with a gene before others; None is not looked up.

    Raises
    ------
    DataError
        If a wanted name has two genes.
    """
    known: dict[str, int] = {}
    conflicting: dict[str, int] = {}
    for number, (name, gene) in enumerate(zip(names, rows.genes, strict=True)):
        first = known.setdefault(name, number)
        if not rows.genes[first]:
            known[name] = number
        elif gene and rows.genes[first] != gene:
            conflicting[name] = number
    for name in wanted:
        if name in conflicting:
            genes = f"{rows.genes[known[name]]} and {rows.genes[conflicting[name]]}"
            raise DataError(f"{path}: has two genes for the transcript {name}, {genes}; remove one")
    return [None if name is None else known.get(name) for name in wanted]
