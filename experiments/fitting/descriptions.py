"""The description of a fit, ``config.json``: what it must hold, and its digest.

Only parts that a fit needs when it is loaded or resumed are checked; models check their options.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import NoneType
from typing import Any, NoReturn

# Most bytes of a file; names of batches are the largest part.
MOST_BYTES = 1 << 26
# Digests of the description itself and of the text files of a fit, by name.
DIGESTS = "digests"
_SELF = "config.json"

_TEXT_OR_NONE = (str, NoneType)
_TRAINING: dict[str, Any] = {
    "epochs": int,
    "batch_size": int,
    "learning_rate": float,
    "seed": int,
    "device": str,
    "patience": int,
}
# Types of values by kind of fit, part and name.
_FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "lda": {
        "model": {"num_topics": int, "guide": str, "pooling": str, "options": dict},
        "training": _TRAINING,
        "split": {"seed": int, "test_fraction": float, "val_fraction": float},
        "data": {"fingerprint": str, "training_documents": int, "vocabulary_size": int},
    },
    "isoforms": {
        "model": {
            "model": str,
            "guide": _TEXT_OR_NONE,
            "pooling": str,
            "decoder": str,
            "options": dict,
            "encoder_bootstraps": int,
        },
        "training": _TRAINING,
        "split": {"train_fraction": float},
        "data": {
            "fingerprint": str,
            "cells": int,
            "isoforms": int,
            "gene_key": _TEXT_OR_NONE,
            "batch_key": _TEXT_OR_NONE,
            "batch_names": list,
        },
    },
}


def text_of(description: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """Make the content of ``config.json``.

    Parameters
    ----------
    description
        What was fitted.
    files
        SHA-256 of the text files of the fit, by name.
    """
    digests = {**files, _SELF: _digest(description)}
    return json.dumps({**description, DIGESTS: digests}, indent=2) + "\n"


def parse(text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Parse the content of ``config.json``; the opposite of :func:`text_of`.

    Raises
    ------
    ValueError
        If the content is damaged, or is no description of a fit.
    """
    try:
        description = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    digests = description.pop(DIGESTS, None) if isinstance(description, dict) else None
    if not isinstance(digests, dict) or not all(map(_is_text, digests.values())):
        raise ValueError("it is no description of a fit by this version of exvae")
    if digests.pop(_SELF, None) != _digest(description):
        raise ValueError("its digest is another: it was changed")
    return description, digests


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}")


def _digest(description: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(description).encode()).hexdigest()


def check(description: Mapping[str, Any]) -> None:
    """Check the parts of a description.

    Raises
    ------
    ValueError
        If a part is missing or of another type.
    """
    kind = description.get("kind")
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise ValueError(f"kind is {kind!r}")
    for part, fields in _FIELDS[kind].items():
        values = description.get(part)
        if not isinstance(values, dict):
            raise ValueError(f"{part} is missing")
        for name, wanted in fields.items():
            if name not in values:
                raise ValueError(f"{part}.{name} is missing")
            if not _is_of(values[name], wanted):
                raise ValueError(f"{part}.{name} is {str(values[name])[:40]!r}")
    for part in ("versions", "tokenizer"):
        if not isinstance(description.get(part), dict | None):
            raise ValueError(f"{part} is no dictionary")
    if not all(map(_is_text, description["data"].get("batch_names", ()))):
        raise ValueError("data.batch_names holds something else than text")


def _is_of(value: object, wanted: Any) -> bool:
    """Whether a value is of a type; true and false are no numbers, and numbers are not negative."""
    if isinstance(value, bool):
        return False
    if wanted is float:
        return isinstance(value, int | float) and value >= 0
    return isinstance(value, wanted) and not (wanted is int and value < 0)
