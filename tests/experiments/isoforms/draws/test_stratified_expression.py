"""Stratified draws of expression and their summaries, against 20 000 draws made step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Beta

from exvae.data.genes import Genes
from exvae.data.rate_posterior import CommonError, RatePosterior
from exvae.experiments.isoforms.draws.compiled_expression import Wanted
from exvae.experiments.isoforms.draws.compiled_features import Features
from exvae.experiments.isoforms.draws.stratified_expression import StratifiedExpression

# Genes of one, two and three isoforms, the last of which nobody expresses.
CODES = np.array([1, 0, 2, 1, 2, 2, 3])
GENES = Genes(torch.from_numpy(CODES), 4)
CELLS, SLICES, DRAWS = 3, 4, 20_000
LEVELS = (0.025, 0.25, 0.75, 0.975)
LENGTHS = np.array([1.0, 2.0, 0.5, 3.0, 1.5, 0.7, 1.0])


def posteriors() -> list[RatePosterior]:
    """Make posteriors of cells that differ between slices, from no reads to many."""
    rng = np.random.default_rng(1)
    made = []
    for _ in range(SLICES):
        shape = rng.gamma(20.0, 0.05, (CELLS, 4)) * [[5.0, 300.0, 30.0, 0.3]]
        scale = np.tile([0.8, 1.0, 0.9, 0.001], (CELLS, 1))
        present = np.array([[0.8, 1.0, 1.0, 0.5]] * CELLS)
        usage = rng.gamma(5.0, 0.2, (CELLS, 7)) * [[40.0, 1.0, 0.5, 20.0, 6.0, 0.3, 1.0]]
        parts = (torch.from_numpy(part).float() for part in (shape, scale, present, usage))
        made.append(RatePosterior(*parts))
    return made


AMBIGUITIES = (torch.tensor([0.0, 1.5, 0.7, 0.2]), torch.tensor([0.0, 3.0, 6.0, 0.0]))
ERROR = CommonError(Beta(torch.tensor(0.5), torch.tensor(0.25)), *AMBIGUITIES)
FACTORS = [torch.linspace(0.5, 1.5, 7).expand(CELLS, 7) + 0.1 * part for part in range(SLICES)]


def drawn(common: bool, factors: list[torch.Tensor] | None = None) -> np.ndarray:
    """Draw expression as the model says, shape (draws, cells, isoforms)."""
    rng, parts = np.random.default_rng(2), []
    number = DRAWS // SLICES
    for part, own in enumerate(posteriors()):
        shape, scale, present, usage = (array.double().numpy() for array in own)
        rates = rng.gamma(shape, scale, (number, CELLS, 4))
        totals = rates * (rng.random((number, CELLS, 4)) < present)
        shares = np.empty((number, CELLS, 7))
        share = rng.beta(0.5, 0.25, (number, CELLS, 1))
        if common:
            scatter = np.maximum(share * AMBIGUITIES[0].numpy(), 1e-9)
            totals = rng.standard_gamma(totals / scatter) * scatter
        for gene in range(4):
            members = np.flatnonzero(gene == CODES)
            weights = rng.standard_gamma(usage[:, members], (number, CELLS, len(members)))
            weights /= weights.sum(-1, keepdims=True)
            ambiguity = AMBIGUITIES[1].numpy()[gene]
            if common and ambiguity > 0:
                effective = totals[..., gene, None] / (share * ambiguity)
                weights = rng.standard_gamma(effective * weights + 1 / len(members))
                weights /= weights.sum(-1, keepdims=True)
            shares[..., members] = weights
        reads = totals[..., CODES] * shares
        parts.append(reads if factors is None else reads * factors[part].numpy())
    return np.concatenate(parts)


def summed(draws: np.ndarray) -> np.ndarray:
    """Add up isoforms of genes, shape (draws, cells, genes)."""
    return np.stack([draws[..., gene == CODES].sum(-1) for gene in range(4)], -1)


def summaries_of(draws: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and mean of log1p, shape (cells, columns, 3)."""
    return np.stack([draws.mean(0), draws.std(0), np.log1p(draws).mean(0)], -1)


