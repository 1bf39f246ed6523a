"""Pages of small fits whose names are HTML, and the numbers in them."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import exvae
from exvae.experiments.report.reporting import report

from ...small_data import draw_cells, draw_texts

SCRIPT = "<script>window.harmed = 1</script>"
IMAGE = "<img src=x onerror='window.harmed = 1'>"
END = "</script><b>bold</b>"


class Page(NamedTuple):
    """A page, the model it is about, and what the function returned."""

    path: Path
    model: object
    told: dict

    @property
    def html(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def numbers(self) -> dict:
        """What the scripts draw."""
        return json.loads(packed_text(self.html, "numbers"))


def packed_text(html: str, name: str) -> str:
    """Unpack what stands in a script element."""
    text = re.search(rf'<script id="{name}" type="text/plain">([^<]*)</script>', html).group(1)
    return gzip.decompress(base64.b64decode(text)).decode()


def decoded(encoded: dict) -> np.ndarray:
    """Values of logarithmic codes, shape (rows, columns), as docs of encoding.py give them."""
    kind = {1: "u1", 2: "<u2"}[encoded["bytes"]]
    codes = np.frombuffer(base64.b64decode(encoded["codes"]), kind).astype(float)
    codes = codes.reshape(-1, encoded["columns"])
    low, high = (np.array(encoded[name])[:, None] for name in ("low", "high"))
    most = 256.0 ** encoded["bytes"] - 1
    return np.where(codes == 0, 0.0, low * (high / low) ** ((codes - 1) / (most - 1)))


@pytest.fixture(scope="session")
def cells_page(tmp_path_factory) -> Page:
    """Page of an isoform model; a gene, an isoform, a cell, a type and a column are HTML."""
    adata = draw_cells()
    adata.var["gene"] = adata.var["gene"].replace({"gene1": SCRIPT})
    adata.var["gene_name"] = adata.var["gene"].replace({"gene2": "Actb"})
    adata.var_names = [IMAGE if name == "isoform4" else name for name in adata.var_names]
    adata.uns["reads"]["isoforms"] = adata.var_names.to_numpy(object)
    adata.obs_names = [END if name == "cell3" else name for name in adata.obs_names]
    adata.obs["cell_type"] = adata.obs["cell_type"].replace({"type1": END})
    adata.obs[IMAGE] = np.linspace(0, 1, adata.n_obs)
    model = exvae.IsoformModel(adata, batch_key="batch", latent_size=3).train(4, progress=False)
    path = tmp_path_factory.mktemp("page") / "cells.html"
    return Page(path, model, report(model, path=path, replicates=3))


@pytest.fixture(scope="session")
def topics_page(tmp_path_factory) -> Page:
    """Page of a topic model; a word, a label and the id of a document are HTML."""
    texts = draw_texts()
    words = [[SCRIPT if own == "rain" else own for own in text.split()] for text in texts["text"]]
    labels = texts["label"].replace({"weather": END})
    ids = texts["id"].replace({"text5": IMAGE})
    corpus = exvae.Corpus.from_texts(words, labels=labels.tolist(), ids=ids.tolist())
    model = exvae.TopicModel(corpus, topics=3).train(max_epochs=5, progress=False)
    path = tmp_path_factory.mktemp("page") / "topics.html"
    return Page(path, model, report(model, path=path, replicates=3))


@pytest.fixture
def groups() -> pd.Series:
    """Give the groups of 30 cells, one of them small."""
    return pd.Series(["large"] * 27 + ["small"] * 3, dtype="category")
