"""The page of an isoform model holds the numbers of the fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from exvae.data.stored_cells import store_cells
from exvae.experiments.isoform_model import IsoformModel
from exvae.experiments.report import cell_pages, group_values
from exvae.experiments.report.cell_pages import CellOptions, contents_of_cells
from exvae.experiments.report.encoding import logarithmic_codes, packed
from exvae.experiments.report.settings import (
    CELLS_WITH_INTERVALS,
    INTERVAL,
    MOST_BYTES,
    MOST_CELLS,
    MOST_COLUMNS,
    MOST_GROUPS,
)
from exvae.models import MODELS

from ...small_data import draw_cells
from .conftest import SCRIPT, Page, decoded, packed_text

MOST_BYTES_OF_A_PAGE = 10_000_000
# Codes of one byte, and of two.
ROUGH, FINE = 0.0184, 2e-4


@pytest.fixture(scope="module")
def numbers(cells_page: Page) -> dict:
    return cells_page.numbers


@pytest.fixture(scope="module")
def expected(cells_page: Page, numbers: dict) -> dict[str, np.ndarray]:
    """Posterior of the page's genes and then of its isoforms, from the model, (features, cells)."""
    shown = numbers["genes"]["shown"]
    options = {"library_size": 1e4, "return_sd": True, "quantiles": INTERVAL}
    genes = cells_page.model.get_expression(level="gene", **options)
    isoforms = cells_page.model.get_expression(**options)
    genes = genes[:, [own["name"] for own in shown]]
    isoforms = isoforms[:, [name for own in shown for name in own["isoforms"]]]
    layers = {"sd": "expression_sd", "low": "expression_q0.025", "high": "expression_q0.975"}
    found = {name: (genes.layers[own], isoforms.layers[own]) for name, own in layers.items()}
    found["mean"] = genes.X, isoforms.X
    return {name: np.concatenate(own, 1).T for name, own in found.items()}


@pytest.mark.parametrize(
    ("stored", "name", "error"),
    [
        ("mean", "mean", ROUGH),
        ("sd", "sd", ROUGH),
        ("shown_mean", "mean", FINE),
        ("shown_low", "low", FINE),
        ("shown_high", "high", FINE),
    ],
)
def test_posteriors_are_those_of_get_expression(
    numbers: dict, expected: dict, stored: str, name: str, error: float
) -> None:
    found, own = decoded(numbers["expression"][stored]), expected[name]
    assert found.shape == own.shape == (32, 24)
    least = 1e-4 * own.max(1, keepdims=True)
    np.testing.assert_allclose(np.where(own > 1.01 * least, found / own, 1.0), 1.0, rtol=error)
    assert (found[own < least] <= 1e-4 * own.max()).all()


def test_estimates_are_those_of_the_quantifier(cells_page: Page, numbers: dict) -> None:
    estimates = cells_page.model._adata.to_df()
    estimates = 1e4 * estimates.div(estimates.sum(1), axis=0)
    found = decoded(numbers["expression"]["shown_estimate"])
    genes = cells_page.model._adata.var["gene"]
    for place, gene in enumerate(numbers["genes"]["shown"]):
        own = estimates.loc[:, genes == gene["name"]].sum(1)
        np.testing.assert_allclose(found[place], own, rtol=FINE, atol=2e-4 * own.max())
    names = [name for gene in numbers["genes"]["shown"] for name in gene["isoforms"]]
    for row, name in zip(found[8:], names, strict=True):
        own = estimates[name]
        np.testing.assert_allclose(row, own, rtol=FINE, atol=2e-4 * max(own.max(), 1.0))


@pytest.mark.parametrize("column", ["cell_type", "batch"])
def test_means_of_groups(cells_page: Page, numbers: dict, expected: dict, column: str) -> None:
    groups = cells_page.model._adata.obs[column].to_numpy()
    (stored,) = (own for own in numbers["cells"]["groups"] if own["name"] == column)
    assert [stored["levels"][code] for code in stored["codes"]] == groups.tolist()
    means = np.array(numbers["expression"]["means"][column])
    for place, level in enumerate(stored["levels"]):
        own = expected["mean"][:, groups == level].mean(1)
        np.testing.assert_allclose(means[:, place], own, rtol=6e-4)


