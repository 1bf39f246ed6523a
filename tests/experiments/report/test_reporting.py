"""The function :func:`exvae.report`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import exvae
from exvae.data.errors import DataError
from exvae.experiments.report.reporting import symbols_of

from .conftest import Page


def test_a_folder_and_a_file_give_the_page_of_the_model(cells_page: Page, tmp_path: Path) -> None:
    adata = cells_page.model._adata
    adata.write_h5ad(tmp_path / "cells.h5ad")
    cells_page.model.save(tmp_path / "FIT")
    out = tmp_path / "report.html"
    told = exvae.report(tmp_path / "FIT", tmp_path / "cells.h5ad", out, replicates=3)
    again = Page(out, None, told)
    assert told == {"out": str(out), "bytes": out.stat().st_size, "genes": 8, "genes_left_out": 0}
    assert again.numbers == cells_page.numbers


def test_documents_of_a_file(topics_page: Page, tmp_path: Path) -> None:
    topics_page.model.save(tmp_path / "FIT")
    (tmp_path / "other.tsv").write_text("wind cold\ngoal match unknown\n")
    out = tmp_path / "report.html"
    exvae.report(tmp_path / "FIT", str(tmp_path / "other.tsv"), out, replicates=0)
    documents = Page(out, None, {}).numbers["documents"]
    assert len(documents["names"]) == 2
    assert documents["map"]["method"] == "principal components of the topic proportions"


def test_without_data_the_page_tells_of_the_fit(topics_page: Page, tmp_path: Path) -> None:
    topics_page.model.save(tmp_path / "FIT")
    out = tmp_path / "report.html"
    exvae.report(tmp_path / "FIT", path=out)
    assert set(Page(out, None, {}).numbers) == {"training", "topics"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"genes": ["nosuch"]}, "no gene 'nosuch'"),
        ({"genes": "gene0"}, "give a list"),
        ({"groupby": "nosuch"}, "no column 'nosuch'"),
        ({"replicates": 1}, "give 0 for no check"),
        ({"seed": -1}, "seed is -1"),
        ({"path": "no/such/report.html"}, "its folder does not exist"),
        ({"path": "."}, "no regular file"),
    ],
)
def test_bad_arguments_are_told_and_nothing_is_written(
    cells_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=told):
        exvae.report(cells_page.model, **options)
    assert not list(tmp_path.iterdir())


def test_genes_are_not_for_topics(topics_page: Page, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are for cells"):
        exvae.report(topics_page.model, path=tmp_path / "report.html", genes=["gene0"])


def test_symbols_of_genes() -> None:
    genes = np.array(["g1", "g1", "g2"])
    var = pd.DataFrame({"gene_name": ["A", "A", None]})
    assert symbols_of(genes, var) == {"g1": "A"}
    assert symbols_of(genes, var[[]]) == {}
    assert symbols_of(None, var) == {}
