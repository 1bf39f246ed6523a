"""Every registered model, guide, pooling and decoder keeps the protocol."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor, nn

import exvae
from exvae.data.bootstraps import BootstrapMean, BootstrapSummary
from exvae.data.cell_batches import CellBatch, batch_source
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting.classes import find_class
from exvae.guides import CELL_GUIDES, LDA_GUIDES
from exvae.guides.sets import POOLINGS
from exvae.models import MODELS
from exvae.models.cells import CellModel
from exvae.models.decoders import DECODERS

from .small_data import NUM_CELLS, NUM_GENES, draw_cells, draw_corpus

SHAPES = {
    "counts": (),
    "estimates": (),
    "reads": (),
    "bootstrap_mean": (2,),
    "bootstrap_summary": (4,),
}
STATISTICS = {"bootstrap_mean": BootstrapMean, "bootstrap_summary": BootstrapSummary}


@pytest.fixture(params=MODELS)
def prepared(request: pytest.FixtureRequest) -> tuple[CellModel, nn.Module, CellBatch]:
    """Model, guide and a minibatch of all cells, in two batches."""
    options = {"latent_size": 3, "batch_key": "batch"}
    data, model, guide = exvae.prepare(draw_cells(), model=request.param, **options)
    return model.eval(), guide.eval(), data.batch(np.arange(NUM_CELLS))


def latents_of(guide: nn.Module, batch: CellBatch) -> dict[str, Tensor]:
    posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    return {name: posterior.sample() for name, posterior in posteriors.items()}


def test_observations_are_tensors(prepared: tuple) -> None:
    model, _, batch = prepared
    assert batch.obs.shape == (NUM_CELLS, model.num_isoforms, *SHAPES[model.observes])
    if model.observes == "reads":  # they are drawn anew, but stay as many
        reads = torch.from_numpy(draw_cells().X.toarray())
        torch.testing.assert_close(batch.obs.sum(-1), reads.sum(-1))
        return
    cells = read_cells(draw_cells(), "batch")
    again = batch_source(cells, model.observes).batch(np.arange(NUM_CELLS))
    assert torch.equal(again.obs, batch.obs)


def test_guides_answer_for_the_latent_variables_of_the_model(prepared: tuple) -> None:
    model, guide, batch = prepared
    posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    priors = model.priors(batch.batches)
    assert list(posteriors) == list(priors)
    for name, posterior in posteriors.items():
        assert posterior.event_shape == priors[name].event_shape
        assert posterior.batch_shape == (NUM_CELLS, 1)
        assert posterior.has_rsample


def test_a_site_is_scored_as_the_likelihood_says(prepared: tuple) -> None:
    model, guide, batch = prepared
    latents = latents_of(guide, batch)
    conditioned = pyro.condition(model, latents)
    trace = pyro.poutine.trace(conditioned).get_trace(*batch)
    trace.compute_log_prob()
    found = trace.nodes[model.site]["log_prob"]
    likelihood = model.likelihood(latents, batch.batches)
    value = batch.obs
    if model.observes in STATISTICS:
        value = STATISTICS[model.observes].unstacked(batch.obs)
    if model.observes == "reads":
        value = value.unsqueeze(-2)
    elif not model.independent_isoforms:
        value = type(value)(*(part.unsqueeze(-2) for part in value))
    torch.testing.assert_close(found, likelihood.log_prob(value))
    assert found.shape == (NUM_CELLS, model.num_isoforms if model.independent_isoforms else 1)


def test_what_is_generated_can_be_observed(prepared: tuple) -> None:
    model, _, batch = prepared
    generated = model(*batch._replace(obs=None))
    if model.observes in STATISTICS:
        assert generated.shape[:-1] == (NUM_CELLS, model.num_isoforms)
        generated = STATISTICS[model.observes].of(generated).stacked()
    assert generated.shape == batch.obs.shape
    trace = pyro.poutine.trace(model).get_trace(*batch._replace(obs=generated))
    assert trace.log_prob_sum().isfinite()


def test_counts_are_likelier_of_their_own_isoforms(prepared: tuple) -> None:
    model, guide, batch = prepared
    counts = torch.from_numpy(draw_cells().X.toarray())
    with torch.no_grad():
        latents = latents_of(guide, batch)
        own = model.log_prob_of_counts(latents, batch.batches, counts)
        other = model.log_prob_of_counts(latents, batch.batches, counts.roll(4, 1))
    assert own.shape == (NUM_CELLS,)
    assert (own < 0).all()
    assert own.isfinite().all()
    assert own.sum() > other.sum()


@pytest.mark.parametrize("level", ["isoform", "gene"])
def test_expression_has_moments_and_quantiles_in_order(prepared: tuple, level: str) -> None:
    model, guide, batch = prepared
    samples = [latents_of(guide, batch) for _ in range(4)]
    posterior = model.expression(samples, batch.batches, batch.obs, level)
    size = model.num_isoforms if level == "isoform" else NUM_GENES
    quantiles = posterior.quantile([0.05, 0.5, 0.95])
    assert quantiles.shape == (3, NUM_CELLS, size)
    assert (quantiles.diff(dim=0) >= 0).all()
    for values in (posterior.mean, posterior.variance, posterior.log1p_mean):
        assert values.shape == (NUM_CELLS, size)
        assert values.isfinite().all()
        assert (values >= 0).all()
    below, up_to = posterior.rank(posterior.mean)
    assert ((below >= 0) & (below <= up_to) & (up_to <= 1)).all()
    with pytest.raises(ValueError, match="choose one of isoform, gene"):
        model.expression(samples, batch.batches, batch.obs, "exon")


def test_expression_follows_the_estimates(prepared: tuple) -> None:
    model, guide, batch = prepared
    with torch.no_grad():
        samples = [latents_of(guide, batch) for _ in range(4)]
        posterior = model.expression(samples, batch.batches, batch.obs)
    estimates = torch.from_numpy(draw_cells().X.toarray())
    both = torch.stack([posterior.log1p_mean.flatten(), estimates.log1p().flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.9


def trained(data: object, model: nn.Module, guide: nn.Module) -> None:
    """Every parameter of model and guide moves in a few steps."""
    svi = SVI(model, guide, exvae.optimizer(model, guide, 1e-2), TraceMeanField_ELBO())
    own = [*model.named_parameters(), *guide.named_parameters()]
    before = [value.detach().clone() for _, value in own]
    for _ in range(3):
        for batch in data.batches(16):
            assert np.isfinite(svi.step(*batch))
    for (name, value), old in zip(own, before, strict=True):
        assert not torch.equal(value, old), name


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("name", MODELS)
def test_models_learn_with_every_decoder(name: str, decoder: str) -> None:
    trained(*exvae.prepare(draw_cells(), model=name, decoder=decoder, batch_key="batch"))


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("guide", CELL_GUIDES)
def test_guides_of_cells_learn_with_every_pooling(guide: str, pooling: str) -> None:
    model = next(name for name, place in MODELS.items() if guide_of(place) == guide)
    trained(*exvae.prepare(draw_cells(), model=model, guide=guide, pooling=pooling))


def guide_of(place: str) -> str:
    return find_class(place, {}, "model").default_guide


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("guide", LDA_GUIDES)
def test_guides_of_documents_learn_with_every_pooling(guide: str, pooling: str) -> None:
    data, model, built = exvae.prepare(draw_corpus(), topics=2, guide=guide, pooling=pooling)
    before = built.topics.concentration.clone()
    trained(data, model, built)
    assert not torch.equal(built.topics.concentration, before)
    words, offsets, *_ = data.batch(np.arange(5))
    for steps in (0, 3):
        proportions = built.infer(words, offsets, steps=steps)
        assert proportions.shape == (5, 2)
        torch.testing.assert_close(proportions.sum(-1), torch.ones(5))


def test_registered_names_lead_to_classes() -> None:
    for registry in (MODELS, CELL_GUIDES, LDA_GUIDES):
        for name, place in registry.items():
            found = find_class(name, registry, "model")
            assert f"{found.__module__}:{found.__name__}" == place


def test_tables_of_the_packages_name_all_classes() -> None:
    import exvae.guides
    import exvae.models

    def told(package: ModuleType) -> set[str]:
        return {line.split("``")[1] for line in package.__doc__.splitlines() if "``" in line[:2]}

    assert told(exvae.models) == {*MODELS, "lda"}
    assert told(exvae.guides) == {*CELL_GUIDES, *LDA_GUIDES}
