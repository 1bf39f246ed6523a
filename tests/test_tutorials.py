"""Tutorials are complete notebooks, and one of them runs; the build of the site runs all."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import exvae

from .tutorials import FILES, FOLDER, cells_of, run

OF_A_TUTORIAL = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
MOST_CHARACTERS_OF_A_LINE = 100
HEADER = """file_format: mystnb
kernelspec:
  display_name: Python 3
  language: python
  name: python3
"""


@OF_A_TUTORIAL
def test_a_tutorial_is_a_notebook_with_words_between_its_cells(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    header, _, body = text.removeprefix("---\n").partition("---\n\n")
    assert header == HEADER and body.startswith("# ")
    cells = cells_of(path)
    assert len(cells) == text.count("```{code-cell}") >= 5
    for cell in cells:
        ast.parse(re.sub(r"^!.*$", "pass", cell, flags=re.MULTILINE))
    words = re.sub(r"```.*?```", "", text, flags=re.DOTALL).split()
    assert len(words) > 20 * len(cells)


@OF_A_TUTORIAL
def test_code_of_a_tutorial_fits_on_a_page(path: Path) -> None:
    lines = [line for cell in cells_of(path) for line in cell.splitlines()]
    code = [line for line in lines if not line.startswith("!")]
    assert max(map(len, code)) <= MOST_CHARACTERS_OF_A_LINE


def test_every_tutorial_is_on_the_page_of_tutorials() -> None:
    page = (FOLDER / "index.md").read_text(encoding="utf-8")
    table, tree = page.split("```{toctree}")
    names = {path.stem for path in FILES}
    assert set(re.findall(r"\]\((\w+)\.md\)", table)) == names
    assert set(re.findall(r"^\w+$", tree, re.MULTILINE)) == names


def test_the_tutorial_of_topics_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = exvae.TopicModel.train

    def train_briefly(self: exvae.TopicModel, *arguments: Any, **options: Any) -> Any:
        return train(self, 2, *arguments, **options)

    monkeypatch.setattr(exvae.TopicModel, "train", train_briefly)
    monkeypatch.chdir(tmp_path)
    found = run(FOLDER / "topics.md")
    assert len(found["topics"]) == len(found["texts"])
    assert exvae.load("TOPICS").topics(3).shape == (12, 4)
