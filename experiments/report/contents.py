"""Content of a page, of either kind of fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..checks.comparison import Check


class Fact(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    name, value
        Shown as they are.
    meaning
        How to read the value.
    """

    name: str
    value: str
    meaning: str = ""


@dataclass
class Contents:
    """Content of a page.

    Attributes
    ----------
    kind
        ``isoforms`` or ``lda``.
    title, summary
        The heading, and the sentence below it.
    facts
        What was fitted: rows by heading of the table.
    quality
        Measures.
    quality_scope
        The data that were measured, in words; empty if none were.
    check
        Posterior predictive check; None if there is none.
    notes
        Sentences on what the page leaves out.
    numbers
        What the scripts draw; becomes JSON.
    """

    kind: str
    title: str
    summary: str
    facts: dict[str, list[Fact]]
    quality: list[Fact] = field(default_factory=list)
    quality_scope: str = ""
    check: Check | None = None
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


def number(value: float) -> str:
    """Write a number with four digits.

    Examples
    --------
    >>> number(12345), number(0.123456), number(1e-7)
    ('12 345', '0.1235', '1e-07')
    """
    if float(value).is_integer() and abs(value) < 1e12:
        return f"{int(value):,}".replace(",", "\N{NO-BREAK SPACE}")
    return f"{value:.4g}"


def counted(value: int, noun: str) -> str:
    """Write how many there are: ``1 cell``, ``2 000 cells``."""
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"
