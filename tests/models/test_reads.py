"""The model of reads, against all divisions of a few reads, counted one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from pyro.distributions import Delta
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from exvae.data.cells import Cells
from exvae.data.read_batches import ReadTensors, autocorrelation_time
from exvae.data.reads.classes import ClassCounts
from exvae.models.reads import RATES_PER_DIVISION, ReadIsoforms

# Classes of the three isoforms, of which the first two share a gene, and a cell's reads in them.
SETS = [[0, 1], [0, 2], [1]]
WEIGHTS = [0.2, 0.5, 0.3, 1.0, 0.4]
READS = [3, 2, 1]
CELLS = 3000


class FixedLatents(nn.Module):
    """A guide that is sure of z and the library size."""

    def posteriors(self, bootstraps: Tensor, offsets: Tensor, batches: Tensor) -> dict[str, Delta]:
        z = torch.tensor([0.4, -0.3]).expand(len(batches), 1, 2)
        return {"z": Delta(z).to_event(1), "library": Delta(torch.full((len(batches), 1), 9.0))}


@pytest.fixture(scope="module")
def model() -> ReadIsoforms:
    torch.manual_seed(3)
    model = ReadIsoforms(torch.tensor([0, 0, 1]), latent_size=2, members=0)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.3 * torch.randn_like(value))
    return model.eval()


@pytest.fixture(scope="module")
def swept(model: ReadIsoforms) -> ReadTensors:
    """Many cells with the same reads, after enough sweeps."""
    starts = np.cumsum([0, *map(len, SETS)])
    members = np.concatenate(SETS).astype(np.int32)
    counts = csr_matrix(np.tile(np.array(READS, np.int32), (CELLS, 1)))
    names = [f"cell{n}" for n in range(CELLS)]
    cells = Cells(
        names=np.array(names),
        isoforms=np.array(["a", "b", "c"]),
        genes=None,
        counts=csr_matrix(np.tile(np.float32([2, 2, 2]), (CELLS, 1))),
        bootstraps=(),
        summary=None,
        num_bootstraps=np.zeros(CELLS, np.int64),
        obs=pd.DataFrame(index=names),
        batches=np.zeros(CELLS, np.int64),
        reads=ClassCounts(counts, starts, members, np.array(WEIGHTS)),
    )
    source = ReadTensors(cells)
    source.follow(model, FixedLatents())
    torch.manual_seed(0)
    source.batch(np.arange(CELLS))
    return source


def likelihood(model: ReadIsoforms, reads: Tensor) -> Tensor:
    """Log probability of reads of isoforms, shape (divisions, isoforms), given the latents."""
    guide = FixedLatents()
    batches = torch.zeros(1, dtype=torch.int64)
    posteriors = guide.posteriors(reads, batches, batches)
    latents = {name: own.sample() for name, own in posteriors.items()}
    return model.likelihood(latents, batches).log_prob(reads.unsqueeze(1)).squeeze(-1)


def all_divisions() -> tuple[Tensor, Tensor]:
    """Give reads of isoforms of every division, and the log weight of all ways to it."""
    reads, ways = [], []
    for first, second in itertools.product(range(READS[0] + 1), range(READS[1] + 1)):
        parts = [first, READS[0] - first, second, READS[1] - second, READS[2]]
        owners = np.concatenate(SETS)
        own = np.bincount(owners, parts, 3)
        way = sum(math.lgamma(count + 1) for count in own)
        for part, weight in zip(parts, WEIGHTS, strict=True):
            way += part * math.log(weight) - math.lgamma(part + 1)
        reads.append(own)
        ways.append(way)
    return torch.tensor(np.array(reads), dtype=torch.float32), torch.tensor(ways)


def test_sweeps_divide_as_the_posterior_does(model: ReadIsoforms, swept: ReadTensors) -> None:
    divisions, ways = all_divisions()
    with torch.no_grad():
        exact = (likelihood(model, divisions) + ways).softmax(0)
    found = swept.batch(np.arange(CELLS)).obs
    same = (found[:, None] == divisions).all(-1).float()
    assert (same.sum(1) == 1).all()
    error = (exact * (1 - exact) / CELLS).sqrt()
    assert ((same.mean(0) - exact).abs() < 4 * error + 1e-4).all()


def test_gradients_are_those_of_the_classes(model: ReadIsoforms, swept: ReadTensors) -> None:
    """The mean gradient of divisions is the gradient of the likelihood of the classes."""
    divisions, ways = all_divisions()
    own = [value for value in model.parameters() if value.requires_grad]
    joint = likelihood(model, divisions) + ways
    exact = flat_gradient(joint.logsumexp(0), own)
    torch.manual_seed(1)  # sweeps before had the random numbers of the test's own seed
    found = swept.batch(np.arange(CELLS)).obs
    share = (found[:, None] == divisions).all(-1).float().mean(0)
    of_divisions = torch.stack([flat_gradient(one, own) for one in joint])
    error = (joint.softmax(0) @ (of_divisions - exact).square() / CELLS).sqrt()
    assert (exact.abs() > 10 * error).any()
    assert ((share @ of_divisions - exact).abs() < 4 * error + 1e-4).all()


def flat_gradient(value: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(
        value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([part.flatten() for part in found])


def test_the_guide_reads_what_is_expected(model: ReadIsoforms, swept: ReadTensors) -> None:
    divisions, ways = all_divisions()
    with torch.no_grad():
        exact = (likelihood(model, divisions) + ways).softmax(0) @ divisions
    expected = swept.batch(np.arange(CELLS)).bootstraps
    torch.testing.assert_close(expected.mean(0), exact, atol=0.05, rtol=0)
    drawn = swept.batch(np.arange(CELLS)).obs
    assert expected.var(0)[1] < drawn.var(0)[1] / 3


def settled_after(source: ReadTensors, monkeypatch: pytest.MonkeyPatch, keep: float) -> int:
    """Count the sweeps of a new batch in which reads stay where they are with a probability."""
    sweep, number = ReadTensors.sweep, 0

    def slow(self: ReadTensors, positions: np.ndarray, batches: Tensor | None = None) -> None:
        nonlocal number
        number += 1
        before = self._drawn.copy()
        sweep(self, positions, batches)
        kept = np.random.default_rng(number).random(len(before)) < keep
        self._drawn = np.where(kept, before, self._drawn)

    monkeypatch.setattr(ReadTensors, "sweep", slow)
    source.batch(np.arange(50))
    return number


@pytest.mark.parametrize(("keep", "least", "most"), [(0.0, 21, 41), (0.9, 61, 201)])
def test_divisions_that_forget_slowly_are_swept_longer(
    model: ReadIsoforms, swept: ReadTensors, monkeypatch, keep: float, least: int, most: int
) -> None:
    source = ReadTensors(swept.cells)
    source.follow(model, FixedLatents())
    assert least <= settled_after(source, monkeypatch, keep) <= most
    assert settled_after(source, monkeypatch, 0.0) == 1


def test_sweeps_of_one_independent_draw() -> None:
    rng = np.random.default_rng(0)
    alone = rng.poisson(5.0, (1000, 300)).astype(np.float32)
    assert autocorrelation_time(list(alone)) == pytest.approx(1, abs=0.3)
    # Every draw is kept for four sweeps.
    assert autocorrelation_time(list(np.repeat(alone, 4, 0))) == pytest.approx(4, rel=0.3)
    assert autocorrelation_time([alone[0]] * 5) == 1


@torch.no_grad()
def test_expression_given_reads_is_their_rate(model: ReadIsoforms) -> None:
    reads = torch.tensor([[4.0, 1.0, 0.0]]).expand(2000, 3)
    batches = torch.zeros(2000, dtype=torch.int64)
    posteriors = FixedLatents().posteriors(reads, batches, batches)
    latents = {name: own.sample() for name, own in posteriors.items()}
    torch.manual_seed(0)
    draws = model.draw_expression(latents, batches, reads)
    assert draws.shape == (RATES_PER_DIVISION, 2000, 3)
    rate = model.likelihood(latents, batches).totals
    shape = rate.inverse_dispersion[0, 0, 0] + 5
    scale = 1 / (rate.inverse_dispersion / rate.count_mean + 1)[0, 0, 0]
    total = draws[..., :2].sum(-1).mean()
    assert float(total) == pytest.approx(float(shape * scale), rel=0.03)
