"""The guide of scVI: invariance, where it starts, and learning."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.distributions import kl_divergence

from exvae.data.cell_batches import CellBatch
from exvae.data.initial_values import ExpressionScales, Totals, input_scales
from exvae.guides.cells import CellGuide
from exvae.guides.sets import POOLINGS
from exvae.models.scvi import DISPERSIONS, DROPOUTS, SCVI

ISOFORMS, BATCHES = 5, 2
SIZES = {"element_sizes": (8,), "readout_sizes": (8,)}


def build(pooling: str = "mean", input_dropout: float = 0.0, **options) -> tuple[SCVI, CellGuide]:
    model = SCVI(ISOFORMS, BATCHES, latent_size=3, hidden_sizes=(8,), **options)
    fractions = torch.full((ISOFORMS,), 1 / ISOFORMS)
    scales = ExpressionScales(torch.full((2,), 4.0), torch.full((2,), 0.5), fractions)
    model.initialise(SimpleNamespace(expression=scales))
    return model, CellGuide(model, pooling=pooling, input_dropout=input_dropout, **SIZES)


def batch_of(sizes: list[int], num_cells: int | None = None) -> CellBatch:
    """Make a minibatch of cells whose sets have these sizes, with counts to observe."""
    offsets = torch.tensor([0, *np.cumsum(sizes)])
    vectors = torch.poisson(torch.full((sum(sizes), ISOFORMS), 12.0))
    cells = len(sizes)
    counts = torch.poisson(torch.full((cells, ISOFORMS), 12.0))
    batches = torch.arange(cells) % BATCHES
    return CellBatch(vectors, offsets, batches, torch.arange(cells), num_cells or cells, counts)


def parameters_of(guide: CellGuide, batch: CellBatch) -> list[Tensor]:
    """Location and scale of q(z) and q(log l)."""
    posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    z, library = posteriors["z"].base_dist, posteriors["library"]
    return [z.loc, z.scale, library.loc, library.scale]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_the_order_of_bootstraps_does_not_matter(pooling: str) -> None:
    _, guide = build(pooling)
    guide.eval()
    batch = batch_of([3, 1, 4])
    order = torch.tensor([2, 0, 1, 3, 7, 5, 4, 6])
    shuffled = batch._replace(bootstraps=batch.bootstraps[order])
    for one, other in zip(parameters_of(guide, batch), parameters_of(guide, shuffled), strict=True):
        torch.testing.assert_close(one, other)
    moved = batch._replace(bootstraps=batch.bootstraps[[3, 1, 2, 0, 4, 5, 6, 7]])
    assert not torch.allclose(parameters_of(guide, batch)[0], parameters_of(guide, moved)[0])


def test_cells_are_read_one_by_one() -> None:
    _, guide = build()
    guide.eval()
    batch = batch_of([3, 1, 4])
    together = parameters_of(guide, batch)
    for n in range(3):
        start, end = batch.offsets[n], batch.offsets[n + 1]
        alone = batch._replace(
            bootstraps=batch.bootstraps[start:end],
            offsets=torch.tensor([0, end - start]),
            batches=batch.batches[[n]],
        )
        for one, other in zip(together, parameters_of(guide, alone), strict=True):
            torch.testing.assert_close(one[[n]], other)


def test_the_library_starts_at_the_reads_of_the_cell() -> None:
    _, guide = build()
    batch = batch_of([2, 1])
    _, _, location, scale = parameters_of(guide, batch)
    reads = batch.bootstraps.sum(-1)
    expected = torch.stack([reads[:2].mean(), reads[2]]).log()
    torch.testing.assert_close(location.squeeze(-1), expected)
    torch.testing.assert_close(scale, torch.full((2, 1), 0.1), rtol=0.02, atol=0)


def test_the_state_does_not_depend_on_the_depth() -> None:
    _, guide = build()
    guide.eval()
    batch = batch_of([2, 1])
    z, _, library, _ = parameters_of(guide, batch)
    deeper = batch._replace(bootstraps=3 * batch.bootstraps)
    z_deeper, _, library_deeper, _ = parameters_of(guide, deeper)
    torch.testing.assert_close(z_deeper, z)
    torch.testing.assert_close(library_deeper, library + np.log(3.0))


def test_a_hidden_isoform_reads_as_its_mean() -> None:
    _, guide = build(input_dropout=0.5)
    batch = batch_of([1, 1, 1])
    counts = csr_matrix(batch.bootstraps.numpy())
    guide.initialise(SimpleNamespace(inputs=input_scales(Totals.of([counts]), [counts])))
    centred = guide.centred(batch.bootstraps)
    torch.testing.assert_close(centred.mean(0), torch.zeros(ISOFORMS), atol=1e-5, rtol=0)
    read = guide.elements(centred, batch.offsets, batch.batches)[:, :ISOFORMS]
    hidden = read == 0
    assert hidden.any()
    torch.testing.assert_close(read[~hidden], 2 * centred[~hidden])


def test_the_batch_is_read() -> None:
    _, guide = build()
    batch = batch_of([2, 2])
    other = batch._replace(batches=1 - batch.batches)
    assert not torch.allclose(parameters_of(guide, batch)[0], parameters_of(guide, other)[0])


def test_means_of_vectors_tell_as_much_as_the_vectors() -> None:
    """The shorter way of a linear f and a mean, beside the way of all others."""
    _, guide = build()
    guide.eval()
    guide.log1p_means.uniform_(0, 3)
    batch = batch_of([3, 1, 4])
    encoder = guide.z_encoder
    assert encoder.reads_means
    elements = guide.elements(guide.centred(batch.bootstraps), batch.offsets, batch.batches)
    expected = encoder(elements, batch.offsets)
    found = guide.encode(encoder, *batch[:3], guide.reads)
    torch.testing.assert_close(found, expected)


def test_inputs_drop_out_in_training_alone() -> None:
    _, guide = build(input_dropout=0.5)
    batch = batch_of([2, 2])
    locations = [parameters_of(guide, batch)[0] for _ in range(2)]
    assert not torch.equal(*locations)
    guide.eval()
    assert torch.equal(*[parameters_of(guide, batch)[0] for _ in range(2)])


def test_a_mask_is_of_a_cell_and_not_of_a_bootstrap() -> None:
    """Masks of bootstraps would average out over many copies of one vector."""
    _, guide = build(input_dropout=0.5)
    vector = torch.tensor([[40.0, 5.0, 20.0, 1.0, 9.0]])

    def spread(copies: int) -> Tensor:
        cells = 300
        batch = batch_of([1])._replace(
            bootstraps=vector.expand(cells * copies, -1),
            offsets=torch.arange(cells + 1) * copies,
            batches=torch.zeros(cells, dtype=torch.int64),
        )
        return parameters_of(guide, batch)[0].std(0).max()

    # Cells do not share a mask either.
    assert spread(1) > 0.02
    assert spread(64) > 0.6 * spread(1)


def test_the_batch_is_never_hidden() -> None:
    _, guide = build()
    guide.input_dropout = 1.0
    batch = batch_of([2, 2, 2])
    location = parameters_of(guide, batch)[0]
    torch.testing.assert_close(location[0], location[2])
    assert not torch.allclose(location[0], location[1])


@pytest.mark.parametrize("share", [0.2, None])
def test_the_share_that_is_hidden(share: float | None) -> None:
    """Seven of ten unless it is told."""
    options = {} if share is None else {"input_dropout": share}
    guide = CellGuide(SCVI(ISOFORMS, BATCHES), **options)
    share = 0.7 if share is None else share
    cells = 2000
    values, batches = torch.ones(cells, ISOFORMS), torch.zeros(cells, dtype=torch.int64)
    read = guide.elements(values, torch.arange(cells + 1), batches)[:, :ISOFORMS]
    assert (read == 0).float().mean() == pytest.approx(share, abs=0.02)


def test_vectors_are_read_at_one_depth() -> None:
    """The encoder reads log1p of the vectors scaled to the median reads of a cell, centred."""
    _, guide = build()
    counts = torch.poisson(torch.full((9, ISOFORMS), 12.0))
    blocks = [csr_matrix(counts.numpy())]
    scales = input_scales(Totals.of(blocks), blocks)
    # Ten thousand reads before anything is known of the cells.
    at_first = (counts / counts.sum(-1, keepdim=True) * 1e4).log1p()
    torch.testing.assert_close(guide.centred(counts), at_first)
    guide.initialise(SimpleNamespace(inputs=scales))
    shallow = counts / 30
    scaled = shallow / shallow.sum(-1, keepdim=True).clamp(min=1.0) * scales.reads
    torch.testing.assert_close(guide.centred(shallow), scaled.log1p() - scales.log1p_means)


@pytest.mark.parametrize(("reads", "expected"), [(0.0, 1.0), (0.5, 1.0), (5.0, 5.0)])
def test_a_cell_of_few_reads_has_a_library(reads: float, expected: float) -> None:
    _, guide = build()
    batch = batch_of([1])
    batch = batch._replace(bootstraps=torch.full((1, ISOFORMS), reads / ISOFORMS))
    assert parameters_of(guide, batch)[2].exp().item() == pytest.approx(expected)


def test_sizes_of_layers_are_those_asked_for() -> None:
    model = SCVI(ISOFORMS, BATCHES, latent_size=3)
    guide = CellGuide(model, element_sizes=(7, 6), readout_sizes=(4,))
    shapes = [tuple(value.shape) for value in guide.parameters() if value.dim() == 2]
    # f reads the batch, too; h the size of the set.
    assert shapes == [(7, ISOFORMS + BATCHES), (6, 7), (4, 7), (8, 4)]
    shapes = [tuple(value.shape) for value in CellGuide(model).parameters() if value.dim() == 2]
    assert shapes == [(64, ISOFORMS + BATCHES), (8, 65)]


def test_scales_stay_positive_and_finite() -> None:
    _, guide = build()
    batch = batch_of([1, 1])
    for parameter in guide.parameters():
        torch.nn.init.normal_(parameter, std=100.0)
    z_location, z_scale, location, scale = parameters_of(guide, batch)
    assert (z_scale >= 1e-3).all()
    assert (scale >= 1e-3).all()
    assert all(part.isfinite().all() for part in (z_location, z_scale, location, scale))


def test_divergences_are_known_in_closed_form() -> None:
    model, guide = build()
    batch = batch_of([2, 1])
    posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    priors = model.priors(batch.batches)
    for name in ("z", "library"):
        draws = posteriors[name].sample((200_000,))
        ratio = posteriors[name].log_prob(draws) - priors[name].log_prob(draws)
        exact = kl_divergence(posteriors[name], priors[name].expand(posteriors[name].batch_shape))
        error = (ratio.mean(0) - exact) / (ratio.std(0) / len(ratio) ** 0.5)
        assert error.abs().max() < 4.5, name


def test_the_loss_has_no_noise_from_divergences() -> None:
    """With a model whose counts do not depend on the latent variables nothing is left to vary."""
    model, guide = build()
    batch = batch_of([2, 1])
    elbo = TraceMeanField_ELBO()
    with pyro.poutine.block(hide=["counts"]):
        losses = {
            round(elbo.loss(pyro.poutine.block(model, hide=["counts"]), guide, *batch), 3)
            for _ in range(5)
        }
    assert len(losses) == 1


@pytest.mark.parametrize(("dispersion", "dropout"), list(itertools.product(DISPERSIONS, DROPOUTS)))
def test_a_step_moves_every_parameter(dispersion: str, dropout: str) -> None:
    model, guide = build(dispersion=dispersion, dropout=dropout)
    svi = SVI(model, guide, ClippedAdam({"lr": 1e-2}), TraceMeanField_ELBO())
    before = {
        name: value.detach().clone()
        for module in (model, guide)
        for name, value in module.named_parameters()
    }
    batch = batch_of([2, 1, 3, 1])
    # Twice, since some weights start at zero and hide others from the first step.
    assert all(np.isfinite(svi.step(*batch)) for _ in range(2))
    for module in (model, guide):
        for name, value in module.named_parameters():
            assert not torch.equal(before[name], value), name


def test_a_minibatch_stands_for_all_cells() -> None:
    model, guide = build()
    batch = batch_of([2] * 8)
    elbo = TraceMeanField_ELBO(2000, max_plate_nesting=2, vectorize_particles=True)

    def loss(positions: list[int]) -> float:
        elements = torch.tensor([row for n in positions for row in (2 * n, 2 * n + 1)])
        part = CellBatch(
            batch.bootstraps[elements],
            torch.arange(len(positions) + 1) * 2,
            batch.batches[positions],
            torch.tensor(positions),
            8,
            batch.obs[positions],
        )
        return elbo.loss(model, guide, *part)

    halves = [loss([0, 3, 5, 6]), loss([1, 2, 4, 7])]
    assert np.mean(halves) == pytest.approx(loss(list(range(8))), rel=0.01)


def test_it_learns_the_states_of_cells() -> None:
    kinds = torch.arange(60) % 2
    profiles = torch.tensor([[60.0, 30.0, 6.0, 3.0, 1.0], [1.0, 3.0, 6.0, 30.0, 60.0]])
    counts = torch.poisson(profiles[kinds])
    batch = CellBatch(
        counts, torch.arange(61), torch.zeros(60, dtype=torch.int64), torch.arange(60), 60, counts
    )
    model, guide = build(dropout="none")
    svi = SVI(model, guide, ClippedAdam({"lr": 1e-2}), TraceMeanField_ELBO())
    losses = [svi.step(*batch) for _ in range(450)]
    assert losses[-1] < 0.9 * losses[0]
    with torch.no_grad():
        posteriors = guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
        latents = {name: posterior.mean for name, posterior in posteriors.items()}
        decoded = model.count_parameters(latents, batch.batches)[0]
    for kind in (0, 1):
        found = decoded[kinds == kind].mean(0)
        seen = counts[kinds == kind].mean(0)
        # Rare isoforms, too: one and the same factor is allowed for all.
        ratio = (found / found.sum()) / (seen / seen.sum())
        assert (ratio.log().abs() < 0.4).all()