@pytest.mark.parametrize("column", ["cell_type", "batch"])
def test_intervals_of_groups_are_those_of_group_summary(
    cells_page: Page, numbers: dict, column: str
) -> None:
    shown, expression = numbers["genes"]["shown"], numbers["expression"]
    (groups,) = (own["levels"] for own in numbers["cells"]["groups"] if own["name"] == column)
    start = expression["groups"][column]
    isoforms = [name for own in shown for name in own["isoforms"]]
    names = [("gene", [own["name"] for own in shown]), ("isoform", isoforms)]
    found = [decoded(expression[f"group_{name}"]) for name in ("mean", "low", "high")]
    assert all(own.shape == (len(shown) + len(isoforms), 4) for own in found)
    for place, group in enumerate(groups):
        expected = []
        for level, own in names:
            table = cells_page.model.group_summary(column, level=level)
            rows = table[table["group"] == group].set_index(level).loc[own]
            expected.append(rows[["mean", "low", "high"]].to_numpy())
        mean, low, high = np.concatenate(expected).T
        width = high - low
        assert (width > 0).all()
        for own, truth in zip(found, (mean, low, high), strict=True):
            # Draws are others where columns share a pass: 640 of them give ends to some 10 %.
            error = np.abs(own[:, start + place] - truth) / width
            assert np.median(error) < 0.05
            assert error.max() < 0.4


def test_a_group_of_one_cell_has_no_interval(cells_page: Page) -> None:
    adata = cells_page.model._adata.copy()
    adata.obs["donor"] = ["alone"] + ["many"] * (adata.n_obs - 1)
    model, options = cells_page.model, CellOptions(replicates=0, groupby="donor")
    cells = model._read(adata)
    expression = contents_of_cells(model._trained(), model.history, cells, {}, options).numbers[
        "expression"
    ]
    assert expression["without_interval"] == [expression["groups"]["donor"]]
    summary = model.group_summary("donor", adata=adata, level="gene").set_index("group")
    assert summary.loc["alone", ["low", "high"]].isna().all(None)
    assert summary.loc["many", ["low", "high"]].notna().all(None)