def wanted(**changes: object) -> Wanted:
    asked = {
        "columns": np.arange(7, dtype=np.int32),
        "of_genes": False,
        "weights": np.empty(0, np.float32),
        "library_size": 1e4,
        "levels": np.array(LEVELS),
        "replicates": np.empty(0, np.int64),
        "threshold": 1.0,
        "probability": 0.05,
    }
    return Wanted(**{**asked, **changes})


def close(found: np.ndarray, expected: np.ndarray, typical: float, most: float) -> None:
    """Compare on log scale, the typical and the largest difference."""
    difference = np.abs(np.log1p(found) - np.log1p(expected))
    assert np.median(difference) < typical
    assert difference.max() < most


@pytest.mark.parametrize("common", [True, False])
def test_draws_are_those_of_the_model(common: bool) -> None:
    torch.manual_seed(0)
    stratified = StratifiedExpression(posteriors(), ERROR if common else None, GENES, 256)
    found, expected = stratified.draws().numpy(), drawn(common)
    assert found.shape == (4 * 256, CELLS, 7)
    close(summaries_of(found), summaries_of(expected), 0.01, 0.08)
    quantiles = [np.quantile(draws, LEVELS, axis=0) for draws in (found, expected)]
    close(*quantiles, 0.02, 0.2)
    # Isoforms of a gene compete: correlations of their draws.
    for one, other in ((0, 3), (2, 4), (1, 6)):
        pair = [
            np.corrcoef(draws[:, 0, one], draws[:, 0, other])[0, 1] for draws in (found, expected)
        ]
        assert pair[0] == pytest.approx(pair[1], abs=0.12)


