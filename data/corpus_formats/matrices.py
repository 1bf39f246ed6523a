"""Corpora as matrices of counts: MatrixMarket, also of gensim, and sparse matrices of scipy."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import scipy.io
import scipy.sparse

from ..corpora import Corpus
from ..errors import DataError, DataWarning
from .counts import corpus_of_csr
from .files import open_file
from .vocabulary_files import read_vocabulary, vocabulary_beside

# Length to which gensim pads the line of sizes.
_GENSIM_SIZES = 50


def read_matrix_market(path: Path, vocabulary_file: Path | None) -> Corpus:
    """Read a corpus; rows or columns are the documents, whichever the vocabulary leaves."""
    with open_file(path) as file:
        header = [file.readline().decode("utf-8", "replace") for _ in range(2)]
    if "symmetric" in header[0].lower() or "hermitian" in header[0].lower():
        raise DataError(
            f"{path}: is a symmetric matrix; give a matrix of documents by words, general"
        )
    try:
        with open_file(path) as file:
            matrix = scipy.io.mmread(file)
    except (ValueError, OverflowError, TypeError) as error:
        raise DataError(
            f"{path}: is no MatrixMarket file, or damaged ({error}); write it again"
        ) from error
    by_gensim = len(header[1].rstrip("\r\n")) >= _GENSIM_SIZES
    return _corpus(path, matrix, vocabulary_file, by_gensim)


def is_sparse_npz(path: Path) -> bool:
    """Tell whether an ``.npz`` is a sparse matrix that scipy saved."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return {"format.npy", "shape.npy", "data.npy"} <= set(names)


def read_sparse_npz(path: Path, vocabulary_file: Path | None) -> Corpus:
    """Read a corpus of ``scipy.sparse.save_npz``."""
    try:
        matrix = scipy.sparse.load_npz(path)
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: is damaged ({error}); write it again") from error
    return _corpus(path, matrix, vocabulary_file, False)


def _corpus(path: Path, matrix: Any, vocabulary_file: Path | None, by_gensim: bool) -> Corpus:
    vocabulary = read_vocabulary(vocabulary_beside(path, vocabulary_file))
    counts = scipy.sparse.csr_matrix(matrix)
    counts.sum_duplicates()
    if _words_are_rows(path, counts.shape, len(vocabulary), by_gensim):
        counts = counts.T.tocsr()
    return corpus_of_csr(path, vocabulary, counts, "the matrix")


def _words_are_rows(path: Path, shape: tuple[int, int], size: int, by_gensim: bool) -> bool:
    """Find which side of a matrix is the vocabulary, of ``size`` words.

    The columns of gensim end with the last word that occurs, so they may be fewer than the words.
    """
    rows, columns = shape
    if columns == size or (columns < size and (by_gensim or rows > size)):
        if rows == columns and not by_gensim:
            _note(path, f"has {rows} rows and columns; rows are taken as documents")
        return False
    if rows != size:
        raise DataError(
            f"{path}: has {rows} rows and {columns} columns but the vocabulary has {size} words; "
            "give the vocabulary of its rows or columns by --vocabulary (vocabulary_file)"
        )
    _note(path, f"has the {rows} words of the vocabulary as rows; columns are taken as documents")
    return True


def _note(path: Path, message: str) -> None:
    warnings.warn(f"{path}: {message}", DataWarning, stacklevel=4)
