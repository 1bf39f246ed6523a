"""The guide of scVI with the model of effective reads: learning, and what both recover."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from scipy.sparse import csr_matrix
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean
from exvae.data.cell_batches import CellBatch
from exvae.data.genes import Genes
from exvae.data.initial_values import (
    ExpressionScales,
    Totals,
    expression_scales,
    input_scales,
)
from exvae.data.overdispersion import InferentialDispersions
from exvae.data.random_draws import draw_shares
from exvae.guides.cells import CellGuide
from exvae.models.isoforms import EffectiveReadIsoforms

ISOFORMS, BATCHES = 5, 2
# The last two are of one gene.
GENES = torch.tensor([0, 1, 2, 3, 3])
SIZES = {"element_sizes": (8,), "readout_sizes": (8,)}


def build(**options) -> tuple[EffectiveReadIsoforms, CellGuide]:
    model = EffectiveReadIsoforms(GENES, BATCHES, latent_size=3, hidden_sizes=(8,))
    fractions = torch.full((ISOFORMS,), 1 / ISOFORMS)
    scales = ExpressionScales(torch.full((2,), 4.0), torch.full((2,), 0.5), fractions)
    measured = InferentialDispersions(torch.ones(4), torch.tensor([1.0, 1.0, 1.0, 9.0]))
    model.initialise(SimpleNamespace(expression=scales, overdispersion=lambda codes: measured))
    return model, CellGuide(model, **SIZES, **options)


def batch_of(sets: list[Tensor], batches: Tensor | None = None) -> CellBatch:
    """Make a minibatch of sets of bootstraps, each of shape (bootstraps, isoforms)."""
    return CellBatch(
        torch.cat(sets),
        torch.tensor([0, *np.cumsum([len(own) for own in sets])]),
        torch.arange(len(sets)) % BATCHES if batches is None else batches,
        torch.arange(len(sets)),
        len(sets),
        torch.stack([BootstrapMean.of(own.T).stacked() for own in sets]),
    )


def evaluated(svi: SVI, batch: CellBatch) -> float:
    """Loss of a minibatch in evaluation mode, always with the same draws."""
    for module in (svi.model, svi.guide):
        module.eval()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        loss = np.mean([svi.evaluate_loss(*batch) for _ in range(10)])
    for module in (svi.model, svi.guide):
        module.train()
    return float(loss)


def test_a_step_moves_every_parameter() -> None:
    torch.manual_seed(0)
    model, guide = build(input_dropout=0.0)
    batch = batch_of([torch.poisson(torch.full((size, ISOFORMS), 8.0)) for size in (3, 1, 4, 2)])
    svi = SVI(model, guide, ClippedAdam({"lr": 1e-2}), TraceMeanField_ELBO())

    def loss() -> float:
        """Average over the same draws each time, so that only what is learned makes it differ."""
        torch.manual_seed(1)
        return float(np.mean([svi.evaluate_loss(*batch) for _ in range(30)]))

    first = loss()
    parameters = [*model.named_parameters(), *guide.named_parameters()]
    before = [parameter.detach().clone() for _, parameter in parameters]
    losses = [svi.step(*batch) for _ in range(8)]
    assert np.isfinite(losses).all()
    assert loss() < first - 1.0
    for (name, parameter), old in zip(parameters, before, strict=True):
        assert not torch.equal(parameter, old), name


def test_predictive_sees_the_same_cells_in_model_and_guide() -> None:
    model, guide = build()
    batch = batch_of([torch.poisson(torch.full((3, ISOFORMS), 8.0))] * 4)._replace(obs=None)
    draws = Predictive(model, guide=guide, num_samples=7)(*batch)
    assert draws["bootstraps"].shape == (7, 4, 1, ISOFORMS, 3)
    guided, modelled = (poutine.trace(part).get_trace(*batch) for part in (guide, model))
    assert set(guided.stochastic_nodes) < set(modelled.stochastic_nodes)


def test_expression_of_ambiguous_isoforms_leans_on_other_cells() -> None:
    torch.manual_seed(0)
    cells, bootstraps = 80, 10
    truth = torch.tensor([40.0, 20.0, 12.0, 30.0, 18.0])
    genes, dispersion = Genes(GENES, 4), torch.tensor([1.0, 1.0, 1.0, 9.0])

    def draw_around(reads: Tensor) -> Tensor:
        totals = torch.poisson(genes.sums(reads))
        return genes.spread(totals) * draw_shares(totals, genes.shares(reads), dispersion, genes)

    estimates = draw_around(truth.expand(cells, -1))
    sets = [draw_around(own.clamp(min=1e-6).expand(bootstraps, -1)) for own in estimates]
    batch = batch_of(sets, torch.zeros(cells, dtype=torch.int64))
    means = torch.stack([own.mean(0) for own in sets])
    model, guide = build(input_dropout=0.0)
    counts = csr_matrix(means.numpy())
    totals = Totals.of([counts])
    measured = InferentialDispersions(torch.ones(4), dispersion)
    values = SimpleNamespace(
        expression=expression_scales(totals, np.zeros(cells, np.int64), BATCHES),
        inputs=input_scales(totals, [counts]),
        overdispersion=lambda codes: measured,
    )
    model.initialise(values)
    guide.initialise(values)
    svi = SVI(model, guide, ClippedAdam({"lr": 1e-2}), TraceMeanField_ELBO())
    for _ in range(300):
        svi.step(*batch)
    guide.eval()
    with torch.no_grad():
        posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
        samples = [{name: q.sample() for name, q in posteriors.items()} for _ in range(10)]
        posterior = model.expression(samples, batch.batches, batch.obs)
    errors = (posterior.log1p_mean - truth.log1p()).square().mean(0).sqrt()
    before = (means.log1p() - truth.log1p()).square().mean(0).sqrt()
    assert (errors < before).all()
    assert (errors[3:] < 0.6 * before[3:]).all()
    low, high = posterior.quantile([0.1, 0.9])
    widths = (high.log1p() - low.log1p()).mean(0)
    # Other cells make the mean surer but leave the error that all have in common.
    assert widths[4] > 2 * widths[1]
    covered = ((low <= truth) & (truth <= high)).float().mean()
    assert covered > 0.7
