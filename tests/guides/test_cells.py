"""The guide of scVI: invariance, where it starts, and learning."""

from __future__ import annotations

import itertools

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.distributions import kl_divergence

from exvae.data.cells import CellBatch, ExpressionScales, input_scales
from exvae.guides.cells import SCVIGuide
from exvae.guides.sets import POOLINGS
from exvae.models.scvi import DISPERSIONS, DROPOUTS, SCVI

ISOFORMS, BATCHES = 5, 2
SIZES = {"element_sizes": (8,), "readout_sizes": (8,)}


def build(pooling: str = "mean", input_dropout: float = 0.0, **options) -> tuple[SCVI, SCVIGuide]:
    model = SCVI(ISOFORMS, BATCHES, latent_size=3, hidden_sizes=(8,), **options)
    fractions = torch.full((ISOFORMS,), 1 / ISOFORMS)
    model.initialise(ExpressionScales(torch.full((2,), 4.0), torch.full((2,), 0.5), fractions))
    return model, SCVIGuide(model, pooling=pooling, input_dropout=input_dropout, **SIZES)


def batch_of(sizes: list[int], num_cells: int | None = None) -> CellBatch:
    """Make a minibatch of cells whose sets have these sizes, with counts to observe."""
    offsets = torch.tensor([0, *np.cumsum(sizes)])
    vectors = torch.poisson(torch.full((sum(sizes), ISOFORMS), 12.0))
    cells = len(sizes)
    counts = torch.poisson(torch.full((cells, ISOFORMS), 12.0))
    batches = torch.arange(cells) % BATCHES
    return CellBatch(vectors, offsets, batches, torch.arange(cells), num_cells or cells, counts)


def parameters_of(guide: SCVIGuide, batch: CellBatch) -> list[Tensor]:
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
    guide.initialise(input_scales(counts))
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


def test_inputs_drop_out_in_training_alone() -> None:
    _, guide = build(input_dropout=0.5)
    batch = batch_of([2, 2])
    locations = [parameters_of(guide, batch)[0] for _ in range(2)]
    assert not torch.equal(*locations)
    guide.eval()
    assert torch.equal(*[parameters_of(guide, batch)[0] for _ in range(2)])


def spread_of_locations(guide: SCVIGuide, number: int, draws: int = 40) -> Tensor:
    """Spread of q's locations of z over masks, for two equal cells of ``number`` vectors each.

    The standard deviation over masks, and the largest difference between the cells, shape (2,).
    """
    vector = torch.tensor([30.0, 12.0, 0.0, 5.0, 60.0])
    batch = batch_of([number, number])._replace(
        bootstraps=vector.expand(2 * number, -1), batches=torch.zeros(2, dtype=torch.int64)
    )
    with torch.no_grad():
        found = torch.stack([parameters_of(guide, batch)[0].squeeze(-2) for _ in range(draws)])
    return torch.stack([found.std(0).mean(), (found[:, 0] - found[:, 1]).abs().amax()])


def test_the_bootstraps_of_a_cell_hide_the_same_isoforms() -> None:
    """Masks that differ between bootstraps would average out over many, and give isoforms away."""
    _, guide = build(input_dropout=0.5)
    for parameter in guide.z_encoder.readout.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    (one, between_ones), (many, between_many) = (
        spread_of_locations(guide, number) for number in (1, 100)
    )
    assert many > 0.6 * one
    # Cells have masks of their own.
    assert between_ones > one
    assert between_many > many


@pytest.mark.parametrize("input_dropout", [0.2, 0.8])
def test_as_many_isoforms_are_hidden_as_told(input_dropout: float) -> None:
    _, guide = build(input_dropout=input_dropout)
    values = torch.ones(2000, ISOFORMS)
    offsets, batches = torch.arange(2001), torch.ones(2000, dtype=torch.int64)
    read = guide.elements(values, offsets, batches)
    hidden = (read[:, :ISOFORMS] == 0).float().mean()
    assert float(hidden) == pytest.approx(input_dropout, abs=0.02)
    # The batch is told always, as one-hot.
    assert torch.equal(read[:, ISOFORMS:], torch.tensor([0.0, 1.0]).expand(2000, -1))


def test_the_encoder_is_built_as_told() -> None:
    model, _ = build()
    sizes = {"element_sizes": (7, 6), "readout_sizes": (4,)}
    guide = SCVIGuide(model, pooling="moments", **sizes)
    layers = [part for part in guide.modules() if isinstance(part, torch.nn.Linear)]
    shapes = [tuple(layer.weight.shape) for layer in layers]
    # Of moments there are two, and the number of vectors comes along; out come z and l.
    assert shapes == [(7, ISOFORMS + BATCHES), (6, 7), (4, 13), (8, 4)]


def test_the_pooling_is_that_asked_for() -> None:
    batch = batch_of([3, 2])
    model, first = build("mean")
    locations = []
    for pooling in ("mean", "max"):
        guide = SCVIGuide(model, pooling=pooling, input_dropout=0.0, **SIZES)
        guide.load_state_dict(first.state_dict())
        locations.append(parameters_of(guide, batch)[0])
    assert torch.equal(locations[0], parameters_of(first, batch)[0])
    assert not torch.allclose(*locations)


def test_vectors_are_scaled_to_the_reads_and_centred_on_the_means_of_all_cells() -> None:
    _, guide = build()
    counts = torch.poisson(torch.full((51, ISOFORMS), 30.0)) * torch.tensor([1.0, 0, 2, 3, 0.1])
    guide.initialise(input_scales(csr_matrix(counts.numpy())))
    library = counts.sum(-1).double()
    scaled = (counts.double() * (library.median() / library).unsqueeze(-1)).log1p()
    found = guide.centred(counts[:7]).double()
    torch.testing.assert_close(found, (scaled - scaled.mean(0))[:7], rtol=1e-3, atol=2e-3)


def test_a_vector_without_reads_is_read() -> None:
    _, guide = build()
    guide.eval()
    batch = batch_of([2, 1])
    batch.bootstraps[0] = batch.bootstraps[2] = 0.0
    found = parameters_of(guide, batch)
    assert all(part.isfinite().all() for part in found)
    # No reads are taken for one read.
    torch.testing.assert_close(found[2][1], torch.zeros(1))


def test_scales_stay_positive_and_finite() -> None:
    _, guide = build()
    batch = batch_of([1, 1])
    for parameter in guide.parameters():
        torch.nn.init.normal_(parameter, std=100.0)
    z_location, z_scale, location, scale = parameters_of(guide, batch)
    assert (z_scale > 0).all()
    assert (scale > 0).all()
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
        decoded = model.decode(batches=batch.batches, **latents).mean
    for kind in (0, 1):
        found = decoded[kinds == kind].mean(0)
        seen = counts[kinds == kind].mean(0)
        # Rare isoforms, too: one and the same factor is allowed for all.
        ratio = (found / found.sum()) / (seen / seen.sum())
        assert (ratio.log().abs() < 0.4).all()
