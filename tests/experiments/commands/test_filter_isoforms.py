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
    arguments = ("--out", tmp_path / "expression.h5ad", "--samples", 1)
    assert exvae("isoforms", "export", fit, few, *arguments).status == 0
    # A fit of the isoforms that are left does not take all of them.
    result = exvae("isoforms", "export", fit, source, *arguments)
    assert result.status == 2
    assert "isoforms" in result.err


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
