"""Options by which commands read corpora."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...data.errors import DataError
from . import panels
from .options import existing_corpus

if TYPE_CHECKING:
    from ...data.corpora import Corpus
    from ..lda.fitting import LDAFit

CorpusPath = Annotated[
    Path,
    typer.Argument(
        metavar="CORPUS",
        help="Corpus: tab-separated text, .csv, .jsonl, folder of .txt, UCI bag of words, lda-c, "
        "MatrixMarket, .npz or .h5ad.",
        callback=existing_corpus,
    ),
]
Text = Annotated[
    str | None,
    panels.data(
        metavar="COLUMN",
        help="Column of texts; tab-separated columns without names have numbers from 1. "
        "[default: text, or that of the fit]",
    ),
]
Label = Annotated[str | None, panels.data(metavar="COLUMN", help="Column of labels.")]
Id = Annotated[str | None, panels.data("--id", metavar="COLUMN", help="Column of ids.")]
Tokens = Annotated[
    bool,
    panels.data("--tokens", help="Split text at spaces alone, and take words as they are."),
]
StopWords = Annotated[
    str | None,
    panels.data(
        metavar="english|none|FILE",
        help="Words to leave out (english from raw text); a file has one in each line.",
    ),
]
Ngrams = Annotated[
    int, panels.data(min=1, metavar="N", help="Longest run of words that counts as a word.")
]
MinDf = Annotated[
    str, panels.data(metavar="N|SHARE", help="Fewest documents that may hold a word: 5, or 0.01.")
]
MaxDf = Annotated[
    str, panels.data(metavar="N|SHARE", help="Most documents that may hold a word: 500, or 0.5.")
]
Vocabulary = Annotated[
    Path | None,
    panels.data(
        "--vocabulary",
        metavar="FILE",
        help="Words of a corpus of counts, one in each line, if they are not beside it.",
    ),
]
KeepEmpty = Annotated[
    bool,
    panels.data(
        "--keep-empty",
        help="Refuse documents without words, in place of leaving them out of training.",
    ),
]
DropUnknown = Annotated[
    bool,
    panels.data(
        "--drop-unknown",
        help="Leave out words that are not in the vocabulary of the fit, as is done with raw text.",
    ),
]


def vocabulary_options(
    stop_words: str | None, ngrams: int, min_df: str, max_df: str
) -> dict[str, Any]:
    """Keyword arguments of :func:`~exvae.data.corpus_formats.read_corpus` from options.

    Raises
    ------
    DataError
        If a limit is no number, or the file of stop words cannot be read.

    Examples
    --------
    >>> vocabulary_options("none", 2, "5", "0.5")
    {'min_df': 5, 'max_df': 0.5, 'stop_words': None, 'ngram_range': (1, 2)}
    """
    options = {"min_df": _limit("--min-df", min_df), "max_df": _limit("--max-df", max_df)}
    if stop_words is not None:
        options["stop_words"] = _stop_words(stop_words)
    if ngrams > 1:
        options["ngram_range"] = (1, ngrams)
    return options


def _limit(option: str, value: str) -> int | float:
    """Read a number of documents, or a share of them."""
    try:
        number = float(value) if "." in value else int(value)
    except ValueError:
        number = -1
    if number < 0 or ("." in value and number > 1):
        raise DataError(f"{option} is {value}; give a number of documents or a share such as 0.5")
    return number


def _stop_words(value: str) -> str | list[str] | None:
    if value == "none":
        return None
    if value == "english":
        return value
    from ...data.corpus_formats.files import numbered_lines

    return [line.strip() for _, line in numbered_lines(Path(value))]


def found_columns(corpus: Corpus, given: dict[str, str | None]) -> list[str]:
    """Tell which columns that were not given are taken by their usual names, in a line or none."""
    columns = corpus.columns or {}
    found = [role for role, name in given.items() if name is None and role in columns]
    if not found:
        return []
    told = " and ".join(f"{columns[role]!r} as the {role}s" for role in found)
    options = " and ".join(f"--{role}" for role in found)
    return [f"{corpus.source}: column {told}, by the name; name others with {options}"]


def read_for(
    fit: LDAFit,
    path: Path,
    text: str | None,
    label: str | None,
    id: str | None,
    vocabulary: Path | None,
    *,
    drop_unknown: bool,
) -> Corpus:
    """Read a corpus in the vocabulary of a fit, its texts split as those of the fit were.

    A warning tells how many words are left out because the fit does not know them.
    """
    from ...data.corpus_formats.vocabularies import map_words
    from ...data.tokenizer import AS_THEY_ARE
    from ..lda.columns import read_as
    from ..lda.fitting import warn

    own = read_as(fit, path, vocabulary_file=vocabulary, text=text, label=label, id=id)
    drop_unknown = drop_unknown or fit.tokenizer not in (None, AS_THEY_ARE)
    known = map_words(own, fit.vocabulary, drop_unknown=drop_unknown)
    dropped = own.num_tokens - known.num_tokens
    if dropped:
        warn(
            f"{path}: {dropped} of {own.num_tokens} words (occurrences) are not in the vocabulary "
            "of the fit and are left out"
        )
    return known
