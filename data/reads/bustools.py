"""Class counts that kallisto | bustools left, in one folder for many cells.

The folder is the one that ``kallisto bus`` and ``bustools count --cm -m`` wrote to, in the layout
of any of them: files are found by their names and endings in the folder and one below.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.io import mmread
from scipy.sparse import csr_matrix

from ..errors import DataError
from ..files import open_text, reading
from ..quantified.cell_files import read_information
from .classes import ReadClasses
from .effective_lengths import effective_lengths

_COUNT = "count them with `bustools count --cm -m`"
_DAMAGED = "run kallisto bus and bustools count again"
# What quant-tcc writes beside the counts.
_OTHER_MATRICES = ("matrix.abundance", "matrix.efflens", "matrix.fld", "matrix.tpm")
_TECHNOLOGIES = ("bulk", "smartseq2", "smartseq3", "smartseq")
# Length of fragments where nothing tells it (bases).
_USUAL_FRAGMENT = 200


def read_bustools(
    folder: Path, lengths_file: Path | None = None
) -> tuple[ReadClasses, tuple[str, ...]]:
    """Read the class counts of cells.

    Parameters
    ----------
    folder
        Folder with a count matrix (cells x classes, ``.mtx``), the isoforms of its classes
        (``.ec.txt`` of the same name, or ``matrix.ec``), ``transcripts.txt``, and the names of the
        cells (``matrix.cells``, or barcodes beside the matrix). Lengths come from
        ``transcript_lengths.txt``, which ``quant-tcc`` writes, and lengths of fragments from
        ``flens.txt``. Files may be packed (``.gz``).
    lengths_file
        Table of names and lengths (bases) of isoforms, or their sequences in FASTA, where the
        folder holds no ``transcript_lengths.txt``.

    Returns
    -------
    classes
        The counts.
    notes
        Remarks for the user, one line each.

    Raises
    ------
    DataError
        If a file is missing or damaged, or files do not fit each other.
    """
    files = {_plain(path): path for path in _files(folder)}
    matrix, classes = _matrix_and_classes(folder, files)
    isoforms = _lines(_found(folder, files, "transcripts.txt"))
    starts, members = _members(classes, len(isoforms))
    counts = _counts(matrix, len(starts) - 1, classes)
    cells, notes = _cells(folder, files, matrix, counts.shape[0])
    lengths = _lengths(folder, files, isoforms, lengths_file)
    fragments = _fragments(files)
    effective, length_notes = _effective_lengths(lengths, fragments)
    notes = (*notes, *length_notes, *_technology(files))
    own = (cells, np.array(isoforms), lengths, effective, fragments)
    return ReadClasses(counts, starts, members, 1 / effective[members], *own), notes


def is_bustools(folder: Path) -> bool:
    """Tell whether a folder, or one in it, holds the transcripts that kallisto bus wrote."""
    names = ("transcripts.txt", "transcripts.txt.gz")
    with reading(folder, "there is no such folder", "check it"):
        places = [folder, *(entry for entry in folder.iterdir() if entry.is_dir())]
    return any((place / name).is_file() for place in places for name in names)


def _plain(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _files(folder: Path) -> Iterator[Path]:
    """Files of a folder and of folders in it; those that are nearer come last."""
    with reading(folder, "there is no such folder", "check it"):
        entries = sorted(folder.iterdir())
    for entry in entries:
        if entry.is_dir():
            with reading(entry, "there is no such folder", "check it"):
                yield from (path for path in sorted(entry.iterdir()) if path.is_file())
    yield from (entry for entry in entries if entry.is_file())


def _found(folder: Path, files: dict[str, Path], name: str, remedy: str = _DAMAGED) -> Path:
    if name not in files:
        raise DataError(f"{folder}: holds no {name}; {remedy}")
    return files[name]


def _matrix_and_classes(folder: Path, files: dict[str, Path]) -> tuple[Path, Path]:
    """Find the matrix of counts and the isoforms of its classes."""
    matrices = [
        name for name in files if name.endswith(".mtx") and not name.startswith(_OTHER_MATRICES)
    ]
    own = [name for name in matrices if f"{name.removesuffix('.mtx')}.ec.txt" in files]
    candidates = own or matrices
    if not candidates:
        raise DataError(f"{folder}: holds no matrix of class counts (.mtx); {_COUNT}")
    if len(candidates) > 1:
        raise DataError(
            f"{folder}: holds several matrices, {files[candidates[0]].name} and "
            f"{files[candidates[1]].name} among them; give a folder with one"
        )
    if own:
        return files[own[0]], files[f"{own[0].removesuffix('.mtx')}.ec.txt"]
    return files[matrices[0]], _found(folder, files, "matrix.ec", _COUNT)


def _lines(path: Path) -> list[str]:
    with reading(path, "there is no such file", _DAMAGED), open_text(path) as file:
        lines = file.read().splitlines()
    if not lines:
        raise DataError(f"{path}: is empty; {_DAMAGED}")
    return lines


def _members(path: Path, num_isoforms: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the isoforms of classes: number of the class, tab, positions separated by commas."""
    starts, members = [0], []
    for number, line in enumerate(_lines(path)):
        label, _, listed = line.partition("\t")
        try:
            own = sorted(set(map(int, listed.split(","))))
            known = int(label) == number and own[0] >= 0 and own[-1] < num_isoforms
        except ValueError:
            known = False
        if not known:
            raise DataError(
                f"{path}: line {number + 1} is no class {number} of some of the {num_isoforms} "
                f"isoforms of transcripts.txt; {_DAMAGED}"
            )
        members.extend(own)
        starts.append(len(members))
    return np.array(starts), np.array(members, np.int32)


