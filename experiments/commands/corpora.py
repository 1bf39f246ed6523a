"""Options by which commands read corpora."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...data.errors import DataError
from .options import existing_corpus

if TYPE_CHECKING:
    from ...data.corpora import Corpus
    from ..lda.fitting import LDAFit

CorpusPath = Annotated[
    Path,
    typer.Argument(
        metavar="CORPUS",
        help="Corpus: tab-separated text, .csv, .jsonl, folder of .txt, UCI bag of words, lda-c, "
        ".npz or .h5ad.",
        callback=existing_corpus,
    ),
]
Text = Annotated[str, typer.Option(metavar="COLUMN", help="Column of texts in .csv or .jsonl.")]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of labels.")]
Id = Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="Column of ids.")]
Tokens = Annotated[
    bool,
    typer.Option("--tokens", help="Split text at spaces alone, and take words as they are."),
]
StopWords = Annotated[
    str | None,
    typer.Option(
        metavar="english|none|FILE",
        help="Words to leave out (english from raw text); a file has one in each line.",
    ),
]
Ngrams = Annotated[
    int, typer.Option(min=1, metavar="N", help="Longest run of words that counts as a word.")
]
MinDf = Annotated[
    str, typer.Option(metavar="N|SHARE", help="Fewest documents that may hold a word: 5, or 0.01.")
]
MaxDf = Annotated[
    str, typer.Option(metavar="N|SHARE", help="Most documents that may hold a word: 500, or 0.5.")
]
DropUnknown = Annotated[
    bool,
    typer.Option(
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


def read_for(
    fit: LDAFit, path: Path, text: str, label: str | None, id: str | None, *, drop_unknown: bool
) -> Corpus:
    """Read a corpus in the vocabulary of a fit, its texts split as those of the fit were."""
    from ...data.corpus_formats import read_corpus
    from ...data.tokenizer import AS_THEY_ARE

    return read_corpus(
        path,
        fit.vocabulary,
        drop_unknown or fit.tokenizer not in (None, AS_THEY_ARE),
        text=text,
        label=label,
        id=id,
        tokenizer=fit.tokenizer,
    )
