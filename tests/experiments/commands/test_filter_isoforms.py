"""The command that filters isoforms, as users type it."""

from __future__ import annotations

from pathlib import Path

import anndata
import pytest

from exvae.experiments.demo import simulate_isoforms


@pytest.fixture
def source(tmp_path: Path, capsys) -> Path:
    path = tmp_path / "cells.h5ad"
    simulate_isoforms(path, 12, 20, 3, num_types=2, depth=60.0, seed=0)
    capsys.readouterr()  # its progress bar
    return path


def test_filter_then_fit_and_export(exvae, source: Path, tmp_path: Path) -> None:
    few, fit = tmp_path / "few.h5ad", tmp_path / "fit"
    result = exvae("isoforms", "filter", source, "--out", few, "--min-cells", 8, "--json")
    assert result.status == 0
    kept = anndata.read_h5ad(few)
    assert 1 < result.json["isoforms"] == kept.n_vars < 20
    assert result.json["isoforms_before"] == 20
    assert 0.5 < result.json["reads_kept"] < 1
    assert "12/12" in result.err  # the progress bar
    assert exvae("isoforms", "fit", few, "--out", fit, "--epochs", 1).status == 0
    # The fit takes its isoforms from cells that have more.
    found = []
    for cells in (few, source):
        out = tmp_path / f"{cells.stem}_expression.h5ad"
        assert exvae("isoforms", "export", fit, cells, "--out", out, "--samples", 1).status == 0
        found.append(anndata.read_h5ad(out))
        assert exvae("isoforms", "evaluate", fit, cells, "--samples", 1).status == 0
    assert found[0].var_names.equals(found[1].var_names)
    assert found[0].n_vars == kept.n_vars
    for layer in ("expression", "expression_normalised_log1p", "infRep1"):
        assert (found[0].layers[layer] != found[1].layers[layer]).nnz == 0
    # A fit of all isoforms does not take cells that lack some.
    whole = tmp_path / "whole"
    assert exvae("isoforms", "fit", source, "--out", whole, "--epochs", 1).status == 0
    result = exvae("isoforms", "export", whole, few, "--out", tmp_path / "none.h5ad")
    assert result.status == 2
    assert f"lacks {20 - kept.n_vars} of the 20 isoforms of the fit" in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-cells", 13], "has 12 cells"),
        (["--min-cells", 0], "min-cells"),
        (["--min-cells", 1, "--min-reads", -1], "min-reads"),
        ([], "min-cells"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, source: Path, tmp_path: Path, options: list, message: str
) -> None:
    result = exvae("isoforms", "filter", source, "--out", tmp_path / "few.h5ad", *options)
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "few.h5ad").exists()


def test_reads_that_count_as_expressed_are_asked_for(exvae, source: Path, tmp_path: Path) -> None:
    left = []
    for reads in (1, 8):
        out = tmp_path / f"{reads}.h5ad"
        options = ("--min-cells", 6, "--min-reads", reads, "--json")
        left.append(exvae("isoforms", "filter", source, "--out", out, *options).json["isoforms"])
    assert left[1] < left[0]
