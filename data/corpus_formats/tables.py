"""Corpora as tables with a column of texts: CSV, and JSON lines."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pandas as pd

from ..corpora import Corpus
from ..errors import DataError
from ..texts import columns_of, corpus_of_texts
from ..tokenizer import tokenizer_of
from .options import TextOptions

TABLE_NAME = re.compile(r".+\.(csv|jsonl)(\.gz)?")


def read_table(path: Path, options: TextOptions) -> Corpus:
    """Read a corpus from the rows of a table; DataError if it or a column cannot be read."""
    kind = TABLE_NAME.fullmatch(path.name).group(1)
    try:
        if kind == "csv":
            with warnings.catch_warnings():
                # Of rows longer than the header, whose first fields would be taken for an index.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                # Classes and names stay as written: 007 is no number.
                table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
        else:
            table = pd.read_json(path, lines=True, dtype=False, convert_dates=False)
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise DataError(
            f"{path}: is no {'CSV' if kind == 'csv' else 'JSON lines'} in UTF-8 ({error}); write "
            "it again"
        ) from error
    if table.empty:
        raise DataError(f"{path}: has no rows; give a table with a row for each document")
    columns = columns_of(table, options.text, options.label, options.id, source=str(path))
    return corpus_of_texts(
        columns["texts"],
        options.tokenizer or tokenizer_of(options.tokenizing, tokens=options.tokens),
        names=columns["ids"],
        labels=columns["labels"],
        source=str(path),
    )
