"""Models of isoforms from cells to fit, figures of merit, export and pictures, as users do it."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from exvae.data.cell_batches import CountTensors
from exvae.data.cells import STATISTICS
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.commands import isoforms as isoform_commands
from exvae.experiments.fitting import fits
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import evaluation, exporting, fitting, inference
from exvae.experiments.isoforms.settings import MODELS, SUBSETS, IsoformConfig
from exvae.models.isoforms import EffectiveReadIsoforms

CELLS, ISOFORMS, BOOTSTRAPS = 30, 6, 5
# Every kind of model: of effective reads, of latent counts, and of the rounded counts.
FITS = {"effective": {}, "adaptive": {"noise": "adaptive"}, "scvi": {"model": "scvi"}}
# Where figures need no precision.
FEW = ("--likelihood-samples", 2, "--samples", 2)


def simulate(seed: int = 0) -> tuple[anndata.AnnData, dict[str, np.ndarray]]:
    """Make cells of two types, and the truth; the last isoform of cell 0 is very large."""
    rng = np.random.default_rng(seed)
    types = np.arange(CELLS) % 2
    profiles = rng.gamma(1.0, 20.0, (2, ISOFORMS)) + 1.0
    expected = profiles[types] * rng.gamma(20.0, 1 / 20.0, (CELLS, 1))
    y = rng.poisson(expected)
    scale = np.sqrt(1 + y)
    estimate = y + scale * rng.normal(size=y.shape)
    draws = estimate + scale * rng.normal(size=(BOOTSTRAPS, *y.shape))
    draws = np.where(draws > 0, draws, 0.0).astype(np.float32)
    cells = anndata.AnnData(
        scipy.sparse.csr_matrix(np.maximum(estimate, 0.0).astype(np.float32)),
        obs=pd.DataFrame(
            {
                "cell_type": np.char.add("type", types.astype(str)),
                "donor": rng.choice(["ada", "bea"], CELLS),
                "n_bootstraps": BOOTSTRAPS,
            },
            index=[f"cell{n}" for n in range(CELLS)],
        ),
        var=pd.DataFrame(
            {"gene": [f"gene{g // 2}" for g in range(ISOFORMS)]},
            index=[f"iso{g}" for g in range(ISOFORMS)],
        ),
    )
    for number, values in enumerate(draws, start=1):
        cells.layers[f"infRep{number}"] = scipy.sparse.csr_matrix(values)
    truth = {
        "expected": expected[:, ::-1],
        "cell_type": cells.obs["cell_type"].to_numpy(np.str_),
        "transcripts": cells.var_names.to_numpy().astype(np.str_)[::-1],
    }
    return cells, truth


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Write cells, variations of them, and their truth."""
    place = tmp_path_factory.mktemp("cells")
    cells, truth = simulate()
    cells.write_h5ad(place / "cells.h5ad")
    np.savez(place / "truth.npz", **truth)
    np.savez(place / "half.npz", **{**truth, "expected": truth["expected"][:20]})
    other = cells[:, ::-1].copy()
    other.write_h5ad(place / "other.h5ad")
    bare = cells.copy()
    for name in list(bare.layers):
        del bare.layers[name]
    bare.write_h5ad(place / "bare.h5ad")
    return place


def fit_here(source: Path, out: Path, resume: bool = False, **settings: object) -> None:
    """Fit in this process, two epochs unless told otherwise."""
    options = {"epochs": 2, "batch_size": 16, "learning_rate": 5e-3, "device": "cpu"}
    config = {key: settings.pop(key) for key in list(settings) if key not in options}
    batch_key = config.pop("batch_key", None)
    train_fraction = config.pop("train_fraction", 0.8)
    seed = config.pop("seed", 0)
    patience = config.pop("patience", 0)
    training = TrainingConfig(**{**options, **settings}, seed=seed, patience=patience)
    fitting.fit(
        read_cells(source, batch_key),
        IsoformConfig(**config),
        training,
        out,
        train_fraction=train_fraction,
        batch_key=batch_key,
        resume=resume,
    )


