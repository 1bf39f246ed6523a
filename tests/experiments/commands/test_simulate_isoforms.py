"""The command that simulates cells, and what others make of its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest

from exvae.data.simulators.gene_structures import draw_transcripts

SMALL = ("--cells", 15, "--isoforms", 20, "--bootstraps", 3)


@pytest.fixture
def fasta(tmp_path: Path) -> tuple[Path, Path]:
    """Fifteen transcripts, and the table of their genes."""
    transcripts = draw_transcripts(15, np.random.default_rng(0))
    path, t2g = tmp_path / "transcripts.fa", tmp_path / "t2g.tsv"
    with path.open("wb") as file:
        for name, sequence in zip(transcripts.names, transcripts.sequences, strict=True):
            file.write(b">%s and more\n%s\n" % (name.encode(), sequence))
    pairs = zip(transcripts.names, transcripts.genes, strict=True)
    t2g.write_text("".join(f"{name}\t{gene}\n" for name, gene in pairs))
    return path, t2g


def test_one_object_on_standard_output(exvae: Callable, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    result = exvae("isoforms", "simulate", out, *SMALL, "--json")
    assert result.status == 0
    data = anndata.read_h5ad(out)
    assert result.json == {
        "out": str(out),
        "cells": 15,
        "isoforms": 20,
        "genes": data.var["gene"].nunique(),
        "bootstraps": 3,
        "switching_genes": data.var["gene"][data.var["switching"]].nunique(),
        "classes": result.json["classes"],
        "reads": pytest.approx(data.X.sum(), rel=1e-6),
    }
    assert "15/15" in result.err  # the progress bar
    # The tips of SymSim's Phyla5, in random order.
    assert data.obs["cell_type"].value_counts().to_dict() == dict.fromkeys("12345", 3)
    assert data.obs["cell_type"].tolist() != sorted(data.obs["cell_type"])
    assert (data.obs["capture_efficiency"] < 1).all()
    assert (data.obs["molecules"] > 0).all()
    assert "batch" not in data.obs
    told = data.uns["exvae_simulation"]
    assert (told["expression"], told["capture"], told["seed"]) == ("symsim", 0.1, 0)
    # Ten reads for each isoform, where nothing is said.
    assert data.layers["expected_counts"].sum(1).mean() == pytest.approx(200.0, rel=0.4)


def test_the_seed_decides(exvae: Callable, tmp_path: Path) -> None:
    drawn = []
    for number, seed in enumerate((0, 0, 1)):
        out = tmp_path / f"{number}.h5ad"
        assert exvae("isoforms", "simulate", out, *SMALL, "--seed", seed).status == 0
        drawn.append(anndata.read_h5ad(out).layers["infRep2"].toarray())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_every_option(exvae: Callable, fasta: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    result = exvae(
        *("isoforms", "simulate", out, "--cells", 6, "--bootstraps", 4, "--batches", 2),
        *("--expression", "symsim", "--tree", "((A:1,B:1):2,'C d':3);", "--capture", 1),
        *("--depth", 900, "--switching", 1, "--usage-noise", 0.1, "--layers", 1),
        *("--transcripts", fasta[0], "--t2g", fasta[1], "--processes", 2),
        *("--fragment-mean", 180, "--fragment-sd", 20, "--read-length", 50, "--seed", 3),
    )
    assert result.status == 0
    data = anndata.read_h5ad(out)
    assert data.shape == (6, 15)
    assert data.obs["cell_type"].value_counts().to_dict() == {"A": 2, "B": 2, "C d": 2}
    assert set(data.obs["batch"]) <= {"batch_0", "batch_1"}
    assert (data.obs["capture_efficiency"] == 1).all()
    assert data.layers["expected_counts"].sum(1).mean() == pytest.approx(900.0, rel=0.5)
    assert data.var["switching"].tolist() == data.var["gene"].duplicated(keep=False).tolist()
    assert "infRep2" not in data.layers
    assert (data.obs["n_bootstraps"] == 4).all()
    fragments = data.uns["exvae_simulation"]["fragments"]
    assert (fragments["mean"], fragments["sd"], fragments["read_length"]) == (180, 20, 50)
    shortened = data.var["length"] - data.var["effective_length"]
    np.testing.assert_allclose(shortened[data.var["length"] > 400], 179.0, atol=1.0)


def test_simple_expression(exvae: Callable, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    simple = ("--expression", "simple", "--cell-types", 2)
    assert exvae("isoforms", "simulate", out, *SMALL, *simple).status == 0
    data = anndata.read_h5ad(out)
    assert data.obs["cell_type"].value_counts().to_dict() == {"type_0": 8, "type_1": 7}
    assert "capture_efficiency" not in data.obs
    assert data.uns["exvae_simulation"]["expression"] == "simple"


def test_batches_are_a_batch_key_of_the_fit(exvae: Callable, tmp_path: Path) -> None:
    cells, fit = tmp_path / "cells.h5ad", tmp_path / "fit"
    exvae("isoforms", "simulate", cells, *SMALL, "--batches", 2)
    options = ("--model", "scvi", "--epochs", 1, "--batch-key", "batch")
    assert exvae("isoforms", "fit", cells, "--out", fit, *options).status == 0
    assert exvae("info", fit, "--json").json["data"]["batch_names"] == ["batch_0", "batch_1"]


def test_transcripts_without_a_table_of_genes(
    exvae: Callable, fasta: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "cells.h5ad"
    result = exvae("isoforms", "simulate", out, "--cells", 5, "--transcripts", fasta[0], "--json")
    assert result.json["genes"] == 15
    assert "without a table of genes (t2g)" in result.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{out}.csv"], ".h5ad"),
        (["{missing}/cells.h5ad"], "folder does not exist"),
        (["{out}.h5ad", "--cells", "0"], "--cells"),
        (["{out}.h5ad", "--isoforms", "many"], "--isoforms"),
        (["{out}.h5ad", "--read-length", "30"], "--read-length"),
        (["{out}.h5ad", "--fragment-sd", "300"], "--fragment-sd"),
        (["{out}.h5ad", "--switching", "2"], "--switching"),
        (["{out}.h5ad", "--t2g", "{fasta}"], "--transcripts"),
        (["{out}.h5ad", "--transcripts", "{fasta}", "--isoforms", "3"], "--isoforms"),
        (["{out}.h5ad", "--transcripts", "{missing}"], "no such file"),
        (["{out}.h5ad", "--isoforms", "30", "--depth", "1", "--cells", "50"], "raise the depth"),
        (["{out}.h5ad", "--isoforms", "3", "--capture", "0.001"], "raise capture"),
        (["{out}.h5ad", "--capture", "0"], "--capture"),
        (["{out}.h5ad", "--cells", "4"], "--cells: is 4, but the tree has 5 populations"),
        (["{out}.h5ad", "--tree", "(A:1,B:1)"], "--tree"),
        (["{out}.h5ad", "--tree", ""], "--tree"),
        (["{out}.h5ad", "--depth", "inf"], "--depth"),
        (["{out}.h5ad", "--fragment-mean", "inf"], "--fragment-mean"),
        (["{out}.h5ad", "--transcripts", "{short}"], "31 known bases"),
        (["{out}.h5ad", "--cell-types", "3"], "--cell-types"),
        (["{out}.h5ad", "--expression", "simple", "--tree", "(A:1,B:1);"], "--tree"),
        (["{out}.h5ad", "--expression", "simple", "--capture", "0.5"], "--capture"),
        (["{out}.h5ad", "--expression", "odd"], "--expression"),
        (["{out}.h5ad", "--batches", "0"], "--batches"),
    ],
)
def test_bad_input_is_one_line(
    exvae: Callable, fasta: tuple[Path, Path], tmp_path: Path, arguments: list[str], reason: str
) -> None:
    short = tmp_path / "short.fa"
    short.write_text(">one\nACGTACGTAA\n>two\nACCTNNNNAACCGG\n")
    places = {"out": tmp_path / "out", "missing": tmp_path / "missing"}
    places |= {"fasta": fasta[0], "short": short}
    before = set(tmp_path.iterdir())
    result = exvae("isoforms", "simulate", *(each.format(**places) for each in arguments))
    assert result.status == 2
    assert result.out == ""
    *_, line = result.err.splitlines()
    assert line.startswith("exvae: ")
    assert reason in line
    assert "Traceback" not in result.err
    assert set(tmp_path.iterdir()) == before


def test_fit_and_evaluate_with_the_truth_of_the_file(exvae: Callable, tmp_path: Path) -> None:
    cells, fit, truth = tmp_path / "cells.h5ad", tmp_path / "fit", tmp_path / "truth.npz"
    exvae("isoforms", "simulate", cells, *SMALL)
    options = ("--model", "scvi", "--epochs", 2, "--label", "cell_type")
    assert exvae("isoforms", "fit", cells, "--out", fit, *options).status == 0
    data = anndata.read_h5ad(cells)
    np.savez(
        truth,
        expected=data.layers["expected_counts"],
        cell_type=data.obs["cell_type"].to_numpy(str),
        transcripts=data.var_names.to_numpy(str),
    )
    evaluate = ("isoforms", "evaluate", fit, cells, "--likelihood-samples", 1, "--json", "--truth")
    of_cells, of_arrays = (exvae(*evaluate, path).json for path in (cells, truth))
    assert of_cells == of_arrays
    assert {"coverage", "rmse_log1p", "adjusted_rand_index"} <= set(of_cells)
