"""Examples in the docstrings of the package's own names run as they stand."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path
from typing import Any

import pytest

import exvae

from .small_data import write_data, write_quantified

OBJECTS = {name: getattr(exvae, name) for name in exvae.__dir__() if not name.startswith("_")}
# Examples of topic models need a corpus: test_topic_docstrings.py.
OF_TOPICS = {"Corpus", "TopicModel"}
PUBLIC = {
    name: value
    for name, value in OBJECTS.items()
    if callable(value) and value.__module__.startswith("exvae.") and name not in OF_TOPICS
}
PUBLIC |= {f"pl.{name}": getattr(exvae.pl, name) for name in exvae.pl.__all__}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the files that the examples name."""
    write_data(tmp_path)
    write_quantified(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def examples_of(value: Any) -> list[doctest.DocTest]:
    """Find the examples of an object and of its methods, inherited ones too."""
    finder = doctest.DocTestFinder(recurse=True)
    places = [place for place in getattr(value, "__mro__", [value]) if place is not object]
    found = [test for place in places for test in finder.find(place, globs={"exvae": exvae})]
    return [test for test in found if test.examples]


def test_there_are_public_names() -> None:
    assert {"IsoformModel", "load", "prepare", "read_quantified", "pl.gene"} <= set(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_examples_run(name: str, folder: Path) -> None:
    tests = examples_of(PUBLIC[name])
    assert tests, f"{name} has no example"
    for test in tests:
        told: list[str] = []
        runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(test, out=told.append)
        assert not runner.failures, "".join(told)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_method_has_a_docstring(name: str) -> None:
    value = PUBLIC[name]
    members = inspect.getmembers(value) if inspect.isclass(value) else ()
    bare = [key for key, own in members if not key.startswith("_") and not inspect.getdoc(own)]
    assert inspect.getdoc(value)
    assert not bare