@pytest.fixture(scope="module")
def fitted(folder: Path) -> dict[str, Path]:
    """Fit each of the models."""
    places = {name: folder / name for name in FITS}
    for name, place in places.items():
        fit_here(folder / "cells.h5ad", place, **FITS[name], epochs=25, batch_key="donor")
    return places


every_fit = pytest.mark.parametrize("kind", FITS)


# Fitting


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--model", "scvi", "--label", "cell_type", "--dispersion", "isoform-cell"),
        ("--error", "independent", "--zeros", "atom", "--noise", "absolute", "--latent", 3),
        ("--batch-key", "donor", "--encoder-bootstraps", 0, "--dispersion", "isoform-batch"),
        ("--patience", 1, "--pooling", "moments", "--dropout", "isoform"),
        ("--train-fraction", 1.0, "--noise", "relative"),
    ],
)
def test_fit_writes_a_fit_and_pictures(exvae, folder: Path, tmp_path: Path, options) -> None:
    out = tmp_path / "fit"
    result = exvae(
        "isoforms", "fit", folder / "cells.h5ad", "--out", out, "--epochs", 1, "--json", *options
    )
    assert result.status == 0, result.err
    assert result.json["epoch"] == 1
    assert np.isfinite(result.json["loss_per_cell"])
    assert ("held_out_loss_per_cell" in result.json) == ("--train-fraction" not in options)
    for picture in result.json["pictures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    told = exvae("info", out, "--json").json
    assert told["kind"] == "isoforms"
    assert told["data"]["cells"] == CELLS
    evaluated = exvae("isoforms", "evaluate", out, folder / "cells.h5ad", "--json", *FEW)
    assert np.isfinite(evaluated.json["nll_point_estimates"])


def test_defaults_of_the_command_are_those_of_the_configuration() -> None:
    signature = inspect.signature(isoform_commands.fit).parameters
    fit = {name: value.default for name, value in signature.items()}
    config = asdict(IsoformConfig())
    assert fit["latent"] == config["latent_size"]
    assert config == config | {name: fit[name] for name in config.keys() & fit.keys()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "poisson"),
        ({"error": "independent"}, "adaptive"),
        ({"zeros": "atom"}, "adaptive"),
        ({"zeros": "atom", "noise": "absolute"}, "absolute"),
        ({"noise": "relative"}, "relative"),
    ],
)
def test_options_of_the_paper_choose_normal_noise(options: dict[str, str], expected: str) -> None:
    config = IsoformConfig(**options)
    assert config.chosen_noise() == expected
    model, _ = fitting.build(config, ["a", "b", "a", "c"], 1)
    if expected == "poisson":
        assert isinstance(model, EffectiveReadIsoforms)
    else:
        wanted = {"error": "shared", "zeros": "rectified", **options, "noise": expected}
        assert model.likelihood == wanted


def test_a_fit_goes_on_with_the_same_genes_alone(folder: Path, tmp_path: Path) -> None:
    fit_here(folder / "cells.h5ad", tmp_path / "fit", epochs=1)
    before = (tmp_path / "fit" / "genes.txt").read_text()
    cells, _ = simulate()
    cells.var["gene"] = cells.var["gene"].to_numpy()[[0, 2, 1, 3, 4, 5]]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="genes"):
        fit_here(tmp_path / "cells.h5ad", tmp_path / "fit", epochs=2, resume=True)
    assert (tmp_path / "fit" / "genes.txt").read_text() == before


@pytest.mark.parametrize("genes", [None, ["a", "a", None, "", "b", None]])
def test_isoforms_of_no_known_gene_are_taken_by_themselves(
    exvae, tmp_path: Path, genes: list | None
) -> None:
    cells, _ = simulate()
    if genes is None:
        del cells.var["gene"]
    else:
        cells.var["gene"] = pd.array(genes, dtype="string")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    done = exvae(
        "isoforms", "fit", tmp_path / "cells.h5ad", "--out", tmp_path / "fit", "--epochs", 1
    )
    assert done.status == 0
    assert ("--t2g" in done.err) == (genes is None)
    found = (tmp_path / "fit" / "genes.txt").read_text().split()
    names = [f"iso{g}" for g in range(ISOFORMS)]
    assert found == (names if genes is None else ["a", "a", *names[2:4], "b", names[5]])


