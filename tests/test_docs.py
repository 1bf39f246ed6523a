"""The pages name files, headings, classes and commands that exist."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.main import get_command

from exvae.data.h5ad import opening
from exvae.experiments import cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Pages that the build of the site writes.
WRITTEN = ("_build/", "reference/commands/", "reference/generated/")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(
        page
        for page in DOCS.rglob("*.md")
        if not page.relative_to(DOCS).as_posix().startswith(WRITTEN)
    ),
]
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8") for page in PAGES}
OF_A_PAGE = pytest.mark.parametrize("page", TEXTS)
FOLDERS = "data|docs|experiments|guides|models|tests"


def without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Give what links to the headings of a page end with."""
    headings = re.findall(r"^#+ (.+)$", without_code(path.read_text(encoding="utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """Give the links to other pages and to headings."""
    return re.findall(r"\]\((?!https?://)([^)\s]+)\)", without_code(TEXTS[page]))


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {ROOT / link for link in links("README.md")}
    assert {*DOCS.glob("*.md"), *DOCS.glob("*/index.md")} <= linked


@OF_A_PAGE
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        place, _, anchor = link.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@OF_A_PAGE
def test_files_that_are_named_exist(page: str) -> None:
    named = re.findall(rf"\b((?:{FOLDERS})/[\w/]+\.\w+)", TEXTS[page])
    missing = [name for name in named if not (ROOT / name).is_file()]
    assert not missing


@OF_A_PAGE
def test_classes_that_are_named_exist(page: str) -> None:
    for name in re.findall(r"`(exvae(?:\.\w+)+)`", TEXTS[page]):
        assert pkgutil.resolve_name(name) is not None


COMMANDS = [
    line
    for text in TEXTS.values()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("exvae ")
]
# Commands in the cells of notebooks, without where their progress goes.
COMMANDS += [
    line.split(" 2> ")[0]
    for text in TEXTS.values()
    for line in re.findall(r"^!(exvae .*)$", text, re.MULTILINE)
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


@pytest.mark.parametrize("page", ["docs/isoforms.md", "docs/topics.md"])
def test_options_of_fit_in_tables_exist(page: str) -> None:
    rows = re.search(r"\| `exvae \w+ fit` .*?\n\n", TEXTS[page], re.DOTALL).group()
    named = set(re.findall(r"`(--[\w-]+)", rows))
    assert len(named) >= 3
    assert named <= OPTIONS
