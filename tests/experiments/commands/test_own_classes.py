"""Commands with classes of a user: what is wrong with them is one line and leaves nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
import typer

from exvae.experiments import cli
from exvae.models import MODELS

from ...small_data import write_data

CODE = """
import torch
from pyro.distributions import LogNormal, Normal, StudentT, TransformedDistribution
from pyro.distributions.transforms import AffineTransform, SigmoidTransform
from torch import nn

from exvae.guides.cells import CellGuide
from exvae.guides.sets import Pooling, pool
from exvae.models.cells import CellModel


class Nothing:
    pass


class Student(CellModel):
    def __init__(self, genes, num_batches=1, df=4.0, **options):
        super().__init__(genes, num_batches, **options)
        self.df = df

    def likelihood(self, latents, batches, num_bootstraps=1):
        mean = self.decode_mean(latents, batches)
        return StudentT(self.df, mean, mean.sqrt() + 0.1)


class Typo(Student):
    def __init__(self, genes, num_batches=1, **options):
        super().__init__(genes, num_batches, **options)
        self.width = self.num_isoform


class Positive(CellModel):
    def likelihood(self, latents, batches, num_bootstraps=1):
        return LogNormal(self.decode_mean(latents, batches).log(), 1.0)


class Flow(CellGuide):
    def posteriors(self, bootstraps, offsets, batches):
        q = super().posteriors(bootstraps, offsets, batches)
        transforms = [SigmoidTransform(), AffineTransform(0.0, 2.0)]
        return {**q, "z": TransformedDistribution(q["z"], transforms)}


class OnlyState(CellGuide):
    def posteriors(self, bootstraps, offsets, batches):
        return {"z": super().posteriors(bootstraps, offsets, batches)["z"]}


class Flat(CellGuide):
    def posteriors(self, bootstraps, offsets, batches):
        q = super().posteriors(bootstraps, offsets, batches)
        return {**q, "z": Normal(q["z"].mean.squeeze(-2), 1.0).to_event(1)}


class Doubled(Pooling):
    def forward(self, table, rows, offsets):
        mean = pool(table, rows, offsets, "mean")
        return torch.cat([mean, mean], -1)


class Residual(nn.Module):
    def __init__(self, latent_size, num_batches, output_size, width=8, depth=2):
        super().__init__()
        self.hidden = nn.ModuleList(nn.LazyLinear(width) for _ in range(depth))
        self.output = nn.Linear(width, output_size)
        self(torch.zeros(1, latent_size), torch.zeros(1, dtype=torch.int64))

    def forward(self, latent, batches):
        for layer in self.hidden:
            latent = layer(latent).tanh()
        return self.output(latent)
"""
CELLS = ["isoforms", "fit", "cells.h5ad", "--out", "FIT", "--epochs", 1, "--device", "cpu"]
TOPICS = ["lda", "fit", "corpus.tsv", "--topics", 2, "--out", "FIT", "--epochs", 1]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with data and ``own.py``."""
    write_data(tmp_path)
    (tmp_path / "own.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "own", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--model own:Nothing", "--model own:Nothing is no exvae.models.cells.CellModel"),
        ("--model own:Nowhere", "--model own:Nowhere: own.py has no Nowhere; its classes are"),
        ("--model own:Typo", r"own.py:\d+ in .*__init__: AttributeError: 'Typo' object has no"),
        ("--model own:Positive", "model Positive fails on the first datapoints: ValueError: "),
        ("--model own:Student --set df=four", "--set df is 'four'; give a number, such as --set"),
        ("--guide own:Student", "--guide own:Student is no exvae.guides.base.Guide; subclass it"),
        ("--guide own:OnlyState", "guide OnlyState samples z, but the model has z, library; both"),
        ("--guide own:Flat", r"guide Flat samples z of shape \(2, 2, 10\) .* wants \(2, 1, 10\)"),
        ("--guide paper", "--guide PaperGuide is for BootstrapIsoforms, not for EffectiveRead"),
        ("--model paper --guide cells", "guide CellGuide samples z, library, but the model has z"),
        ("--pooling own:Student", "--pooling own:Student is no exvae.guides.sets.Pooling"),
        ("--pooling own:Doubled", "Doubled pools 2 sets to shape .2, 128., not to .*output_size"),
        ("--decoder own:Nothing", "--decoder own:Nothing is no torch.nn.Module; subclass it"),
        ("--error shared", "there is no option error; it belongs to --model paper"),
        ("--set pooling=sum", "--set pooling=sum: pooling has an option of its own; give --pool"),
        ("--set decoder=linear", "decoder has an option of its own; give --decoder"),
        ("--set latent_size=4 --set latent_size=6", "latent_size=6: latent_size is given twice"),
        ("--model paper --error shared --set error=shared", "error is given twice; give it once"),
        ("--set hidden_sizes=64,32", "give a list of whole numbers, such as --set hidden_sizes="),
        ("--device cuda", "--device is cuda, but torch sees no CUDA device; choose cpu or auto"),
    ],
)
def test_what_cells_cannot_be_fitted_with_is_one_line(exvae, options: str, message: str) -> None:
    refused(exvae, [*CELLS, *options.split()], message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--guide own:Flow", "--guide own:Flow is no exvae.guides.lda.LDAGuide; subclass it"),
        ("--pooling own:Doubled", "Doubled pools 2 sets to shape"),
        ("--set length=100", "there is no option length; it belongs to --guide fixed-length"),
        ("--set document_concentration=-1", "document_concentration is -1; give a positive"),
        ("--set topic_concentration=0", "topic_concentration is 0; give a positive number"),
        ("--set learn_topic_concentration=False", "give true or false, such as --set learn_top"),
        ("--set learn_topic_concentration=maybe", "learn_topic_concentration is 'maybe'; give t"),
        ("--set pooling=sum", "pooling has an option of its own; give --pooling"),
    ],
)
def test_what_documents_cannot_be_fitted_with_is_one_line(
    exvae, options: str, message: str
) -> None:
    refused(exvae, [*TOPICS, *options.split()], message)


