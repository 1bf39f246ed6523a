"""The examples in docstrings of what notebooks use run as they stand, on a small corpus."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import exvae
from exvae.data.corpora import Corpus
from exvae.experiments.topic_model import TopicModel

from .small_data import draw_texts, write_data

MODULES = [
    "exvae.data.corpora",
    "exvae.data.corpus_formats.reading",
    "exvae.data.tokenizer",
    "exvae.experiments.commands.corpora",
    "exvae.experiments.fitting.classes",
    "exvae.experiments.lda.comparison",
    "exvae.experiments.lda.results",
    "exvae.experiments.topic_model",
]
EXAMPLES = [
    example
    for name in MODULES
    for example in doctest.DocTestFinder().find(importlib.import_module(name))
    if example.examples
]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus.from_dataframe(draw_texts(), text="text", label="label", id="id")


@pytest.fixture(scope="module")
def model(corpus: Corpus) -> TopicModel:
    return TopicModel(corpus, topics=2).train(max_epochs=10, batch_size=8, progress=False)


@pytest.fixture
def folder(tmp_path: Path, model: TopicModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the files that examples name."""
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_run(
    example: doctest.DocTest, corpus: Corpus, model: TopicModel, folder: Path
) -> None:
    if example.name.endswith("TopicModel.load"):
        model.save("FIT")
    example.globs.update(exvae=exvae, np=np, pd=pd, corpus=corpus, model=model)
    told: list[str] = []
    results = doctest.DocTestRunner(verbose=False).run(example, out=told.append)
    assert results.failed == 0, "".join(told)


def test_the_page_labels_documents_of_a_table(folder: Path) -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "topics.md"
    code = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line]) <= 5
    scope = {"news": pd.read_csv("news.csv")}
    exec(compile(code, "topics.md", "exec"), scope)
    assert scope["news"]["topic"].between(0, 19).all()
    assert scope["news"]["topic"].nunique() > 1


def methods_of(cls: type) -> list[str]:
    return [name for name in vars(cls) if not name.startswith("_")]


def test_every_method_of_a_topic_model_has_an_example() -> None:
    named = {example.name.rpartition(".")[2] for example in EXAMPLES}
    wanted = methods_of(TopicModel) + methods_of(TopicModel.__base__)
    assert set(wanted) - named == {"fitted"}