def _counts(path: Path, num_classes: int, classes: Path) -> csr_matrix:
    """Read the counts, shape (cells, classes)."""
    with reading(path, "there is no such file", _DAMAGED, (ValueError, OverflowError)):
        matrix = mmread(str(path))
    if not hasattr(matrix, "tocsr") or matrix.shape[1] != num_classes:
        raise DataError(
            f"{path}: has {matrix.shape[1]} columns, and {classes.name} {num_classes} classes; "
            f"{_COUNT}"
        )
    counts = matrix.tocsr()
    counts.sum_duplicates()
    counts.eliminate_zeros()
    whole = np.isfinite(counts.data) & (counts.data == np.floor(counts.data)) & (counts.data > 0)
    if not whole.all():
        wrong = counts.data[~whole][0]
        raise DataError(
            f"{path}: holds {wrong:g}, which is no number of reads; {_COUNT}, without corrections"
        )
    if counts.data.max(initial=0) >= 2**31:
        raise DataError(f"{path}: holds {counts.data.max():g} reads of one class; {_DAMAGED}")
    return counts.astype(np.int32)


def _cells(
    folder: Path, files: dict[str, Path], matrix: Path, number: int
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Find names of cells, in the order of the rows."""
    barcodes = f"{_plain(matrix).removesuffix('.mtx')}.barcodes.txt"
    for name in ("matrix.cells", barcodes, "matrix.sample.barcodes"):
        if name not in files:
            continue
        names = _lines(files[name])
        if len(names) != number:
            raise DataError(
                f"{files[name]}: names {len(names)} cells, and {matrix.name} has {number} rows; "
                f"{_DAMAGED}"
            )
        if len(set(names)) < number:
            raise DataError(f"{files[name]}: names a cell twice; make the names distinct")
        return np.array(names), ()
    raise DataError(
        f"{folder}: neither matrix.cells nor {barcodes} names the {number} rows of {matrix.name}; "
        f"{_DAMAGED}"
    )


def _lengths(
    folder: Path, files: dict[str, Path], isoforms: list[str], given: Path | None
) -> np.ndarray:
    remedy = "give the lengths of transcripts or their FASTA (--lengths), or run kallisto quant-tcc"
    path = given or _found(folder, files, "transcript_lengths.txt", remedy)
    lengths: dict[str, int] = {}
    lines = _lines(path)
    is_fasta, name = lines[0].startswith(">"), ""
    for line in lines:
        words = line.lstrip(">").split()
        if is_fasta and not line.startswith(">"):
            lengths[name] += len(line.strip())
            continue
        name, length = words[0] if words else "", 0
        if not is_fasta:
            if len(words) != 2 or not words[1].isdigit() or int(words[1]) == 0:
                raise DataError(f"{path}: {line!r} is no name and length (bases); {remedy}")
            length = int(words[1])
        lengths[name] = length
    missing = [name for name in isoforms if name not in lengths]
    if missing:
        raise DataError(
            f"{path}: lacks {len(missing)} of {len(isoforms)} isoforms, the first {missing[0]}; "
            "give the lengths of the transcripts that were indexed"
        )
    return np.array([lengths[name] for name in isoforms], np.int32)


def _fragments(files: dict[str, Path]) -> np.ndarray | None:
    """Count the fragments of all cells by their length (bases); None if there are none."""
    if "flens.txt" not in files:
        return None
    path = files["flens.txt"]
    with (
        reading(path, "there is no such file", _DAMAGED, (ValueError,)),
        open_text(path) as file,
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")
        fragments = np.loadtxt(file, ndmin=2).sum(0)
    return fragments if fragments.sum() > 0 else None


def _effective_lengths(
    lengths: np.ndarray, fragments: np.ndarray | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Compute effective lengths from the fragments of all cells."""
    if fragments is not None:
        return effective_lengths(lengths, fragments), ()
    fragments = np.zeros(_USUAL_FRAGMENT + 1)
    fragments[-1] = 1
    note = (
        f"without fragment lengths (flens.txt, which kallisto bus --paired writes), fragments of "
        f"{_USUAL_FRAGMENT} bases are assumed"
    )
    return effective_lengths(lengths, fragments), (note,)


def _technology(files: dict[str, Path]) -> tuple[str, ...]:
    """Warn of reads of the ends of transcripts, which fit isoforms in ways classes do not show."""
    if "run_info.json" not in files:
        return ()
    call = str(read_information(files["run_info.json"])[0].get("call", ""))
    words = call.split()
    options = [after for word, after in zip(words, words[1:], strict=False) if word == "-x"]
    if not options or options[0].lower() in _TECHNOLOGIES:
        return ()
    return (
        f"warning: kallisto bus ran with -x {options[0]}: reads of the ends of transcripts, with "
        "molecules counted once, do not tell isoforms apart as reads of whole transcripts do",
    )
