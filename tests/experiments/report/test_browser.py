"""Pages in a browser: figures show the numbers of the fit, and no name runs as a script."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest

from .conftest import END, IMAGE, SCRIPT

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (apt-get install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for name in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "force-prefers-reduced-motion",
    ):
        options.add_argument(f"--{name}")
    options.add_argument("--window-size=1280,900")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as running:
        yield running


@pytest.fixture
def opened(browser, request: pytest.FixtureRequest) -> Iterator[tuple]:
    """Open a page; in the end its console must be empty, and no name run as a script."""
    from selenium.webdriver.support.ui import WebDriverWait

    page = request.getfixturevalue(request.param)
    browser.get(page.path.as_uri())
    ended = (
        "return document.documentElement.dataset.ready"
        " || !document.getElementById('problem').hidden"
    )
    WebDriverWait(browser, 60).until(lambda own: own.execute_script(ended))
    yield browser, page
    assert browser.find_element("id", "problem").text == ""
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.harmed") is None


cells = pytest.mark.parametrize("opened", ["cells_page"], indirect=True)
topics = pytest.mark.parametrize("opened", ["topics_page"], indirect=True)


def traces(browser, figure: str) -> list[dict]:
    """Read what a figure shows."""
    return browser.execute_script(
        "return document.getElementById(arguments[0]).data.map((own) => JSON.parse(JSON.stringify("
        "{name: own.name, x: own.x, y: own.y, text: own.text, color: own.marker && own.marker.color"
        ", customdata: own.customdata, error: own.error_y || own.error_x})))",
        figure,
    )


def rows(browser, table: str) -> list[list[str]]:
    """Read the texts of a table."""
    return browser.execute_script(
        "return [...document.getElementById(arguments[0]).rows]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))",
        table,
    )


def search(browser, text: str) -> str:
    """Type a name in the search field; give what the page tells."""
    field = browser.find_element("id", "gene")
    field.clear()
    field.send_keys(text + "\n")
    return browser.find_element("id", "gene-told").text


def choose(browser, select: str, text: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", select)).select_by_visible_text(text)


@cells
def test_a_chosen_gene_shows_its_isoforms(opened) -> None:
    browser, page = opened
    assert search(browser, SCRIPT) == f"{SCRIPT}: 3 isoforms shown."
    options = {"library_size": 1e4, "return_sd": True, "quantiles": (0.025, 0.975)}
    expected = page.model.get_expression(genes=[SCRIPT], **options)
    head, *body = rows(browser, "gene-plot-table")
    assert head[:3] == ["cell", "cell_type", SCRIPT]
    assert sorted(head[3:]) == sorted([IMAGE, "isoform3", "isoform5"])
    assert [row[0] for row in body] != expected.obs_names.tolist()
    assert sorted(row[0] for row in body) == sorted(expected.obs_names)
    for column, isoform in enumerate(head[3:], start=3):
        own = expected[[row[0] for row in body], isoform]
        shown = np.array([row[column].replace("(", "").replace(")", "").split() for row in body])
        found = shown[:, [0, 1, 3]].astype(float)
        ends = own.layers["expression_q0.025"], own.layers["expression_q0.975"]
        truth = np.concatenate([own.X, *ends], 1)
        np.testing.assert_allclose(found, truth, rtol=6e-3, atol=1e-4 * truth.max())
    # The figure shows what the table says.
    interval = traces(browser, "gene-plot")[2]
    found = np.expm1(interval["y"])
    np.testing.assert_allclose(found, [float(r[3].split()[0]) for r in body], rtol=6e-3)
    units = browser.execute_script(
        "return [...document.querySelectorAll('#gene-plot .g-ytitle, #gene-plot .g-y2title')]"
        ".map((own) => own.textContent)"
    )
    assert [unit.replace("\N{NO-BREAK SPACE}", " ") for unit in units] == ["reads of 10 000"] * 2


@cells
def test_usage_is_a_share_of_the_means(opened) -> None:
    browser, page = opened
    search(browser, "gene5")
    choose(browser, "groups", "batch")
    expression = page.model.get_expression(genes=["gene5"], library_size=1e4)
    means = expression.groupby(page.model._adata.obs["batch"].to_numpy()).mean()
    usage = means.div(means.sum(axis=1), axis=0)
    found = traces(browser, "usage-plot")
    assert sorted(own["name"] for own in found) == sorted(usage.columns)
    for own in found:
        np.testing.assert_allclose(own["x"], usage[own["name"]], atol=2e-3)
    head, *body = rows(browser, "usage-plot-table")
    assert [row[0] for row in body] == ["batch0", "batch1"]
    assert [row[1] for row in body] == ["12", "12"]


@cells
def test_means_of_groups_have_intervals(opened) -> None:
    browser, page = opened
    search(browser, "gene5")
    choose(browser, "groups", "batch")
    gene, *isoforms = traces(browser, "means-plot")
    assert gene["name"] == "gene5" and len(isoforms) == 3
    head, *body = rows(browser, "means-plot-table")
    assert [row[:2] for row in body] == [["batch0", "12"], ["batch1", "12"]]
    summary = page.model.group_summary("batch", level="gene")
    expected = summary[summary["gene"] == "gene5"].set_index("group")
    for place, (row, x) in enumerate(zip(body, gene["x"], strict=True)):
        mean, low, high = expected.loc[row[0], ["mean", "low", "high"]]
        assert abs(x - mean) < 0.2 * (high - low)
        error = gene["error"]["array"][place], gene["error"]["arrayminus"][place]
        shown = np.array(row[2].replace("(", "").replace(")", "").split())[[0, 1, 3]].astype(float)
        np.testing.assert_allclose(shown, [x, x - error[1], x + error[0]], rtol=6e-3)


@cells
def test_the_map_is_coloured_by_what_is_chosen(opened) -> None:
    browser, page = opened
    adata = page.model._adata
    groups = traces(browser, "map")
    assert [len(own["x"]) for own in groups] == adata.obs["cell_type"].value_counts()[
        ["type0", END]
    ].tolist()[:: 1 if groups[0]["name"] == "type0" else -1]
    legend = browser.find_elements("css selector", "#map .legendtext")
    assert sorted(own.text for own in legend) == sorted(["type0", END])
    choose(browser, "map-colour", IMAGE)
    (shown,) = traces(browser, "map")
    np.testing.assert_allclose(
        shown["color"], adata.obs[IMAGE].iloc[shown["customdata"]], rtol=1e-3
    )
    search(browser, "gene2")
    choose(browser, "map-colour", "expression of Actb (gene2)")
    (shown,) = traces(browser, "map")
    expected = page.model.get_expression(genes=["gene2"], level="gene", library_size=1e4)["gene2"]
    values = np.expm1(np.array(shown["color"]))
    own = expected.iloc[shown["customdata"]]
    np.testing.assert_allclose(values, own, rtol=0.02, atol=1e-4 * own.max())
    assert "coloured by expression of Actb" in browser.find_element("id", "map").get_attribute(
        "aria-label"
    )
    choose(browser, "map-colour", "uncertainty of isoform7")
    search(browser, "gene3")  # the map goes on to show uncertainty
    label = browser.find_element("id", "map").get_attribute("aria-label")
    assert label.endswith("coloured by uncertainty of gene3")


@cells
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("actb", "Actb (gene2): 3 isoforms shown."),
        ("GENE7", "gene7: 3 isoforms shown."),
        ("isoform20", "gene6: 3 isoforms shown."),
        ("<b>nosuch", "There is no gene or isoform <b>nosuch."),
    ],
)
def test_names_are_found_in_any_case(opened, text: str, told: str) -> None:
    browser, _ = opened
    assert search(browser, text) == told


@cells
def test_buttons_go_from_gene_to_gene_by_the_keyboard(opened) -> None:
    browser, page = opened
    names = [own["symbol"] or own["name"] for own in page.numbers["genes"]["shown"]]
    field = browser.find_element("id", "gene")
    assert field.get_attribute("value") == names[0]
    for button, name in (("after", names[1]), ("before", names[0]), ("before", names[-1])):
        browser.find_element("id", f"gene-{button}").send_keys("\n")
        assert field.get_attribute("value") == name


@topics
def test_a_chosen_topic_shows_its_words_and_documents(opened) -> None:
    browser, page = opened
    words = page.model.topics(15, tidy=True)
    browser.find_element("css selector", '[data-topic="2"]').click()
    own = words[words["topic"] == 2]
    (bars,) = traces(browser, "words-plot")
    np.testing.assert_allclose(bars["x"], own["probability"], rtol=1e-3)
    assert [row[0] for row in rows(browser, "words-plot-table")[1:]] == own["word"].tolist()
    top = page.model.top_documents(10)
    expected = top.loc[top["topic"] == 2, "document"].tolist()
    assert [row[0] for row in rows(browser, "top-documents")[1:]] == expected
    choose(browser, "map-colour", "proportion of the topic")
    (shown,) = traces(browser, "map")
    proportions = page.model.transform()["topic_2"].iloc[shown["customdata"]]
    np.testing.assert_allclose(shown["color"], proportions, atol=1e-4)
    (shares,) = traces(browser, "labels-plot")
    np.testing.assert_allclose(shares["x"], page.model.prevalence()["topic_2"], rtol=1e-3)


@pytest.mark.parametrize("opened", ["cells_page", "topics_page"], indirect=True)
def test_the_page_fits_a_phone(opened) -> None:
    browser, _ = opened
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        browser.refresh()
        width = browser.execute_script("return document.documentElement.scrollWidth")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width == PHONE["width"]


@pytest.mark.parametrize("opened", ["cells_page", "topics_page"], indirect=True)
def test_the_page_prints_with_its_tables_open(opened) -> None:
    browser, _ = opened
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    printed = browser.find_elements("css selector", "details.printed")
    assert printed and all(own.get_attribute("open") for own in printed)
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert not any(own.get_attribute("open") for own in printed)