def test_scvi_says_that_it_rounds(exvae, folder: Path, tmp_path: Path) -> None:
    arguments = ["isoforms", "fit", folder / "cells.h5ad", "--epochs", 1, "--out"]
    notes = {
        model: exvae(*arguments, tmp_path / model, "--model", model).err.count("rounded")
        for model in MODELS
    }
    assert notes == {"bootstrap": 0, "scvi": 1}


@every_fit
def test_training_lowers_the_loss_of_cells_held_out(fitted: dict[str, Path], kind: str) -> None:
    metrics = fits.read_metrics(fitted[kind])
    assert metrics["held_out_loss_per_cell"].iloc[-1] < metrics["held_out_loss_per_cell"].iloc[0]
    assert metrics["loss_per_cell"].iloc[-1] < metrics["loss_per_cell"].iloc[0]


def test_training_never_sees_the_cells_held_out(folder: Path, tmp_path: Path) -> None:
    cells, _ = simulate()
    _, held_out = fitting.split_cells(CELLS, 0.8, 0)
    assert len(held_out) == 6
    for name in cells.layers:
        cells.layers[name] = cells.layers[name].toarray()
        cells.layers[name][held_out] *= 3.0
    cells.write_h5ad(tmp_path / "changed.h5ad")
    fit_here(folder / "cells.h5ad", tmp_path / "one")
    fit_here(tmp_path / "changed.h5ad", tmp_path / "other")
    one, other = (fits.read_checkpoint(tmp_path / name) for name in ("one", "other"))
    for part in ("model", "guide"):
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())
    metrics = [fits.read_metrics(tmp_path / name) for name in ("one", "other")]
    assert metrics[0]["loss_per_cell"].equals(metrics[1]["loss_per_cell"])
    assert not metrics[0]["held_out_loss_per_cell"].equals(metrics[1]["held_out_loss_per_cell"])


