"""The pages name files, headings, classes and commands that exist."""

from __future__ import annotations

import importlib
import os
import re
import shlex
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.main import get_command

from exvae.data.h5ad import opening
from exvae.experiments import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
OF_A_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
FOLDERS = "data|docs|experiments|guides|models|tests"


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Give what links to the headings of a page end with."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Give the links to other pages and to headings."""
    return re.findall(r"\]\((?!https?://)([^)\s]+)\)", without_code(TEXTS[page.name]))


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {ROOT / link for link in links(PAGES[0])}
    assert set(PAGES[1:]) <= linked


@OF_A_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@OF_A_PAGE
def test_files_that_are_named_exist(page: Path) -> None:
    named = re.findall(rf"\b((?:{FOLDERS})/[\w/]+\.\w+)", TEXTS[page.name])
    missing = [name for name in named if not (ROOT / name).is_file()]
    assert not missing


@OF_A_PAGE
def test_classes_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`(exvae(?:\.\w+)+)`", TEXTS[page.name]):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


COMMANDS = [
    line
    for text in TEXTS.values()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("exvae ")
]


@pytest.fixture
def every_file_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands refuse files that do not exist when they read their arguments."""
    for name in ("exists", "is_file", "is_dir"):
        monkeypatch.setattr(Path, name, lambda path: True)
    for name in ("exists", "isfile", "isdir"):
        monkeypatch.setattr(os.path, name, lambda path: True)
    monkeypatch.setattr(opening, "open_h5ad", lambda path: nullcontext())


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_commands_are_understood(line: str, every_file_exists: None) -> None:
    words = shlex.split(line)[1:]
    command = get_command(cli.app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert command.make_context(line, words, resilient_parsing=False).params


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 30


def test_an_option_that_does_not_exist_is_noticed(every_file_exists: None) -> None:
    with pytest.raises(Exception, match="No such option: --zeros"):
        test_commands_are_understood("exvae isoforms fit cells.h5ad --out FIT --zeros atom", None)


OPTIONS = {
    option
    for command in (
        get_command(cli.app).commands[job].commands[name]
        for job, name in (("isoforms", "fit"), ("lda", "fit"))
    )
    for parameter in command.params
    for option in parameter.opts
}


@pytest.mark.parametrize("page", ["isoforms.md", "topics.md"])
def test_options_of_fit_in_tables_exist(page: str) -> None:
    rows = re.search(r"\| `exvae \w+ fit` .*?\n\n", TEXTS[page], re.DOTALL).group()
    named = set(re.findall(r"`(--[\w-]+)", rows))
    assert len(named) >= 3
    assert named <= OPTIONS
