"""The Python of the page on reports runs as it stands, and the page names every section."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .small_data import write_data

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
TEMPLATE = (ROOT / "experiments" / "report" / "page.html").read_text(encoding="utf-8")


def test_its_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(compile(code, "report.md", "exec"), {})
    assert "<h1>Isoform expression of single cells</h1>" in Path("report.html").read_text()


def test_every_section_is_in_its_table() -> None:
    named = re.findall(r"^\| ([A-Z][\w, ]+) \|", TEXT, re.MULTILINE)
    sections = re.findall(r'<h2 id="[\w-]+">([^<]+)</h2>', TEMPLATE)
    assert {own for row in named for own in row.split(", ")} == set(sections)
    assert len(sections) == 8
