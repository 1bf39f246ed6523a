"""Models of isoforms from cells to fit, and what is refused, as users do it."""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from exvae.data.errors import DataError
from exvae.experiments.commands import isoforms as isoform_commands
from exvae.experiments.fitting import fits
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.models import MODELS

from ...comparisons import assert_same

# Of the cells that are simulated.
CELLS, ISOFORMS = 30, 6
# Where figures need no precision.
FEW = ("--likelihood-samples", 2, "--samples", 2)


# Fitting


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--model", "scvi", "--label", "cell_type", "--set", "dispersion=cell"),
        ("--model", "paper", "--error", "shared", "--noise", "absolute", "--set", "latent_size=3"),
        ("--batch-key", "donor", "--encoder-bootstraps", 0, "--set", "dispersion=batch"),
        ("--patience", 1, "--pooling", "moments", "--set", "dropout=constant"),
        ("--train-fraction", 1.0, "--model", "paper", "--noise", "relative"),
        ("--decoder", "linear", "--guide", "cells", "--set", "readout_sizes=[8, 4]"),
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


def test_numbers_of_samples_reach_the_evaluation(
    exvae, folder: Path, fitted: dict[str, Path], monkeypatch
) -> None:
    given = {}
    monkeypatch.setattr(
        "exvae.experiments.isoforms.evaluation.evaluate",
        lambda *_, **options: given.update(options) or {"loss_per_cell": 0.0},
    )
    numbers = ("--likelihood-samples", 7, "--samples", 11)
    result = exvae("isoforms", "evaluate", fitted["effective"], folder / "cells.h5ad", *numbers)
    assert result.status == 0, result.err
    assert (given["likelihood_samples"], given["posterior_samples"]) == (7, 11)


def test_defaults_of_the_command_are_those_of_the_configuration() -> None:
    signature = inspect.signature(isoform_commands.fit).parameters
    fit = {name: value.default for name, value in signature.items()}
    config = asdict(IsoformConfig())
    assert config.keys() - fit.keys() == {"options"}
    assert config == config | {name: fit[name] for name in config.keys() & fit.keys()}
    assert not fit["set_"]
    assert not config["options"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"error": "independent", "noise": "absolute"}),
        (("--error", "shared"), {"error": "shared", "noise": "absolute"}),
        (("--noise", "relative"), {"error": "independent", "noise": "relative"}),
        (("--set", "error=shared"), {"error": "shared", "noise": "absolute"}),
    ],
)
def test_options_of_the_paper_arrive(
    exvae, folder: Path, tmp_path: Path, options: tuple, expected: dict[str, str]
) -> None:
    arguments = ["isoforms", "fit", folder / "cells.h5ad", "--out", tmp_path / "fit"]
    assert exvae(*arguments, "--model", "paper", "--epochs", 1, *options).status == 0
    model = fitting.load(tmp_path / "fit", "cpu").model
    assert {"error": model.error, "noise": model.noise} == expected


def test_a_fit_goes_on_with_the_same_genes_alone(
    simulate, fit_here, folder: Path, tmp_path: Path
) -> None:
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
    exvae, simulate, tmp_path: Path, genes: list | None
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
        if model != "reads"  # these cells have no reads by class
    }
    assert notes == {"effective-reads": 0, "paper": 0, "scvi": 1}


def test_training_lowers_the_loss_of_cells_held_out(fitted: dict[str, Path], kind: str) -> None:
    metrics = fits.read_metrics(fitted[kind])
    assert metrics["held_out_loss_per_cell"].iloc[-1] < metrics["held_out_loss_per_cell"].iloc[0]
    assert metrics["loss_per_cell"].iloc[-1] < metrics["loss_per_cell"].iloc[0]


