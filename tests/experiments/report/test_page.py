"""The HTML of a page: complete, escaped, and of use to all readers."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exvae.data.errors import DataError
from exvae.experiments.report import page as module
from exvae.experiments.report.contents import Contents, Fact, counted, number
from exvae.experiments.report.page import page_of, require_libraries, write_page

from .conftest import END, IMAGE, SCRIPT, Page, packed_text

VOID = {"meta", "link", "input", "br", "img"}


class Elements(HTMLParser):
    """Elements of a page with their attributes, and those that are open at the end."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(params=["cells_page", "topics_page"])
def page(request: pytest.FixtureRequest) -> Page:
    return request.getfixturevalue(request.param)


def test_names_from_data_are_no_elements(page: Page) -> None:
    elements = Elements(page.html)
    assert not elements.open
    assert not elements.all("img") and not elements.all("b")
    assert [own.get("id") for own in elements.all("script")] == ["numbers", "plotly", None]
    for name in (SCRIPT, IMAGE, END):
        assert name not in page.html
    texts = packed_text(page.html, "numbers").replace('\\"', '"')
    assert all(name in texts for name in (SCRIPT, IMAGE, END))


def test_the_page_needs_nothing_else(page: Page) -> None:
    elements = Elements(page.html)
    assert not elements.all("link")
    assert not [own for _, own in elements.found if "src" in own]
    policy = next(own["content"] for own in elements.all("meta") if "http-equiv" in own)
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    targets = {own["href"] for own in elements.all("a")}
    assert targets and all(own.startswith("#") for own in targets)


def test_the_page_has_landmarks_headings_and_labels(page: Page) -> None:
    elements = Elements(page.html)
    counts = Counter(tag for tag, _ in elements.found)
    for tag in ("header", "nav", "main", "footer", "h1", "title"):
        assert counts[tag] == 1, tag
    assert elements.all("html")[0]["lang"] == "en"
    ids = [own["id"] for _, own in elements.found if "id" in own]
    assert len(ids) == len(set(ids))
    named = [own[key] for _, own in elements.found for key in ("aria-labelledby",) if key in own]
    named += [own["href"][1:] for own in elements.all("a")]
    named += [own["list"] for own in elements.all("input")]
    assert set(named) <= set(ids)
    levels = [int(tag[1]) for tag, _ in elements.found if re.fullmatch(r"h\d", tag)]
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    plots = [own for own in elements.all("div") if own.get("class") == "plot"]
    assert len(plots) >= 5
    for plot in plots:
        assert plot["role"] == "img" and plot["aria-label"]
        assert f"{plot['id']}-table" in ids
    controls = len(elements.all("select")) + len(elements.all("input"))
    assert len(re.findall(r"<label>[^<]+<(?:select|input)", page.html)) == controls > 0


def test_options_of_the_style_sheet(page: Page) -> None:
    for query in ("@media print", "@media (max-width", ":focus-visible", "prefers-reduced-motion"):
        assert query in page.html


def test_everything_that_the_template_writes_is_escaped() -> None:
    texts = {name: f"{SCRIPT} & {name}" for name in ("title", "summary", "scope", "note")}
    facts = {SCRIPT: [Fact(SCRIPT, SCRIPT, SCRIPT)]}
    contents = Contents("isoforms", texts["title"], texts["summary"], facts)
    contents.quality, contents.quality_scope = facts[SCRIPT], texts["scope"]
    contents.notes, contents.numbers = [texts["note"]], {"training": []}
    html = page_of(contents)
    assert SCRIPT not in html
    assert html.count("&lt;script&gt;window.harmed = 1&lt;/script&gt;") >= 10


def test_a_page_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = Contents("lda", "title", "summary", {}, numbers={"training": []})
    path = tmp_path / "report.html"
    path.write_text("before")

    def fail(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:9])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", fail)
        with pytest.raises(DataError, match="No space left"):
            write_page(contents, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    assert write_page(contents, path) == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]


def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_libraries()
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "plotly" else object())
    with pytest.raises(DataError, match=r"needs plotly; .* -m pip install 'exvae\[report\]'"):
        require_libraries()


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345, "12\N{NO-BREAK SPACE}345"), (0.123456, "0.1235"), (float("nan"), "nan"), (7.0, "7")],
)
def test_numbers_are_written_with_four_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_nouns_are_counted() -> None:
    assert (counted(1, "cell"), counted(2000, "cell")) == ("1 cell", "2\N{NO-BREAK SPACE}000 cells")
