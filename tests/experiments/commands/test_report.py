"""The command ``exvae report``, as users type it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import exvae as package
from exvae.experiments.report import page

from ...small_data import draw_cells, draw_texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write fits of both kinds, and their data."""
    place = tmp_path_factory.mktemp("fits")
    cells = draw_cells()
    cells.write_h5ad(place / "cells.h5ad")
    package.IsoformModel(cells, latent_size=3).train(1, progress=False).save(place / "isoforms")
    texts = draw_texts()
    texts.to_csv(place / "news.csv", index=False)
    corpus = package.Corpus.from_dataframe(texts, text="text", label="label")
    package.TopicModel(corpus, topics=2).train(1, progress=False).save(place / "lda")
    (place / "genes.txt").write_text("gene5\ngene1\n")
    return place


def test_a_report_of_cells(exvae, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    arguments = ["--genes", folder / "genes.txt", "--groupby", "batch", "--replicates", 2]
    told = exvae(
        "report", folder / "isoforms", folder / "cells.h5ad", "--out", out, "--json", *arguments
    ).json
    assert told == {"out": str(out), "bytes": out.stat().st_size, "genes": 8, "genes_left_out": 0}
    assert list(tmp_path.iterdir()) == [out]
    assert '<h2 id="genes-heading">' in out.read_text()


def test_a_report_of_cells_on_disk_is_the_same(exvae, folder: Path, tmp_path: Path) -> None:
    arguments = ["report", folder / "isoforms", folder / "cells.h5ad", "--replicates", 2]
    pages = []
    for option in ("--backed", "--in-memory"):
        told = exvae(*arguments, option, "--out", tmp_path / "report.html")
        assert told.status == 0
        assert ("stay on disk" in told.err) == (option == "--backed")
        pages.append((tmp_path / "report.html").read_text())
    assert pages[0] == pages[1]


def test_a_report_of_documents(exvae, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    arguments = ["--label", "label", "--id", "id", "--out", out, "--replicates", 0]
    told = exvae("report", folder / "lda", folder / "news.csv", *arguments)
    assert told.status == 0
    assert "report.html" in told.out
    assert "text12" not in out.read_text()  # ids are packed with the numbers
    assert "Prevalence of the topic by label" in out.read_text()


@pytest.mark.parametrize("kind", ["isoforms", "lda"])
def test_a_report_without_data(exvae, folder: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "report.html"
    told = exvae("report", folder / kind, "--out", out, "--json")
    assert json.loads(told.out)["bytes"] == out.stat().st_size
    assert "The page was made without" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["{folder}/none"], "is no fit"),
        (["{folder}/isoforms", "{folder}/none.h5ad"], "none.h5ad"),
        (["{folder}/isoforms", "{folder}/news.csv"], "news.csv"),
        (["{folder}/isoforms", "{folder}/cells.h5ad", "--groupby", "nosuch"], "nosuch"),
        (["{folder}/isoforms", "{folder}/cells.h5ad", "--label", "x"], "--label"),
        (["{folder}/isoforms", "{folder}/cells.h5ad", "--replicates", "1"], "replicates is 1"),
        (["{folder}/isoforms", "{folder}/cells.h5ad", "--genes", "{folder}/no.txt"], "no.txt"),
        (["{folder}/isoforms", "{folder}/cells.h5ad", "--genes", "{folder}/news.csv"], "no gene"),
        (["{folder}/lda", "{folder}/none.tsv"], "none.tsv"),
        (["{folder}/lda", "{folder}/news.csv", "--groupby", "label"], "--groupby"),
        (["{folder}/lda", "{folder}/news.csv", "--in-memory"], "--backed"),
        (["{folder}/lda", "--out", "no/such/report.html"], "folder does not exist"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, folder: Path, tmp_path: Path, monkeypatch, arguments: list, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = exvae("report", *[own.format(folder=folder) for own in arguments])
    assert told.status == 2
    assert len(told.err.splitlines()) == 1
    assert named in told.err
    assert not list(tmp_path.iterdir())


def test_without_plotly_the_remedy_is_told_at_once(
    exvae, folder: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    told = exvae("report", folder / "lda", "--out", tmp_path / "report.html")
    assert told.status == 2
    assert told.err.splitlines() == [
        "exvae: a report needs plotly and jinja2; install what it needs: "
        f"{sys.executable} -m pip install 'exvae[report]'"
    ]
    assert not list(tmp_path.iterdir())