def test_features_are_those_of_the_same_draws() -> None:
    torch.manual_seed(0)
    stratified = StratifiedExpression(posteriors(), ERROR, GENES, 256)
    reads = stratified.draws().numpy()
    scaled = reads * (1e4 / reads.sum(-1, keepdims=True))
    # Genes 2 and 0, and then isoforms 4 and 1; isoforms of gene 1 are not drawn.
    of_isoforms = np.array([-1, 3, -1, -1, 2, -1, -1])
    features = Features(np.array([1, -1, 0, -1]), of_isoforms, 4, 1e4, 6)
    expected = np.concatenate([summed(scaled)[..., [2, 0]], scaled[..., [4, 1]]], -1)
    mean, sd, some, rates = stratified.features(features, [1])
    np.testing.assert_allclose(some[0].T, expected[:, 1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(mean, expected.mean(0), rtol=1e-4)
    np.testing.assert_allclose(sd, expected.std(0, ddof=1), rtol=1e-3)
    # Without the common error genes 0, 1 and 3 whole, and gene 2 divided.
    own = drawn(False)
    expected = np.concatenate([summed(own)[..., :2], own[..., [2, 4, 5, 6]]], -1)
    rates = rates.transpose(2, 0, 1)
    close(summaries_of(rates[..., :-1]), summaries_of(expected), 0.01, 0.08)
    np.testing.assert_allclose(rates[..., -1], rates[..., :-1].sum(-1), rtol=1e-4)


@pytest.mark.parametrize("of_genes", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("converted", [False, True])
def test_summaries_are_those_of_the_draws(of_genes: bool, weighted: bool, converted: bool) -> None:
    torch.manual_seed(0)
    factors = FACTORS if converted else []
    stratified = StratifiedExpression(posteriors(), ERROR, GENES, 256, factors)
    reads = drawn(True, factors or None)
    weights = (1 / LENGTHS).astype(np.float32) if weighted else np.empty(0, np.float32)
    scaled = reads / LENGTHS if weighted else reads
    scaled = scaled * (1e4 / scaled.sum(-1, keepdims=True))
    if of_genes:
        reads, scaled = summed(reads), summed(scaled)
    number = reads.shape[-1]
    columns = np.arange(number, dtype=np.int32)
    sizes, found_columns, values = stratified.summaries(
        wanted(columns=columns, of_genes=of_genes, weights=weights)
    )
    kept = np.zeros((CELLS, number), bool)
    rows = np.repeat(np.arange(CELLS), sizes)
    kept[rows, found_columns] = True
    share = np.maximum((reads > 1).mean(0), (scaled > 1).mean(0))
    assert kept[share > 0.06].all()
    assert not kept[share < 0.04].any()
    assert 0 < kept.mean() < 1
    close(values[:, :3], summaries_of(reads)[kept], 0.01, 0.08)
    # Sums over so few genes are less exact: their strata are independent only on average.
    close(values[:, 3:6], summaries_of(scaled)[kept], 0.01, 0.15)
    quantiles = np.moveaxis(np.quantile(reads, LEVELS, axis=0), 0, -1)[kept]
    close(values[:, 6:], quantiles, 0.02, 0.2)


def test_columns_are_chosen_and_draws_kept() -> None:
    torch.manual_seed(0)
    stratified = StratifiedExpression(posteriors(), ERROR, GENES, 64)
    columns = np.array([-1, -1, -1, 1, 0, -1, -1], np.int32)
    sizes, found, values = stratified.summaries(
        wanted(columns=columns, replicates=np.arange(0, 256, 8), levels=np.array([0.5]))
    )
    assert sizes.tolist() == [2] * CELLS
    assert found.tolist() == [0, 1] * CELLS
    expected = drawn(True)[..., [4, 3]].reshape(DRAWS, -1)
    close(values[:, 0], expected.mean(0), 0.02, 0.05)
    kept = values[:, 7:]
    assert kept.shape == (2 * CELLS, 32)
    error = expected.std(0) / 32**0.5
    assert (np.abs(kept.mean(1) - expected.mean(0)) < 4 * error).all()
    # Normalised by the whole cell.
    whole = drawn(True)
    normalised = (whole * (1e4 / whole.sum(-1, keepdims=True)))[..., [4, 3]].reshape(DRAWS, -1)
    close(values[:, 3], normalised.mean(0), 0.02, 0.05)


def test_extreme_posteriors_have_finite_draws() -> None:
    torch.manual_seed(0)
    shape = torch.tensor([[1e-6, 1e7, 3.0, 2.0]])
    present = torch.tensor([[1.0, 1.0, 0.0, 1e-9]])
    usage = torch.tensor([[1e-6, 1.0, 1e-6, 1e-6, 1e-6, 1e7, 1.0]])
    own = RatePosterior(shape, torch.full_like(shape, 2.0), present, usage)
    stratified = StratifiedExpression([own] * 4, ERROR, GENES, 64)
    drawn = stratified.draws()
    assert drawn.isfinite().all()
    assert (drawn >= 0).all()
    assert drawn[..., 2].max() == drawn[..., 6].max() == 0
    _, columns, values = stratified.summaries(wanted())
    assert np.isfinite(values).all()
    assert columns.tolist() == [0, 3]


def test_seeds_give_the_same_draws_again() -> None:
    made = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        made.append(StratifiedExpression(posteriors(), ERROR, GENES, 32).draws())
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_cells_and_genes_are_drawn_independently() -> None:
    torch.manual_seed(0)
    same = RatePosterior(*(torch.full((40, 30), value) for value in (3.0, 1.0, 1.0, 1.0)))
    genes = Genes(torch.arange(30), 30)
    drawn = StratifiedExpression([same] * 4, None, genes, 128).draws().flatten(1)
    # Sums of independent variables have the sum of their variances.
    assert drawn.sum(1).var() == pytest.approx(3.0 * 1200, rel=0.3)
