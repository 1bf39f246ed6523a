"""Isoform models in memory: their options and their training."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pytest
import torch

import exvae
from exvae.data.errors import DataError, DataWarning
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoform_model import IsoformModel
from exvae.experiments.isoforms import fitting, inference
from exvae.experiments.isoforms.settings import IsoformConfig

from ..small_data import NUM_CELLS, draw_cells


@pytest.fixture
def adata() -> anndata.AnnData:
    return draw_cells()


def test_training_is_that_of_the_command(adata: anndata.AnnData, tmp_path: Path) -> None:
    model = IsoformModel(adata, latent_size=3).train(2, seed=5)
    training = TrainingConfig(2, 32, 5e-3, 5)
    config = IsoformConfig(options={"latent_size": 3})
    fitting.fit(read_cells(adata), config, training, tmp_path / "fit")
    for name, value in fitting.load(tmp_path / "fit").model.state_dict().items():
        assert torch.equal(value, model.module.state_dict()[name]), name
    assert model.history["epoch"].tolist() == [1, 2]
    assert np.isfinite(model.history["loss_per_cell"]).all()


def test_a_model_that_is_not_trained_says_so(adata: anndata.AnnData) -> None:
    model = IsoformModel(adata)
    assert "not trained" in repr(model)
    with pytest.raises(DataError, match="not trained; call its method train"):
        model.get_expression()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laten_size": 3}, "there is no option laten_size"),
        ({"latent_size": "three"}, "latent_size is 'three'; give a whole number"),
        ({"guide": "cell"}, "guide is 'cell'; choose one of"),
        ({"decoder": "nets"}, "decoder is 'nets'; choose one of"),
        ({"model": "scvi", "pooling": "middle"}, "pooling"),
        ({"encoder_bootstraps": -1}, "encoder_bootstraps is -1; give a whole number"),
    ],
)
def test_wrong_options_are_told_by_the_constructor(
    adata: anndata.AnnData, options: dict, message: str
) -> None:
    state = torch.get_rng_state()
    with pytest.raises(DataError, match=message):
        IsoformModel(adata, **options)
    IsoformModel(adata)
    assert torch.equal(torch.get_rng_state(), state)


def test_measurements_are_no_batches(adata: anndata.AnnData) -> None:
    own = adata.copy()
    own.obs["size"] = np.linspace(0.1, 1.3, NUM_CELLS)
    told = "24 cells are in 24 batches, the first '0.1'; choose a batch_key"
    for build in (IsoformModel, exvae.prepare):
        with pytest.raises(DataError, match=told):
            build(own, batch_key="size")


def test_interrupts_leave_the_model_usable(
    adata: anndata.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def interrupt(*arguments: object, **options: object) -> float:
        seen.append(arguments)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return 0.0

    monkeypatch.setattr(inference, "loss_per_cell", interrupt)
    model = IsoformModel(adata)
    with pytest.warns(UserWarning, match=r"interrupted in epoch 4.*train\(\) goes on"):
        model.train(50)
    assert len(model.history) == 3
    assert model.get_latent_representation().shape == (NUM_CELLS, 10)


def test_training_goes_on(adata: anndata.AnnData) -> None:
    whole = IsoformModel(adata, latent_size=3).train(4)
    parts = IsoformModel(adata, latent_size=3).train(1).train(3)
    for name, value in whole.module.state_dict().items():
        assert torch.equal(value, parts.module.state_dict()[name]), name
    assert parts.history["epoch"].tolist() == [1, 2, 3, 4]
    with pytest.raises(DataError, match="was begun with seed 0, not 1"):
        parts.train(1, seed=1)


def test_training_goes_on_with_another_learning_rate_and_patience(
    adata: anndata.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = IsoformModel(adata, latent_size=3).train(1, learning_rate=1e-2)
    slowed = IsoformModel(adata, latent_size=3).train(1, learning_rate=1e-2)
    before = {name: value.clone() for name, value in slowed.module.state_dict().items()}
    straight.train(1, learning_rate=1e-2)
    slowed.train(1, learning_rate=1e-4, batch_size=8)
    moved = {
        model: max(
            (own - before[name]).abs().max() for name, own in model.module.named_parameters()
        )
        for model in (straight, slowed)
    }
    # Of a step at most the learning rate, or 5 times of it, is the change.
    assert moved[slowed] < 3 * 5 * 1.1e-4 < 1e-2 < moved[straight]
    assert slowed._trained().config["training"]["learning_rate"] == 1e-4
    with pytest.raises(DataError, match="learning_rate is 0; give a positive number"):
        slowed.train(1, learning_rate=0)

    worse = iter(range(100))
    monkeypatch.setattr(inference, "loss_per_cell", lambda *arguments: float(next(worse)))
    assert len(slowed.train(50, batch_size=8, patience=2).history) == 2 + 3
    assert len(slowed.train(50, batch_size=8, patience=3).history) == 5 + 1
    assert len(slowed.train(50, batch_size=8, patience=3).history) == 6 + 3


def test_numbers_out_of_range_are_refused(adata: anndata.AnnData) -> None:
    for options, message in (
        ({"max_epochs": -1}, "max_epochs"),
        ({"train_fraction": 90}, "train_f"),
    ):
        with pytest.raises(DataError, match=message):
            IsoformModel(adata).train(**options)


def test_a_model_interrupted_in_its_first_epoch_is_saved_and_loaded(
    adata: anndata.AnnData, tmp_path: Path
) -> None:
    model = IsoformModel(adata).train(1)
    model._metrics = []
    model.save(tmp_path / "fit")
    assert exvae.load(tmp_path / "fit", adata).history.empty


@pytest.mark.parametrize("build", [IsoformModel, exvae.prepare])
def test_logarithms_of_bootstraps_are_told(build: Callable, adata: anndata.AnnData) -> None:
    adata.X = adata.X.log1p()
    for name in adata.layers:
        adata.layers[name] = adata.layers[name].log1p()
    with pytest.warns(DataWarning, match="adata: the variance of its bootstraps is 0.0.*log-trans"):
        build(adata)
    with pytest.warns(DataWarning, match=r"X holds fractions.*end at 4.\d+: are they logarithms\?"):
        build(adata, model="scvi")
