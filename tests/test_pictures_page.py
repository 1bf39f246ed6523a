"""The Python of the page on pictures runs as it stands, and the page names every picture."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

import exvae

from .small_data import write_data

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pictures.md"
TEXT = PAGE.read_text(encoding="utf-8")
MOST_BYTES_OF_A_PICTURE = 100_000


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)):
        exec(compile(code, f"pictures.md, block {number}", "exec"), scope)
    names = ("figure", "usage", "means", "entries", "cells", "words", "documents", "losses")
    assert all(isinstance(scope[name], Figure) for name in names)


def test_every_picture_is_in_its_table() -> None:
    named = re.findall(r"^\| `(\w+)\(", TEXT, re.MULTILINE)
    assert set(named) == set(exvae.pl.__all__)


def test_its_pictures_are_small() -> None:
    pictures = re.findall(r"!\[.+\]\((.+)\)", TEXT)
    assert len(pictures) == 2
    for picture in pictures:
        assert 0 < (PAGE.parent / picture).stat().st_size < MOST_BYTES_OF_A_PICTURE
