"""Data, model and guide for training loops of anybody's own, and what the package gives."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from pyro.distributions import LogNormal, Normal
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor, nn

import exvae
from exvae.data.corpora import write_corpus
from exvae.data.errors import DataError
from exvae.guides.base import Guide
from exvae.guides.cells import CellGuide
from exvae.guides.lda import ExchangeableGuide, FixedLengthGuide
from exvae.guides.paper_isoforms import PaperGuide
from exvae.guides.sets import MeanPooling
from exvae.models.cells import CellModel
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.lda import LDA
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI

from ..small_data import NUM_CELLS, NUM_GENES, draw_cells, draw_corpus

RATE = 1e-3
CELL_MODELS = {
    "effective-reads": (EffectiveReadIsoforms, CellGuide),
    "paper": (BootstrapIsoforms, PaperGuide),
    "scvi": (SCVI, CellGuide),
}


def losses_of(data, model, guide, epochs: int = 4) -> list[float]:
    """Train, and give the mean loss of each epoch."""
    svi = SVI(model, guide, exvae.optimizer(model, guide, 0.02), TraceMeanField_ELBO())
    return [np.mean([svi.step(*batch) for batch in data.batches(8)]) for _ in range(epochs)]


# What is prepared


@pytest.mark.parametrize("name", CELL_MODELS)
def test_cells_are_prepared_for_each_model(name: str) -> None:
    kinds = CELL_MODELS[name]
    data, model, guide = exvae.prepare(draw_cells(), model=name, latent_size=2, device="cpu")
    assert (type(model), type(guide)) == kinds
    assert guide.model is model
    assert model.latent_size == 2
    assert len(data) == NUM_CELLS
    assert (data.unit, data.element) == ("cells", "cell")
    losses = losses_of(data, model, guide)
    assert losses[-1] < losses[0]


def test_documents_without_words_are_left_out() -> None:
    corpus = exvae.Corpus.from_texts(["fig", "the", "pear fig", ""])
    data, model, _ = exvae.prepare(corpus, topics=2, device="cpu")
    assert len(data) == 2
    assert data.batch(np.arange(2)).offsets.tolist() == [0, 1, 3]
    assert model.vocabulary_size == 2


def test_a_path_is_read_as_what_is_in_memory(tmp_path: Path) -> None:
    cells = draw_cells()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    found = []
    for given in (cells, tmp_path / "cells.h5ad", str(tmp_path / "cells.h5ad")):
        torch.manual_seed(0)
        data, model, _ = exvae.prepare(given, batch_key="batch", device="cpu")
        found.append((data.batch(np.arange(3)), model.state_dict()))
    batch, state = found[0]
    assert state["log_library_mean"].shape == (2,)
    for other, own in found[1:]:
        assert torch.equal(other.obs, batch.obs)
        assert torch.equal(other.batches, batch.batches)
        assert all(torch.equal(value, own[key]) for key, value in state.items())


def test_models_start_from_the_cells() -> None:
    cells = draw_cells()
    _, model, guide = exvae.prepare(cells, model="scvi", device="cpu")
    reads = cells.X.toarray().sum(1)
    assert model.log_library_mean.item() == pytest.approx(np.log(reads).mean(), rel=1e-5)
    assert guide.reads.item() == pytest.approx(np.median(reads))
    assert exvae.prepare(cells, device="cpu")[1].num_genes == NUM_GENES


@pytest.mark.parametrize("topics", [None, 3])
def test_a_corpus_is_prepared(topics: int | None) -> None:
    corpus = draw_corpus()
    data, model, guide = exvae.prepare(corpus, topics=topics, device="cpu")
    assert (type(model), type(guide)) == (LDA, ExchangeableGuide)
    assert model.num_topics == (topics or 20)
    assert model.vocabulary_size == 20
    assert len(data) == 30
    assert data.size(np.array([0, 7])) == corpus.lengths[[0, 7]].sum()
    assert np.isfinite(losses_of(data, model, guide, epochs=1)).all()


def test_a_path_with_topics_is_a_corpus(tmp_path: Path) -> None:
    corpus = draw_corpus()
    write_corpus(corpus, tmp_path / "corpus.npz")
    data, model, guide = exvae.prepare(
        tmp_path / "corpus.npz", topics=2, guide="fixed-length", length=5, device="cpu"
    )
    assert isinstance(guide, FixedLengthGuide)
    assert guide.length == 5
    batch = data.batch(np.arange(30))
    assert batch.words.tolist() == corpus.words.tolist()
    assert batch.num_documents == 30


# Options


class WideModel(SCVI):
    """scVI with a batch of its own ideas."""

    def __init__(self, genes: Tensor | int, num_batches: int = 1, *, breadth: int, **options):
        super().__init__(genes, num_batches, **options)
        self.breadth = breadth


class FirstPooling(MeanPooling):
    """Means, by another name."""


def test_classes_stand_for_themselves() -> None:
    data, model, guide = exvae.prepare(
        draw_cells(),
        model=WideModel,
        pooling=FirstPooling,
        guide=CellGuide,
        decoder="linear",
        breadth=7,
        dispersion="cell",
        readout_sizes=(6,),
        device="cpu",
    )
    assert type(model) is WideModel
    assert model.breadth == 7
    assert model.dispersion.kind == "cell"
    assert not len(model.decoder.layers)
    assert any(isinstance(module, FirstPooling) for module in guide.modules())
    assert [layer.out_features for layer in guide.z_encoder.readout if hasattr(layer, "bias")] == [
        6,
        2 * 10 + 2,
    ]
    assert np.isfinite(losses_of(data, model, guide, epochs=1)).all()


@pytest.mark.parametrize("number", [0, 2])
def test_the_guide_reads_as_many_bootstraps_as_told_in_training(number: int) -> None:
    data, *_ = exvae.prepare(draw_cells(), encoder_bootstraps=number, device="cpu")
    for batch in data.batches(5):
        assert (batch.offsets.diff() == (number or 4)).all()
    # What infers reads all, in the same order each time.
    one, other = (data.batch(np.arange(4)) for _ in range(2))
    assert (one.offsets.diff() == 4).all()
    assert torch.equal(one.bootstraps, other.bootstraps)


class OddModel(SCVI):
    """Observes what no data have."""

    observes = "mean"


class WithoutOutput(nn.Module):
    """A decoder of another layout."""

    def __init__(self, latent_size: int, num_batches: int, output_size: int) -> None:
        super().__init__()
        self.last = nn.Linear(latent_size, output_size)


class TooSmall(nn.Module):
    """A decoder that lacks a value."""

    def __init__(self, latent_size: int, num_batches: int, output_size: int) -> None:
        super().__init__()
        self.output = nn.Linear(latent_size, output_size - 1)


class Shiftless(Guide):
    """A guide of cells without pooling, and without anything to initialise."""

    def __init__(self, model: CellModel, width=3) -> None:
        super().__init__(model)
        self.width = width
        self.location = nn.Parameter(torch.zeros(model.latent_size))

    def posteriors(self, bootstraps: Tensor, offsets: Tensor, batches: Tensor) -> dict:
        z = Normal(self.location, 1.0).to_event(1).expand((len(batches), 1))
        return {"z": z, "library": LogNormal(torch.full((len(batches), 1), 3.0), 0.1)}

    forward = CellGuide.forward


def test_guides_need_no_pooling_and_take_arguments_with_defaults() -> None:
    data, model, guide = exvae.prepare(draw_cells(), guide=Shiftless, width=5, device="cpu")
    assert guide.width == 5
    assert np.isfinite(losses_of(data, model, guide, epochs=1)).all()


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("cells", {"breadth": 2}, "there is no option breadth; choose one of .*dispersion"),
        (
            "cells",
            {"model": "vae"},
            "model is 'vae'; choose one of effective-reads, reads, paper, scvi",
        ),
        ("cells", {"model": "scvi", "dispersion": "gene"}, "SCVI: dispersion is 'gene'; choose"),
        ("cells", {"device": "tpu"}, "tpu"),
        ("cells", {"batch_key": "day"}, "day"),
        ("corpus", {"latent_size": 2}, "there is no option latent_size; choose one of"),
        ("corpus", {"topics": 2, "guide": "cells"}, "guide is 'cells'; choose one of exchangeable"),
        ("corpus", {"topics": 0}, "^topics is 0; give a whole number of at least 1"),
        ("corpus", {"topics": "4"}, "^topics is '4'; give a whole number of at least 1"),
        ("corpus", {"guide": CellGuide}, "guide CellGuide is no exvae.guides.lda.LDAGuide"),
        ("corpus", {"document_concentration": -1}, "document_concentration is -1; give a positive"),
        ("corpus", {"topic_concentration": 0}, "topic_concentration is 0; give a positive"),
        ("corpus", {"length": 9}, "there is no option length; it belongs to guide fixed-length$"),
        (
            "corpus.npz",
            {},
            "^topics is missing: corpus.npz is no .h5ad or .zarr of cells; give topics=",
        ),
        (np.ones((3, 4)), {}, "^data is of type ndarray; give an AnnData, a Corpus or a path"),
        ("cells", {"device": "cuda"}, "^device is cuda, but torch sees no CUDA"),
        ("cells", {"latent_size": "3"}, "latent_size is '3'; give a whole number, such as latent"),
        ("cells", {"hidden_sizes": 64}, "hidden_sizes is 64; give a list of whole numbers"),
        ("cells", {"guide": losses_of}, "^guide losses_of is no class; give module:Class or a cl"),
        ("cells", {"guide": dict}, "^guide dict is no exvae.guides.base.Guide; subclass it"),
        ("cells", {"guide": ExchangeableGuide}, "ExchangeableGuide has no method posteriors"),
        ("cells", {"guide": "paper"}, "guide PaperGuide is for BootstrapIsoforms, not for Effect"),
        ("cells", {"model": CellModel}, "^model CellModel has no method likelihood; write it"),
        ("cells", {"model": OddModel}, "^model OddModel observes 'mean'; choose one of counts"),
        ("cells", {"decoder": WithoutOutput}, "WithoutOutput needs a layer output .* has none"),
        ("cells", {"decoder": TooSmall}, "TooSmall needs a layer output .* has one of "),
        ("cells", {"guide": Shiftless, "pooling": "sum"}, "pooling is of no use: guide Shiftless"),
        ("nowhere.h5ad", {}, "nowhere.h5ad"),
        ("nowhere.npz", {"topics": 2}, "nowhere.npz"),
    ],
)
def test_what_cannot_be_prepared_is_told(data: object, options: dict, message: str) -> None:
    known = {"cells": draw_cells, "corpus": draw_corpus}
    given = known[data]() if isinstance(data, str) and data in known else data
    with pytest.raises(DataError, match=message):
        exvae.prepare(given, **{"device": "cpu", **options})


# The optimizer


@pytest.mark.parametrize("name", CELL_MODELS)
def test_parameters_of_one_isoform_learn_five_times_as_fast(name: str) -> None:
    data, model, guide = exvae.prepare(draw_cells(), model=name, dropout="constant", device="cpu")
    before = {key: own.detach().clone() for key, own in named_parameters(model, guide)}
    svi = SVI(model, guide, exvae.optimizer(model, guide, RATE), TraceMeanField_ELBO())
    (batch,) = data.batches(NUM_CELLS)
    svi.step(*batch)
    fast = {"model.decoder.output.bias", "model.dispersion.log_inverse_dispersion"}
    fast |= {"model.dropout.dropout_logits"}
    fast |= {"model.log_concentration"} if name == "effective-reads" else set()
    fast |= {"model.noise_decoder.output.bias"} if name == "paper" else set()
    seen = set()
    for key, own in named_parameters(model, guide):
        steps = (own.detach() - before[key]).abs()
        # The first step of Adam is as large as the rate, wherever there is a gradient.
        expected = 5 * RATE if key in fast else RATE
        assert steps.max() == pytest.approx(expected, rel=1e-2), key
        seen.add(key)
    assert fast < seen


def named_parameters(model, guide) -> list[tuple[str, Tensor]]:
    return [
        (f"{part}.{name}", own)
        for part, module in (("model", model), ("guide", guide))
        for name, own in module.named_parameters()
    ]


def test_arguments_of_the_optimizer_in_another_order_are_told() -> None:
    _, model, guide = exvae.prepare(draw_cells(), device="cpu")
    for arguments in ((RATE, model, guide), (model, RATE, guide), (model, guide, "fast")):
        with pytest.raises(TypeError, match=r"give optimizer\(model, guide, learning_rate\)"):
            exvae.optimizer(*arguments)


def test_bootstraps_below_zero_are_named() -> None:
    data, model, guide = exvae.prepare(draw_cells(), device="cpu")
    batch = data.batch(np.arange(4))
    svi = SVI(model, guide, exvae.optimizer(model, guide, RATE), TraceMeanField_ELBO())
    with pytest.raises(ValueError, match="bootstraps hold negative numbers; give reads"):
        svi.step(*batch._replace(bootstraps=batch.bootstraps - 5))


# The package


def test_the_package_tells_its_version_and_names() -> None:
    assert exvae.__version__ == version("exvae")
    assert {"__version__", "optimizer", "prepare"} <= set(dir(exvae))
    assert all(hasattr(exvae, name) for name in dir(exvae))
    with pytest.raises(AttributeError, match="module 'exvae' has no attribute 'fit'"):
        exvae.fit  # noqa: B018
