"""The site: its reference is complete, it builds without a warning, and no link is broken."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

import exvae
from exvae.experiments import cli

from .small_data import write_data, write_quantified
from .tutorials import FILES, cells_of

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
REFERENCE = {path.stem: path.read_text("utf-8") for path in (DOCS / "reference").glob("*.md")}
LISTED = {
    page: re.findall(r"^\.\. automodule:: exvae\.(\S+)$", text, re.MULTILINE)
    for page, text in REFERENCE.items()
}
# Loops behind the likelihoods, which only they call.
PRIVATE = re.compile(r"__|compiled")


def modules_in(folder: str) -> set[str]:
    """Give the names of the public modules of a folder."""
    stems = (path.stem for path in (ROOT / folder).glob("*.py"))
    return {f"{folder}/{stem}".replace("/", ".") for stem in stems if not PRIVATE.match(stem)}


@pytest.mark.parametrize(
    ("page", "folder"),
    [("models", "models"), ("guides", "guides"), ("distributions", "models/distributions")],
)
def test_every_module_is_in_the_reference(page: str, folder: str) -> None:
    assert len(LISTED[page]) == len(set(LISTED[page])) > 5
    assert set(LISTED[page]) == modules_in(folder)


def test_every_name_of_the_package_is_in_the_reference() -> None:
    names = {name for name in exvae.__dir__() if callable(getattr(exvae, name))}
    listed = set(re.findall(r"^   (\w+)$", REFERENCE["python"], re.MULTILINE))
    assert listed == {name for name in names if not name.startswith("_")} - {"import_module", "Any"}


def test_every_picture_is_in_the_reference() -> None:
    listed = re.findall(r"^\.\. autofunction:: (\w+)$", REFERENCE["pictures"], re.MULTILINE)
    assert sorted(listed) == sorted(exvae.pl.__all__)


def commands() -> Iterator[str]:
    """Give the full names of all commands, such as ``exvae lda fit``."""
    for name, own in get_command(cli.app).commands.items():
        yield f"exvae {name}"
        for inner in getattr(own, "commands", {}):
            yield f"exvae {name} {inner}"


def test_every_command_is_in_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS / "extensions")
    pages = importlib.import_module("command_pages").pages()
    text = "\n".join(pages.values())
    headings = re.findall(r"^#+ `(exvae .+)`$", text, re.MULTILINE)
    assert len(headings) > 15
    assert sorted(headings) == sorted(commands())
    assert "--bootstraps" in pages["isoforms"] and "--topics" in pages["lda"]
    assert "\n```console\n$ exvae lda topics TOPICS --top 15\n```\n" in pages["lda"]
    linked = re.findall(r"^commands/(\w+)$", REFERENCE["commands"], re.MULTILINE)
    assert sorted(linked) == sorted(pages)


def test_every_page_is_in_a_table_of_contents() -> None:
    written = ("_build/", "reference/commands/", "reference/generated/")
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    pages = {page for page in pages if not page.startswith(written)}
    listed = []
    for page in pages:
        text = (DOCS / f"{page}.md").read_text("utf-8")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            names = re.findall(r"^[\w/]+$", tree, re.MULTILINE)
            listed += [(Path(page).parent / name).as_posix() for name in names]
    assert len(listed) == len(set(listed))
    commands = {name for name in listed if name.startswith("reference/commands/")}
    assert pages - {"index"} == set(listed) - commands


def test_the_version_to_cite_is_the_package_s() -> None:
    version = re.search(r"^version = (.+)$", (ROOT / "setup.cfg").read_text("utf-8"), re.M)[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"version {version}." in (DOCS / "project" / "citing.md").read_text("utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_the_first_steps_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_data(tmp_path)
    write_quantified(tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "index.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for number, code in enumerate(blocks):
        exec(compile(code, f"index.md, block {number}", "exec"), {})


class Page(HTMLParser):
    """Names and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the name of an element, and where it links to."""
        for key, value in attrs:
            if key in ("id", "name") and value:
                self.names.add(value)
            elif key in ("href", "src") and value:
                self.links.append((tag, value))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site from a copy of its sources, as ``make docs`` does."""
    pytest.importorskip("sphinx", reason='needs the extra "docs"')
    folder = tmp_path_factory.mktemp("site")
    left_out = shutil.ignore_patterns("_build", "commands", "generated")
    shutil.copytree(DOCS, folder / "docs", ignore=left_out)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    path = os.pathsep.join(path for path in sys.path if path)
    # Nothing is fetched: a proxy that does not exist refuses every connection.
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-b", "html", "docs", "html"],
        cwd=folder,
        env={**os.environ, **nowhere, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Read all pages, but those with the sources of modules."""
    return {
        path: Page(path.read_text("utf-8"))
        for path in site.rglob("*.html")
        if "_modules" not in path.parts
    }


@pytest.mark.slow
@pytest.mark.docs
def test_links_within_the_site_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    number = 0
    for path, page in pages.items():
        for _, link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            number += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].names if target in pages else None
            if not target.exists() or (parts.fragment and known and parts.fragment not in known):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert number > 1000
    assert not broken


@pytest.mark.slow
@pytest.mark.docs
def test_pages_load_nothing_from_elsewhere(pages: dict[Path, Page]) -> None:
    loaded = {link for page in pages.values() for tag, link in page.links if tag != "a"}
    assert any("mathjax" in link for link in loaded)
    assert not [link for link in loaded if urlsplit(link).netloc]


@pytest.mark.slow
@pytest.mark.docs
def test_every_public_class_and_function_has_an_entry(pages: dict[Path, Page]) -> None:
    entries = {name for page in pages.values() for name in page.names}
    wanted = {f"exvae.{name}" for name in re.findall(r"^   (\w+)$", REFERENCE["python"], re.M)}
    wanted |= {f"exvae.pl.{name}" for name in exvae.pl.__all__}
    for names in LISTED.values():
        for name in names:
            module = pkgutil.resolve_name(f"exvae.{name}")
            wanted |= {
                f"{module.__name__}.{key}"
                for key, own in vars(module).items()
                if (inspect.isclass(own) or inspect.isfunction(own))
                and own.__module__ == module.__name__
                and not key.startswith("_")
            }
    assert len(wanted) > 100
    assert not wanted - entries


@pytest.mark.slow
@pytest.mark.docs
def test_names_in_the_text_lead_to_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    links = {link for _, link in pages[site / "models.html"].links}
    assert "reference/models.html#exvae.models.lda.LDA" in links
    links = {link for _, link in pages[site / "notebook.html"].links}
    assert "reference/generated/exvae.load.html#exvae.load" in links


@pytest.mark.slow
@pytest.mark.docs
def test_what_tutorials_hide_are_bars_of_progress(site: Path) -> None:
    """The site leaves out standard error; the cache of the build has it."""
    notebooks = list((site.parent / "docs" / "_build" / "notebooks").rglob("base.ipynb"))
    assert len(notebooks) == len(FILES)
    cells = [own for path in notebooks for own in json.loads(path.read_text("utf-8"))["cells"]]
    outputs = [own for cell in cells for own in cell.get("outputs", [])]
    hidden = ["".join(own["text"]) for own in outputs if own.get("name") == "stderr"]
    assert hidden
    lines = [line for text in hidden for line in re.split(r"[\r\n]+", text)]
    assert not [line for line in lines if line.strip() and not re.search(r"\d+%\|.*\|", line)]


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.parametrize("tutorial", FILES, ids=lambda path: path.stem)
def test_tutorials_show_what_their_cells_gave(site: Path, tutorial: Path) -> None:
    text = (site / "tutorials" / f"{tutorial.stem}.html").read_text("utf-8")
    cells = re.findall(r'class="cell (?:tag_\S+ )*docutils', text)
    assert len(cells) == len(cells_of(tutorial))
    assert text.count("cell_output") >= 5
    assert "Traceback" not in text and "Warning" not in text
