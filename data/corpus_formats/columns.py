"""What the columns of tab-separated text are: text, split, label and id of documents."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..corpora import SPLITS
from ..errors import DataError, DataWarning
from .files import numbered_lines
from .options import TextOptions
from .recognition import TEXT_NAMES

# Names of columns in the first line, and what they are.
ROLES = {
    **dict.fromkeys(TEXT_NAMES, "text"),
    "split": "split",
    **dict.fromkeys(("label", "labels", "class", "category"), "label"),
    **dict.fromkeys(("id", "ids", "doc_id", "docid", "document_id", "name"), "id"),
}
# The second of two columns is of splits if any value is one.
SPLIT_OR_LABEL = "split or label"
_USUAL = ("text", "split", "label")
# Ids and labels have at most so many words; texts are longer by such a factor on average, and are
# as often distinct.
_MOST_WORDS, _FACTOR, _DISTINCT = 3, 2.0, 0.5
_FEWEST_LINES = 3


class Columns(NamedTuple):
    """Role of each column, and whether the first line names them.

    Attributes
    ----------
    roles
        ``text``, ``split``, ``label``, ``id``, :data:`SPLIT_OR_LABEL`, or empty for a column that
        is left out.
    header
        Whether the first line is no document.
    """

    roles: tuple[str, ...]
    header: bool = False

    @property
    def text(self) -> int:
        """Position of the texts."""
        return self.roles.index("text")


def columns_of_lines(path: Path, lines: list[str], options: TextOptions) -> Columns:
    """Find the roles of the columns of tab-separated text.

    Parameters
    ----------
    path
        The file, for messages.
    lines
        Its first lines.
    options
        Columns that its user named, by their names in the first line or by numbers from 1.

    Raises
    ------
    DataError
        If a named column does not exist.
    """
    rows = [line.split("\t") for line in lines]
    first = [name.strip() for name in rows[0]] if rows else [""]
    options = options.recalled([*first, *(str(place) for place in range(1, len(first) + 1))])
    if options.names_columns:
        return _named(path, first, options)
    roles = [ROLES.get(name.lower(), "") for name in first]
    roles[0] = roles[0] or ("" if first[0] else "id")
    if roles.count("text") == 1 and _is_header(first, rows[1:], roles.index("text")):
        kept = [role if role not in roles[:place] else "" for place, role in enumerate(roles)]
        return Columns(tuple(kept), header=True)
    _refuse_spaced_columns(path, lines)
    if _counts_documents(path, lines):
        return Columns(("text",), header=True)
    return _by_content(path, rows) or _usual(len(first))


def _counts_documents(path: Path, lines: list[str]) -> bool:
    """Tell whether the first line is the number of the others, as in GibbsLDA++ and gensim."""
    if len(lines) < 2 or not lines[0].strip().isdecimal():
        return False
    return int(lines[0]) == sum(1 for _ in numbered_lines(path, blank=True)) - 1


def _refuse_spaced_columns(path: Path, lines: list[str]) -> None:
    """Refuse MALLET's ``id label text`` with spaces between, which look like words of the text."""
    starts = [line.split(" ", 2)[:2] for line in lines]
    numbers = [own[0] for own in starts]
    if len(starts) < _FEWEST_LINES or any(len(own) < 2 for own in starts):
        return
    counted = [[str(first + place) for place in range(len(starts))] for first in (0, 1)]
    if numbers in counted and 2 * len({own[1] for own in starts}) < len(starts):
        raise DataError(
            f"{path}: looks like `id label text` of MALLET with spaces between; separate id, label "
            "and text by tabs, or set tokens to take all as words"
        )


def _usual(width: int) -> Columns:
    return Columns(("text", SPLIT_OR_LABEL) if width == 2 else _USUAL[:width])


def _named(path: Path, first: list[str], options: TextOptions) -> Columns:
    """Roles of the columns that the user named."""
    wanted = {"text": options.text, "label": options.label, "id": options.id}
    chosen = {role: name for role, name in wanted.items() if name is not None}
    header = not all(name.isdigit() or (role, name) == ("text", "text")
                     for role, name in chosen.items())  # fmt: skip
    known = first if header else [str(number) for number in range(1, len(first) + 1)]
    if not header:
        chosen["text"] = "1" if chosen["text"] == "text" else chosen["text"]
    roles = [""] * len(first)
    for role, name in chosen.items():
        if name not in known or len(first) < 2:
            raise DataError(
                f"{path}: its columns have no names; leave out text, label and id, give their "
                "numbers from 1, or give a .csv or .jsonl"
            )
        roles[known.index(name)] = role
    if header and "split" in known and not roles[known.index("split")]:
        roles[known.index("split")] = "split"
    return Columns(tuple(roles), header)


def _is_header(first: list[str], rows: list[list[str]], text: int) -> bool:
    """Tell whether the first line names columns: short names above texts of several words."""
    rows = [row for row in rows if len(row) == len(first)]
    if not rows or len(set(first)) < len(first):
        return False
    # The first column may be the index of a DataFrame, which has no name.
    known = sum(name.lower() in ROLES for name in first) + (len(first) > 1 and not first[0])
    if known == len(first) >= 2:
        return True
    return known >= min(2, len(first)) and np.mean([len(row[text].split()) for row in rows]) >= 2


def _by_content(path: Path, rows: list[list[str]]) -> Columns | None:
    """Find texts that are not in the first column, by their length; None if there are none."""
    width = len(rows[0]) if rows else 1
    if width not in (2, 3) or len(rows) < 2 or any(len(row) != width for row in rows):
        return None
    words = np.array([[len(cell.split()) for cell in row] for row in rows])
    text = int(words.mean(0).argmax())
    others = np.delete(words, text, 1)
    values = list(zip(*rows, strict=True))
    if (
        text == 0
        or others.max() > _MOST_WORDS
        or words[:, text].mean() < _FACTOR * max(others.mean(), 1.0)
        or len(set(values[text])) < _DISTINCT * len(rows)
    ):
        return None
    roles = [""] * width
    roles[text] = "text"
    for place in range(width):
        if place != text:
            roles[place] = _role_of(values[place], roles)
    told = ", ".join(role or "left out" for role in roles)
    numbers = " ".join(
        f"--{role} {place}" for place, role in enumerate(roles, 1) if role not in ("", "split")
    )
    warnings.warn(
        f"{path}: its columns are read as {told}; if that is wrong, number them as in {numbers}",
        DataWarning,
        stacklevel=4,
    )
    return Columns(tuple(roles))


def _role_of(values: tuple[str, ...], taken: list[str]) -> str:
    """Tell splits, labels (which repeat) and ids (which do not) apart."""
    if set(values) <= set(SPLITS):
        role = "split"
    else:
        role = "id" if len(set(values)) == len(values) else "label"
    return "" if role in taken else role