def assert_same(left: object, right: object, path: str = "") -> None:
    """Compare nested dictionaries, tensors bit by bit; measured times are left out."""
    if path.endswith("/seconds"):
        return
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_same(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    else:
        assert left == right, path


def test_a_fit_that_was_stopped_goes_on_exactly(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C falls in the middle of an epoch; each step draws other bootstraps of each cell."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    settings = ["--epochs", "6", "--batch-size", "2", "--device", "cpu", "--seed", "5"]
    settings += ["--encoder-bootstraps", "2"]
    program = [sys.executable, "-m", "exvae", "isoforms", "fit", str(folder / "cells.h5ad")]

    def start(out: Path, *more: str) -> subprocess.Popen:
        command = [*program, *settings, "--out", str(out), *more]
        return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True)

    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    process = start(stopped)
    deadline = time.monotonic() + 120
    while len(fits.read_metrics(stopped)) < 2:
        assert process.poll() is None, "training ended before it could be stopped"
        assert time.monotonic() < deadline, "training is too slow"
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in messages.splitlines()[-1]
    assert fits.read_checkpoint(stopped)["progress"]["epoch"] < 6
    others = [start(straight), start(stopped, "--resume")]
    assert [process.wait(timeout=120) for process in others] == [0, 0]
    for process in others:
        process.stderr.close()
    assert_same(fits.read_checkpoint(straight), fits.read_checkpoint(stopped))
    columns = ["epoch", "loss_per_cell", "held_out_loss_per_cell"]
    assert fits.read_metrics(straight)[columns].equals(fits.read_metrics(stopped)[columns])


def test_more_epochs_can_be_asked_for_when_resuming(folder: Path, tmp_path: Path) -> None:
    source = folder / "cells.h5ad"
    fit_here(source, tmp_path / "fit", model="scvi")
    fit_here(source, tmp_path / "fit", model="scvi", epochs=4, resume=True)
    fit_here(source, tmp_path / "straight", model="scvi", epochs=4)
    one, other = (fits.read_checkpoint(tmp_path / name) for name in ("fit", "straight"))
    assert_same(one["model"], other["model"])
    assert_same(one["guide"], other["guide"])


def test_training_stops_when_patience_runs_out(folder: Path, tmp_path: Path) -> None:
    settings = {"model": "scvi", "epochs": 500, "patience": 3, "learning_rate": 0.02}
    fit_here(folder / "cells.h5ad", tmp_path / "fit", **settings)
    losses = fits.read_metrics(tmp_path / "fit")["held_out_loss_per_cell"].to_numpy()
    assert len(losses) < 500
    assert np.argmin(losses) == len(losses) - 4


# Evaluation


@every_fit
def test_evaluate_gives_the_figures_agreed(exvae, folder: Path, fitted, kind: str) -> None:
    arguments = ["isoforms", "evaluate", fitted[kind], folder / "cells.h5ad", "--json", *FEW]
    plain = exvae(*arguments).json
    assert set(plain) == {"cells", "isoforms", "loss_per_cell", "nll_point_estimates"}
    measured = exvae(*arguments, "--truth", folder / "truth.npz").json
    assert set(measured) == set(plain) | {
        "coverage",
        "coverage_all",
        "coverage_by_tenth",
        "interval_width",
        "rmse_log1p",
        "rmse_log1p_quantifier",
        "rmse_log1p_bootstraps",
        "adjusted_rand_index",
    }
    assert {name: measured[name] for name in plain} == plain
    assert list(measured["coverage"]) == ["0.5", "0.8", "0.95"]
    assert 0.2 < measured["coverage"]["0.5"] < measured["coverage"]["0.8"]
    assert measured["coverage"]["0.8"] < measured["coverage"]["0.95"] <= 1.0
    assert measured["adjusted_rand_index"] > 0.8
    assert (measured["cells"], measured["isoforms"]) == (CELLS, ISOFORMS)
    sizes = {subset: exvae(*arguments, "--subset", subset).json["cells"] for subset in SUBSETS}
    assert sizes == {"all": 30, "train": 24, "held-out": 6}


def test_figures_against_the_truth_are_those_of_the_export(
    exvae, folder: Path, fitted: dict[str, Path], tmp_path: Path
) -> None:
    source = folder / "cells.h5ad"
    measured = exvae(
        *["isoforms", "evaluate", fitted["effective"], source, "--json"],
        *["--truth", folder / "truth.npz", "--likelihood-samples", 1],
    ).json
    out = tmp_path / "out.h5ad"
    written = exvae(
        *["isoforms", "export", fitted["effective"], source, "--out", out],
        *["--quantiles", 0.1, 0.25, 0.75, 0.9, "--json"],
    )
    assert written.status == 0, written.err
    exported = anndata.read_h5ad(out)
    truth = np.load(folder / "truth.npz")["expected"][:, ::-1]
    bootstraps = np.stack(
        [exported.layers[f"infRep{b + 1}"].toarray() for b in range(BOOTSTRAPS)]
    ).mean(0)

    def rmse(log1p: np.ndarray) -> float:
        return float(np.sqrt(np.mean((log1p - np.log1p(truth)) ** 2)))

    found = rmse(exported.layers["expression_log1p"])
    assert measured["rmse_log1p"] == pytest.approx(found, rel=0.02)
    assert measured["rmse_log1p_quantifier"] == pytest.approx(rmse(np.log1p(exported.X.toarray())))
    assert measured["rmse_log1p_bootstraps"] == pytest.approx(rmse(np.log1p(bootstraps)))
    for level, low, high in (("0.5", 0.25, 0.75), ("0.8", 0.1, 0.9)):
        inside = (exported.layers[f"expression_q{low}"] <= truth) & (
            truth <= exported.layers[f"expression_q{high}"]
        )
        expected = inside[bootstraps > 2].mean()
        assert measured["coverage"][level] == pytest.approx(expected, abs=0.04)


def test_the_bound_with_one_sample_is_the_elbo_on_average(folder: Path, fitted) -> None:
    fit = fitting.load(fitted["scvi"], "cpu")
    cells = fit.conform(read_cells(folder / "cells.h5ad", "donor"))
    tensors, positions = CountTensors(cells), np.arange(CELLS)

    def bound(num_samples: int) -> float:
        return inference.log_prob_of_point_estimates(
            fit.model, fit.guide, tensors, positions, num_samples=num_samples
        )

    losses = [
        CELLS * inference.loss_per_cell(fit.model, fit.guide, tensors, positions) for _ in range(60)
    ]
    ones = [bound(1) for _ in range(60)]
    error = (np.mean(ones) + np.mean(losses)) / np.sqrt(
        (np.var(ones) + np.var(losses)) / len(losses)
    )
    assert abs(error) < 4.5
    assert np.mean(ones) < bound(10) < bound(300)


def test_blocks_change_nothing(folder: Path, fitted, monkeypatch) -> None:
    fit = fitting.load(fitted["effective"], "cpu")
    cells = fit.conform(read_cells(folder / "cells.h5ad", "donor"))
    tensors = fitting.tensors_of(IsoformConfig(**fit.config["model"]), cells, "cpu")
    positions = np.array([3, 1, 29, 7, 2])
    whole = inference.mean_states(fit.guide, tensors, positions)
    monkeypatch.setattr(inference.batches_of, "__defaults__", (2 * ISOFORMS,))
    parts = inference.mean_states(fit.guide, tensors, positions)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


def test_rand_index() -> None:
    types = np.array(["a", "b", "c"]).repeat(10)
    states = np.random.default_rng(0).normal(size=(30, 2)) * 0.1
    states[:, 0] += np.repeat([0, 5, 10], 10)
    assert evaluation.rand_index(states, types) == 1.0
    assert evaluation.rand_index(states, np.tile(["a", "b", "c"], 10)) < 0.1


# Export


@every_fit
def test_export_adds_to_a_copy_of_the_cells(
    exvae, folder: Path, fitted, tmp_path: Path, kind: str
) -> None:
    source, out = folder / "cells.h5ad", tmp_path / "out.h5ad"
    result = exvae("isoforms", "export", fitted[kind], source, "--out", out, "--json")
    assert result.status == 0, result.err
    before, after = anndata.read_h5ad(source), anndata.read_h5ad(out)
    pd.testing.assert_frame_equal(before.obs, after.obs)
    pd.testing.assert_frame_equal(before.var, after.var)
    assert (before.X != after.X).nnz == 0
    for name in before.layers:
        assert (before.layers[name] != after.layers[name]).nnz == 0
    assert after.obsm["X_exvae"].shape == (CELLS, 10)
    config = json.loads(after.uns["exvae"]["config"])
    assert config["model"]["model"] == FITS[kind].get("model", "bootstrap")
    layers = {"expression", "expression_sd", "expression_log1p"}
    layers |= {f"expression_q{level}" for level in (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)}
    layers |= {"expression_observed"} if kind == "adaptive" else set()
    assert set(after.layers) - set(before.layers) == layers == set(result.json["layers"])
    for name in layers:
        values = after.layers[name]
        assert values.shape == (CELLS, ISOFORMS)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    quantiles = [after.layers[f"expression_q{q}"] for q in (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)]
    assert all((low <= high).all() for low, high in zip(quantiles, quantiles[1:], strict=False))
    assert (np.log1p(after.layers["expression"]) >= after.layers["expression_log1p"] - 1e-4).all()
    bootstraps = after.layers["infRep1"].toarray()
    assert np.corrcoef(after.layers["expression"].ravel(), bootstraps.ravel())[0, 1] > 0.9


def test_an_export_in_parts_is_that_of_all_cells(
    folder: Path, fitted, tmp_path: Path, monkeypatch
) -> None:
    fit = fitting.load(fitted["effective"], "cpu")
    found = []
    for name, size in (("whole", CELLS * ISOFORMS), ("parts", 4 * ISOFORMS)):
        monkeypatch.setattr(exporting, "_READ", size)
        exporting.export(fit, folder / "cells.h5ad", tmp_path / f"{name}.h5ad")
        found.append(anndata.read_h5ad(tmp_path / f"{name}.h5ad"))
    whole, parts = found
    np.testing.assert_allclose(parts.obsm["X_exvae"], whole.obsm["X_exvae"], rtol=1e-4, atol=1e-5)
    # Means of 400 draws.
    error = parts.layers["expression"] - whole.layers["expression"]
    assert (np.abs(error) < 0.5 * whole.layers["expression_sd"] + 1e-3).all()


def test_an_export_can_be_exported_again(exvae, folder: Path, fitted, tmp_path: Path) -> None:
    source, fit = folder / "cells.h5ad", fitted["scvi"]
    first, again = tmp_path / "first.h5ad", tmp_path / "again.h5ad"
    arguments = ["isoforms", "export", fit]
    assert exvae(*arguments, source, "--out", first, "--quantiles", 0.4, "--seed", 1).status == 0
    assert exvae(*arguments, first, "--out", again, "--quantiles", 0.6, "--seed", 1).status == 0
    layers = anndata.read_h5ad(again).layers
    assert "expression_q0.6" in layers
    assert "expression_q0.4" not in layers
    np.testing.assert_array_equal(
        layers["expression"], anndata.read_h5ad(first).layers["expression"]
    )


def test_an_export_that_fails_leaves_nothing(
    folder: Path, fitted, tmp_path: Path, monkeypatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(exporting, "layers_of", fail)
    fit = fitting.load(fitted["scvi"], "cpu")
    with pytest.raises(RuntimeError, match="in the middle"):
        exporting.export(fit, folder / "cells.h5ad", tmp_path / "out.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_statistics_alone_are_fitted_and_exported(exvae, tmp_path: Path) -> None:
    cells, _ = simulate()
    draws = np.stack([cells.layers[f"infRep{b + 1}"].toarray() for b in range(BOOTSTRAPS)])
    positives = (draws > 0).sum(0)
    mean = draws.sum(0) / np.maximum(positives, 1)
    squares = (np.where(draws > 0, draws - mean, 0.0) ** 2).sum(0)
    for name in list(cells.layers):
        del cells.layers[name]
    for name, values in zip(STATISTICS, (mean, BOOTSTRAPS - positives, squares), strict=True):
        cells.layers[name] = values.astype(np.float32)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    fit, source = tmp_path / "fit", tmp_path / "cells.h5ad"
    done = exvae("isoforms", "fit", source, "--out", fit, "--epochs", 2)
    assert done.status == 0
    # How isoforms scatter together is in no statistic, so that each is a gene of its own.
    assert "no two bootstraps are kept" in done.err
    assert (fit / "genes.txt").read_text() == (fit / "isoforms.txt").read_text()
    out = tmp_path / "out.h5ad"
    assert exvae("isoforms", "export", fit, source, "--out", out, "--samples", 1).status == 0
    assert "expression_q0.9" in anndata.read_h5ad(tmp_path / "out.h5ad").layers


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # of scanpy and of what it loads
def test_scanpy_works_on_an_export(exvae, folder: Path, fitted, tmp_path: Path) -> None:
    scanpy = pytest.importorskip("scanpy")
    out = tmp_path / "out.h5ad"
    assert (
        exvae("isoforms", "export", fitted["scvi"], folder / "cells.h5ad", "--out", out).status == 0
    )
    cells = scanpy.read_h5ad(out)
    scanpy.pp.neighbors(cells, use_rep="X_exvae", n_neighbors=5)
    scanpy.tl.umap(cells)
    assert cells.obsm["X_umap"].shape == (CELLS, 2)
    scanpy.tl.rank_genes_groups(cells, "cell_type", layer="expression_log1p", use_raw=False)
    scanpy.pl.umap(cells, color=["cell_type", "iso0"], layer="expression", show=False)


# Pictures


def test_gene_draws_isoforms_with_intervals(exvae, folder: Path, fitted, tmp_path: Path) -> None:
    out = tmp_path / "out.h5ad"
    arguments = ["isoforms", "export", fitted["scvi"], folder / "cells.h5ad", "--out", out]
    assert exvae(*arguments).status == 0
    picture = tmp_path / "gene.png"
    drawn = exvae(
        *["isoforms", "gene", out, "gene1", "--out", picture, "--group", "cell_type", "--json"]
    )
    assert drawn.json == {"picture": str(picture), "isoforms": 2}
    assert picture.read_bytes().startswith(b"\x89PNG")
    table = exporting.read_gene(out, "gene1", "cell_type")
    assert set(table["isoform"]) == {"iso2", "iso3"}
    layers = anndata.read_h5ad(out)
    own = table[table["isoform"] == "iso3"].set_index("cell")
    np.testing.assert_array_equal(own["expression"], layers[:, "iso3"].layers["expression"][:, 0])
    np.testing.assert_array_equal(own["low"], layers[:, "iso3"].layers["expression_q0.025"][:, 0])
    np.testing.assert_array_equal(own["high"], layers[:, "iso3"].layers["expression_q0.975"][:, 0])
    assert own["group"].tolist() == layers.obs["cell_type"].tolist()
    assert exporting.read_gene(out, "iso3")["group"].unique().tolist() == ["all cells"]


# Bad input


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["fit", "{missing}", "--out", "{out}"], "missing.h5ad: no such file"),
        (["fit", "{cells}"], "--out"),
        (["fit", "{cells}", "--out", "{scvi}"], "holds a fit already"),
        (["fit", "{cells}", "--out", "{out}", "--resume"], "resume"),
        (["fit", "{cells}", "--out", "{scvi}", "--resume", "--batch-size", 7], "was begun with"),
        (["fit", "{cells}", "--out", "{out}", "--model", "vae"], "model"),
        (
            ["fit", "{cells}", "--out", "{out}", *["--noise", "poisson", "--zeros", "atom"]],
            "--noise",
        ),
        (["fit", "{cells}", "--out", "{out}", "--batch-key", "day"], "batch_key must be one of"),
        (["fit", "{cells}", "--out", "{out}", "--label", "day"], "--label must be one of"),
        (["fit", "{cells}", "--out", "{out}", "--train-fraction", 0], "--train-fraction"),
        (
            ["fit", "{cells}", "--out", "{out}", "--train-fraction", 1, "--patience", 2],
            "0 held out",
        ),
        (["fit", "{cells}", "--out", "{out}", "--device", "tpu"], "device"),
        (["fit", "{bare}", "--out", "{out}"], "holds no bootstraps"),
        (["evaluate", "{missing}", "{cells}"], "is no fit"),
        (["evaluate", "{scvi}", "{other}"], "isoform 1 is iso5, but iso0 in the fit"),
        (["evaluate", "{scvi}", "{cells}", "--truth", "{half}"], "20"),
        (["evaluate", "{scvi}", "{cells}", "--truth", "{cells}"], "cannot be read as the truth"),
        (["evaluate", "{effective}", "{bare}"], "holds no bootstraps"),
        (["evaluate", "{scvi}", "{bare}", "--subset", "train"], "--subset all"),
        (["evaluate", "{scvi}", "{cells}", "--subset", "some"], "subset"),
        (["export", "{scvi}", "{cells}", "--out", "{out}.csv"], "ends in .h5ad"),
        (["export", "{scvi}", "{cells}", "--out", "{cells}"], "is the file that is read"),
        (["export", "{scvi}", "{cells}", "--out", "{missing}/o.h5ad"], "folder does not exist"),
        (
            ["export", "{scvi}", "{cells}", "--out", "{out}.h5ad", "--quantiles", 0.5, 1.5],
            "between 0 and 1",
        ),
        (["gene", "{cells}", "gene1", "--out", "{out}.png"], "no layer expression"),
        (["gene", "{missing}", "gene1", "--out", "{out}.png"], "missing.h5ad"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, folder: Path, fitted, tmp_path: Path, arguments: list, named: str
) -> None:
    places = {name: folder / f"{name}.h5ad" for name in ("cells", "other", "bare")}
    places |= fitted | {"missing": tmp_path / "missing.h5ad", "out": tmp_path / "out"}
    places["half"] = folder / "half.npz"
    before = sorted([*tmp_path.rglob("*"), *folder.rglob("*")])
    result = exvae("isoforms", *[str(argument).format(**places) for argument in arguments])
    assert result.status == 2, result.err
    assert result.out == ""
    assert len(result.err.splitlines()) == 1, result.err
    assert result.err.startswith("exvae: ")
    assert named in result.err
    assert sorted([*tmp_path.rglob("*"), *folder.rglob("*")]) == before
