"""Columns of a corpus that a fit keeps, so that they need not be named again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.corpus_formats import read_corpus

if TYPE_CHECKING:
    from ...data.corpora import Corpus
    from .fitting import LDAFit


def read_as(
    fit: LDAFit,
    path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    id: str | None = None,
    **options: Any,
) -> Corpus:
    """Read a corpus as that of a fit was read: its texts split likewise, its columns found.

    Parameters
    ----------
    fit
        The fit, whose ``config.json`` keeps the columns that were named.
    path
        File or folder.
    text, label, id
        Columns; by default those of the fit, where a file of the same kind has them.
    **options
        Other options of :func:`~exvae.data.corpus_formats.read_corpus`.
    """
    given = {"text": text, "label": label, "id": id}
    given = {role: name for role, name in given.items() if name is not None}
    kept = fit.config["data"].get("columns") or {}
    usual = {role: name for role, name in kept.items() if role not in given}
    return read_corpus(path, tokenizer=fit.tokenizer, usual=usual, **given, **options)