def refused(exvae: Callable, arguments: list, message: str) -> None:
    """Expect one line, status 2, and no folder."""
    result = exvae(*arguments)
    assert result.status == 2, result.err
    assert len(result.err.splitlines()) == 1, result.err
    assert re.search(message, result.err), result.err
    assert not Path("FIT").exists()


def test_the_next_attempt_needs_no_other_folder(exvae) -> None:
    assert exvae(*CELLS, "--guide", "own:OnlyState").status == 2
    assert exvae(*CELLS, "--guide", "own:Flow").status == 0


def test_a_class_that_was_changed_cannot_go_on(exvae, folder: Path, monkeypatch) -> None:
    options = [*CELLS, "--decoder", "own:Residual"]
    assert exvae(*options).status == 0
    (folder / "own.py").write_text(CODE.replace("width=8", "width=16"))
    monkeypatch.delitem(sys.modules, "own")
    result = exvae(*options, "--resume")
    assert result.status == 2
    assert len(result.err.splitlines()) == 1
    assert "FIT: its model does not fit EffectiveReadIsoforms as it is now (decoder." in result.err


def test_options_of_decoders_need_no_star(exvae) -> None:
    assert exvae(*CELLS, "--decoder", "own:Residual", "--set", "depth=3").status == 0
    told = exvae("info", "FIT", "--json").json
    assert told["model"]["options"] == {"depth": 3}


def test_states_without_a_mean_are_drawn(exvae) -> None:
    """A flow of the state, which lies between 0 and 2."""
    assert exvae(*CELLS, "--guide", "own:Flow", "--set", "latent_size=3").status == 0
    measured = exvae(
        *("isoforms", "evaluate", "FIT", "cells.h5ad", "--trust", "--likelihood-samples", 2)
    )
    assert measured.status == 0
    states = []
    for name in ("one.h5ad", "other.h5ad"):
        options = ("--out", name, "--samples", 2, "--trust")
        done = exvae("isoforms", "export", "FIT", "cells.h5ad", *options)
        assert done.status == 0, done.err
        states.append(anndata.read_h5ad(name).obsm["X_exvae"])
    assert states[0].shape == (24, 3)
    assert (states[0] > 0).all() and (states[0] < 2).all() and states[0].std() > 0
    np.testing.assert_array_equal(*states)


def test_likelihoods_without_a_cdf_are_told(exvae) -> None:
    assert exvae(*CELLS, "--model", "own:Student").status == 0
    result = exvae("isoforms", "evaluate", "FIT", "cells.h5ad", "--trust")
    assert result.status == 2
    assert len(result.err.splitlines()) == 1
    assert "model Student: its likelihood StudentT has no cdf" in result.err
    assert result.err.rstrip().endswith("write the method log_prob_of_counts")


def test_help_names_every_model() -> None:
    command = typer.main.get_command(cli.app).commands["isoforms"].commands["fit"]
    (model,) = (option for option in command.params if option.name == "model")
    assert model.help == f"Model: {', '.join(MODELS)} or module:Class."
    assert "reads" in model.help