def test_training_never_sees_the_cells_held_out(
    simulate, fit_here, folder: Path, tmp_path: Path
) -> None:
    cells, _ = simulate()
    _, held_out = fitting.split_cells(CELLS, 0.8, 0)
    assert len(held_out) == 6
    for name in cells.layers:
        cells.layers[name] = cells.layers[name].toarray()
        cells.layers[name][held_out] *= 3.0
    cells.X[held_out] *= 3.0
    cells.write_h5ad(tmp_path / "changed.h5ad")
    fit_here(folder / "cells.h5ad", tmp_path / "one")
    fit_here(tmp_path / "changed.h5ad", tmp_path / "other")
    one, other = (fits.read_checkpoint(tmp_path / name) for name in ("one", "other"))
    for part in ("model", "guide"):
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())
    metrics = [fits.read_metrics(tmp_path / name) for name in ("one", "other")]
    assert metrics[0]["loss_per_cell"].equals(metrics[1]["loss_per_cell"])
    assert not metrics[0]["held_out_loss_per_cell"].equals(metrics[1]["held_out_loss_per_cell"])


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


def test_cells_in_another_order_give_the_same_numbers(exvae, folder: Path, fitted) -> None:
    for kind, fit in fitted.items():
        arguments = [*FEW, "--json", "--truth", folder / "truth.npz"]
        one, other = (
            exvae("isoforms", "evaluate", fit, folder / f"{name}.h5ad", *arguments).json
            for name in ("cells", "other")
        )
        assert one == other, kind


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
        (["fit", "{cells}", "--out", "{out}", "--model", "paper", "--noise", "poisson"], "--noise"),
        (["fit", "{cells}", "--out", "{out}", "--noise", "absolute"], "no option noise"),
        (["fit", "{cells}", "--out", "{out}", "--set", "latent_size"], "NAME=VALUE"),
        (["fit", "{cells}", "--out", "{out}", "--set", "latent_size=0"], "latent_size is 0"),
        (
            ["fit", "{cells}", "--out", "{out}", "--decoder", "deep"],
            "choose one of network, linear",
        ),
        (["fit", "{cells}", "--out", "{out}", "--batch-key", "day"], "batch_key must be one of"),
        (["fit", "{cells}", "--out", "{out}", "--label", "day"], "--label must be one of"),
        (["fit", "{cells}", "--out", "{out}", "--train-fraction", 0], "--train-fraction is 0.0"),
        (
            ["fit", "{cells}", "--out", "{out}", "--train-fraction", 1, "--patience", 2],
            "0 held out",
        ),
        (["fit", "{cells}", "--out", "{out}", "--device", "tpu"], "device"),
        (["fit", "{bare}", "--out", "{out}"], "holds no bootstraps"),
        (["evaluate", "{missing}", "{cells}"], "is no fit"),
        (
            ["evaluate", "{scvi}", "{fewer}"],
            "lacks 1 of the 6 isoforms",
        ),
        (["evaluate", "{scvi}", "{cells}", "--truth", "{half}"], "20"),
        (["evaluate", "{scvi}", "{cells}", "--truth", "{cells}"], "cannot be read as the truth"),
        (["evaluate", "{effective}", "{bare}"], "holds no bootstraps"),
        (["evaluate", "{scvi}", "{bare}", "--subset", "train"], "--subset all"),
        (["evaluate", "{scvi}", "{cells}", "--subset", "some"], "subset"),
        (["export", "{scvi}", "{cells}", "--out", "{out}.csv"], "ends in .h5ad or .zarr"),
        (["export", "{scvi}", "{cells}", "--out", "{cells}"], "is the file that is read"),
        (["export", "{scvi}", "{cells}", "--out", "{missing}/o.h5ad"], "folder does not exist"),
        (
            ["export", "{scvi}", "{cells}", "--out", "{out}.h5ad", "--quantiles", 0.5, 1.5],
            "between 0 and 1",
        ),
        (["gene", "{cells}", "gene1", "--out", "{out}.png"], "no layer expression"),
        (["gene", "{missing}", "gene1", "--out", "{out}.png"], "missing.h5ad"),
        (["fit", "{damaged}", "--out", "{out}"], "X/indptr ends at 1073741824"),
        (["evaluate", "{scvi}", "{damaged}"], "X/indptr ends at 1073741824"),
        (["export", "{scvi}", "{damaged}", "--out", "{out}.h5ad"], "X/indptr ends at 1073741824"),
        (
            ["filter", "{damaged}", "--out", "{out}.h5ad", "--min-cells", 1],
            "X/indptr ends at 1073741824",
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, folder: Path, fitted, tmp_path: Path, arguments: list, named: str
) -> None:
    places = {name: folder / f"{name}.h5ad" for name in ("cells", "fewer", "bare", "damaged")}
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