def test_a_column_without_room_has_no_intervals(
    cells_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, cells = cells_page.model._trained(), cells_page.model._own_cells()
    options = CellOptions(replicates=0, groupby="batch")
    for room, columns in ((3, {"batch": 0}), (1, {})):
        monkeypatch.setattr(group_values, "MOST_MEANS", room * cells.num_isoforms)
        numbers = contents_of_cells(fit, cells_page.model.history, cells, {}, options).numbers
        assert numbers["expression"]["groups"] == columns
        assert numbers["expression"]["group_mean"]["columns"] == 2 * len(columns)
        assert set(numbers["expression"]["means"]) == {"batch", "cell_type"}


def test_cells_and_their_uncertainty(cells_page: Page, numbers: dict) -> None:
    cells = numbers["cells"]
    assert cells["names"] == cells_page.model._adata.obs_names.tolist()
    assert len(cells["map"]["x"]) == len(cells["map"]["y"]) == 24
    named = {own["name"]: own["values"] for own in cells["numbers"]}
    _, sd = cells_page.model.get_latent_representation(return_sd=True)
    uncertainty = np.sqrt(np.square(sd).mean(1))
    np.testing.assert_allclose(named["uncertainty of the state"], uncertainty, rtol=1e-3)
    reads = cells_page.model._adata.X.sum(1).A1
    np.testing.assert_allclose(named["reads of the cell"], reads, rtol=1e-3)


def test_curves_of_training(cells_page: Page, numbers: dict) -> None:
    history = cells_page.model.history
    curves = {own["name"]: own for own in numbers["training"]}
    np.testing.assert_allclose(curves["training"]["y"], history["loss_per_cell"], rtol=1e-5)
    held_out = curves["held-out cells"]["y"]
    np.testing.assert_allclose(held_out, history["held_out_loss_per_cell"], rtol=1e-5)
    assert curves["training"]["x"] == [1, 2, 3, 4]


def test_quality_and_check_are_those_of_the_model(cells_page: Page) -> None:
    measured = cells_page.model.evaluate(subset="held-out")
    assert f'class="number">{measured["nll_point_estimates"]:.4g}</td>' in cells_page.html
    assert "2 cells held out of training; 100 draws" in cells_page.html
    check = cells_page.model.check(replicates=3)
    for level, count in check.verdicts["level"].value_counts().items():
        assert cells_page.html.count(f">{level}</span>") == count
    panels = {own["title"]: own for own in cells_page.numbers["check"]}
    curves = check.curves[check.curves["panel"] == "library size"]
    seen = curves["observed"].notna()
    observed = [own for own in panels["library size"]["observed"] if own is not None]
    np.testing.assert_allclose(observed, curves.loc[seen, "observed"], rtol=1e-3)


def test_the_fit_is_described(cells_page: Page) -> None:
    config = cells_page.model._trained().config
    rows = {
        "model": "effective-reads",
        "latent size": "3",
        "batch names": "batch0, batch1",
        "seed": "0",
        "torch": config["versions"]["torch"],
        "genes": "8",
        "learning rate": "0.005",
    }
    for name, value in rows.items():
        assert f'<th scope="row">{name}</th><td>{value}</td>' in cells_page.html
    assert config["data"]["fingerprint"] not in cells_page.html


def test_cells_on_disk_give_the_same_page(cells_page: Page, numbers: dict, tmp_path: Path) -> None:
    cells_page.model._adata.write_h5ad(tmp_path / "cells.h5ad")
    stored = store_cells(tmp_path / "cells.h5ad", "batch")
    fit, history = cells_page.model._trained(), cells_page.model.history
    symbols = {own["name"]: own["symbol"] for own in numbers["genes"]["shown"] if own["symbol"]}
    found = contents_of_cells(fit, history, stored, symbols, CellOptions(replicates=3))
    assert json.loads(json.dumps(found.numbers)) == numbers


def test_readable_names_of_genes(numbers: dict) -> None:
    symbols = {own["name"]: own["symbol"] for own in numbers["genes"]["shown"]}
    assert symbols["gene2"] == "Actb"
    assert symbols[SCRIPT] == SCRIPT


def test_what_is_left_out_is_told(cells_page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_pages, "MOST_CELLS", 20)
    num_groups = 4  # of two columns
    monkeypatch.setattr(cell_pages, "MOST_BYTES", 9 * ((2 + 8) * 20 + 6 * num_groups))
    fit, cells = cells_page.model._trained(), cells_page.model._own_cells()
    options = CellOptions(genes=["gene5"], replicates=0)
    contents = contents_of_cells(fit, cells_page.model.history, cells, {}, options)
    shown = [own["name"] for own in contents.numbers["genes"]["shown"]]
    assert shown[0] == "gene5"
    assert len(shown) == 2
    assert len(contents.numbers["genes"]["left_out"]) == 6
    assert any("2 of 8 genes" in note for note in contents.notes)
    assert any("20 of 24 cells" in note for note in contents.notes)
    names = contents.numbers["cells"]["names"]
    assert len(names) == 20
    assert set(names) <= set(cells.names)
    assert contents.check is None


def test_a_page_without_cells_tells_of_the_fit(cells_page: Page) -> None:
    fit, history = cells_page.model._trained(), cells_page.model.history
    contents = contents_of_cells(fit, history, None, {}, CellOptions())
    assert set(contents.numbers) == {"training"}
    assert "without cells" in contents.notes[0]
    assert "24 cells" in contents.summary


@pytest.mark.parametrize(("groups", "least"), [(5, 400), (MOST_COLUMNS * MOST_GROUPS, 300)])
def test_pages_of_most_cells_are_small(cells_page: Page, groups: int, least: int) -> None:
    rng = np.random.default_rng(0)
    features = MOST_BYTES // (2 * MOST_CELLS + 8 * CELLS_WITH_INTERVALS + 6 * groups)
    assert features > least
    # Random numbers are the worst: nothing packs them.
    rough = logarithmic_codes(10 ** rng.uniform(-4, 0, (2 * features, MOST_CELLS)), np.uint8)
    some = 10 ** rng.uniform(-4, 0, (4 * features, CELLS_WITH_INTERVALS))
    means = 10 ** rng.uniform(-4, 0, (3 * features, groups))
    texts = [rough["codes"], *(logarithmic_codes(own, np.uint16)["codes"] for own in (some, means))]
    size = sum(len(packed(text)) for text in texts)
    others = len(cells_page.html)  # plotly.js, template, style and scripts among it
    assert packed_text(cells_page.html, "plotly").startswith("/**\n* plotly.js")
    assert size + others < MOST_BYTES_OF_A_PAGE


@pytest.mark.parametrize("name", MODELS)
def test_pages_of_every_model(name: str) -> None:
    model = IsoformModel(draw_cells(), model=name, latent_size=3).train(1, progress=False)
    fit, cells = model._trained(), model._own_cells()
    contents = contents_of_cells(fit, model.history, cells, {}, CellOptions(replicates=2))
    found = decoded(contents.numbers["expression"]["mean"])[:8]
    shown = [own["name"] for own in contents.numbers["genes"]["shown"]]
    expected = model.get_expression(level="gene", library_size=1e4)[shown].to_numpy().T
    np.testing.assert_allclose(found, expected, rtol=ROUGH, atol=1e-4 * expected.max())
    assert len(contents.check.statistics) == len(contents.check.verdicts) > 4


def test_a_model_without_genes(cells_page: Page) -> None:
    adata = cells_page.model._adata.copy()
    del adata.var["gene"]
    model = IsoformModel(adata, model="scvi", latent_size=2).train(1, progress=False)
    fit, cells = model._trained(), model._own_cells()
    contents = contents_of_cells(fit, model.history, cells, {}, CellOptions(replicates=0))
    genes = contents.numbers["genes"]
    assert len(genes["shown"]) + len(genes["left_out"]) == 24
    assert all(own["isoforms"] == [own["name"]] for own in genes["shown"])
    assert contents.numbers["cells"]["map"]["method"] == "principal components of the cell state"
