"""Genes read from an export, and the command that draws them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from exvae.data.errors import DataError
from exvae.experiments.isoforms.exported import read_exported

from ...small_data import draw_expression


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Write cells with expression, one of its layers sparse."""
    cells = draw_expression()
    low = cells.layers["expression_q0.025"]
    cells.layers["expression_q0.025"] = csr_matrix(np.where(low > 1, low, 0))
    cells.write_h5ad(tmp_path / "exported.h5ad")
    return tmp_path / "exported.h5ad"


def test_genes_are_read_with_the_widest_interval(exported: Path) -> None:
    cells, interval = read_exported(exported, ["gene4", "isoform2"], "cell_type")
    assert interval == (0.025, 0.975)
    assert cells.var_names.tolist() == ["isoform2", "isoform12", "isoform13", "isoform14"]
    whole = anndata.read_h5ad(exported)[:, cells.var_names]
    assert cells.obs.equals(whole.obs)
    named = {"expression", "expression_q0.025", "expression_q0.975", "estimates"}
    assert set(cells.layers) == named
    for name, values in cells.layers.items():
        layer = whole.X.toarray() if name == "estimates" else whole.layers[name]
        layer = layer.toarray() if name == "expression_q0.025" else layer
        np.testing.assert_array_equal(values, layer)


def test_genes_are_drawn_by_the_command(exvae: Callable, exported: Path, tmp_path: Path) -> None:
    picture = tmp_path / "genes.png"
    arguments = ["isoforms", "gene", exported, "gene1", "gene4", "--out", picture]
    drawn = exvae(*arguments, "--group", "cell_type", "--json")
    assert drawn.json == {"picture": str(picture), "isoforms": 6}
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gene77"], "has no gene or isoform 'gene77'; the nearest: gene7"),
        (["gene1", "--group", "celltype"], "no column 'celltype'; the nearest: cell_type"),
    ],
)
def test_mistakes_are_told_in_a_line(
    exvae: Callable, exported: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    result = exvae("isoforms", "gene", exported, *arguments, "--out", tmp_path / "gene.png")
    assert result.status == 2
    assert told in result.err
    assert str(exported) in result.err
    assert len(result.err.splitlines()) == 1


def test_other_files_are_refused(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file; give one that export wrote"):
        read_exported(tmp_path / "missing.h5ad", ["gene1"])
    cells = anndata.read_h5ad(exported)
    del cells.layers["expression_q0.025"], cells.layers["expression_q0.25"]
    cells.write_h5ad(exported)
    with pytest.raises(DataError, match="quantiles on both sides"):
        read_exported(exported, ["gene1"])
    del cells.layers["expression"]
    cells.write_h5ad(exported)
    with pytest.raises(DataError, match="no layer expression;"):
        read_exported(exported, ["gene1"])
