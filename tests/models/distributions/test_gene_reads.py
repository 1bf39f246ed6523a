"""Bootstraps of genes and their isoforms: limits, brute force, calibration, samples and shapes."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapMean
from exvae.data.genes import Genes
from exvae.data.random_draws import draw_dirichlet, draw_shares
from exvae.models.distributions.gamma_poisson import BootstrapGammaPoisson
from exvae.models.distributions.gene_reads import (
    BootstrapGeneReads,
    Division,
    log_dirichlet_multinomial,
)

SMALLEST_P_VALUE = 1e-4
# Genes of two, one and three isoforms, which lie anyhow.
GENES = Genes(torch.tensor([2, 0, 1, 2, 0, 2]), 3)
USAGE = torch.tensor([0.5, 0.9, 1.0, 0.3, 0.1, 0.2])


def build(num_bootstraps: int = 4, genes: Genes = GENES, **changes: object) -> BootstrapGeneReads:
    """Build the distribution of two cells."""
    values = {
        "mean": [[30.0, 4.0, 60.0], [2.0, 7.0, 0.5]],
        "inverse_dispersion": [0.7, 2.0, 5.0],
        "dropout_logits": [-1.0, -3.0, 0.5],
        "error_dispersion": [1.0, 1.2, 0.9],
        "bootstrap_dispersion": [1.0, 1.5, 0.9],
        "usage": USAGE.tolist(),
        "concentration": [3.0, 7.0, 20.0],
        "division_error": [1.0, 1.0, 3.0],
        "division": [1.0, 1.0, 8.0],
        **changes,
    }
    parts = [torch.as_tensor(value, dtype=torch.get_default_dtype()) for value in values.values()]
    totals = BootstrapGammaPoisson(*parts[:5], num_bootstraps=num_bootstraps, validate_args=True)
    return BootstrapGeneReads(totals, Division(*parts[5:]), genes, validate_args=True)


def known(estimates: Tensor) -> BootstrapMean:
    """Summarise a million bootstraps, all alike: the estimate is known."""
    return BootstrapMean(torch.full_like(estimates, 1e6), estimates)


def test_genes_of_one_isoform_are_counted_by_themselves() -> None:
    genes = Genes(torch.tensor([1, 0, 2]), 3)
    distribution = build(genes=genes, usage=[1.0, 1.0, 1.0])
    bootstraps = torch.poisson(torch.full((2, 3, 4), 3.0))
    bootstraps[0, 1] = 0.0
    in_order = bootstraps[:, [1, 0, 2]]
    expected = distribution.totals.log_prob(in_order).sum(-1)
    torch.testing.assert_close(distribution.log_prob(bootstraps), expected)
    counts = torch.poisson(torch.full((2, 3), 2.0))
    expected = distribution.totals.log_prob_of_bin(counts[:, [1, 0, 2]]).sum(-1)
    torch.testing.assert_close(distribution.log_prob_of_whole(counts), expected)


def test_division_of_whole_counts_is_the_dirichlet_multinomial() -> None:
    rng = np.random.default_rng(0)
    for concentration in (0.3, 5.0, 800.0):
        counts = rng.poisson(rng.gamma(0.5, 20.0, (200, 6)))
        found = log_dirichlet_multinomial(
            torch.tensor(counts, dtype=torch.float64),
            USAGE.double(),
            torch.full((3,), concentration, dtype=torch.float64),
            GENES,
        )
        for gene in range(3):
            own = GENES.codes.numpy() == gene
            expected = scipy.stats.dirichlet_multinomial.logpmf(
                counts[:, own], concentration * USAGE.double().numpy()[own], counts[:, own].sum(1)
            )
            np.testing.assert_allclose(found[:, gene], expected, atol=1e-4, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-4), (torch.float32, 2e-3)])
def test_division_of_real_counts_continues_it(dtype: torch.dtype, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    counts = rng.gamma(0.3, 30.0, (500, 6)) * (rng.random((500, 6)) < 0.6)
    concentration = np.exp(rng.uniform(-2, 9, (500, 3)))
    shape = concentration[:, GENES.codes] * USAGE.double().numpy() + 1e-6
    gamma = scipy.special.gammaln
    parts = gamma(counts + shape) - gamma(shape) - gamma(counts + 1)
    indicator = np.eye(3)[GENES.codes]
    sums = counts @ indicator
    expected = parts @ indicator
    expected -= gamma(sums + concentration) - gamma(concentration) - gamma(sums + 1)
    leaf = torch.tensor(concentration, dtype=dtype, requires_grad=True)
    values = torch.tensor(counts, dtype=dtype)
    found = log_dirichlet_multinomial(values, USAGE.to(dtype), leaf, GENES)
    np.testing.assert_allclose(found.detach(), expected, atol=tolerance, rtol=tolerance)
    (slope,) = torch.autograd.grad(found.sum(), leaf)
    psi = scipy.special.digamma
    exact = (psi(counts + shape) - psi(shape)) * USAGE.double().numpy() @ indicator
    exact -= psi(sums + concentration) - psi(concentration)
    np.testing.assert_allclose(slope, exact, atol=20 * tolerance, rtol=1e-3)


def test_slopes_are_those_of_finite_differences() -> None:
    bootstraps = torch.rand(2, 6, 3, dtype=torch.float64) * 20
    bootstraps[0, 1] = bootstraps[1, 2] = 0.0
    logits = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    concentration = torch.rand(3, dtype=torch.float64, requires_grad=True)
    summary = BootstrapMean.of(bootstraps)
    totals = build(3).totals

    def log_prob(logits: Tensor, concentration: Tensor) -> Tensor:
        mean = logits.exp()
        parts = [part.double() for part in totals.parameters]
        of_genes = BootstrapGammaPoisson(GENES.sums(mean), *parts[1:], num_bootstraps=3)
        ones = torch.ones(3, dtype=torch.float64)
        division = Division(GENES.shares(mean), concentration.exp(), 2 * ones, 5 * ones)
        return BootstrapGeneReads(of_genes, division, GENES).log_prob(summary)

    assert torch.autograd.gradcheck(log_prob, (logits, concentration), rtol=1e-3, atol=1e-5)


def test_masses_of_whole_counts_sum_to_one() -> None:
    genes = Genes(torch.tensor([0, 0]), 1)
    distribution = build(
        genes=genes,
        mean=[[6.0], [0.5]],
        **{name: [1.3] for name in ("inverse_dispersion", "error_dispersion", "concentration")},
        **{name: [4.0] for name in ("division_error", "division")},
        dropout_logits=[-1.0],
        bootstrap_dispersion=[1.3],
        usage=[0.8, 0.2],
    )
    counts = torch.cartesian_prod(torch.arange(160.0), torch.arange(160.0)).unsqueeze(1)
    mass = distribution.log_prob_of_whole(counts.expand(-1, 2, -1)).double().exp()
    torch.testing.assert_close(mass.sum(0), torch.ones(2, dtype=torch.float64), rtol=0, atol=2e-5)
    # Means are those of the rates, but for rounding.
    means = (mass.unsqueeze(-1) * counts).sum(0)
    expected = distribution.mean[..., 0].double()
    torch.testing.assert_close(means, expected, rtol=0.04, atol=0.02)


# Two cells with 2 and 5 bootstraps, of which some are zero among others that are not.
SETS = (
    [[11, 0], [5, 7], [0, 0], [4, 2.5], [0, 1], [3, 0]],
    [[0] * 5, [1, 3, 0, 2, 0], [0, 4, 1, 0, 6], [2, 0, 0, 0, 0], [0] * 5, [0, 9, 5, 7, 8]],
)
# Errors of estimates and of bootstraps that differ from one another and from counting.
AMBIGUOUS = {
    "error_dispersion": [1.7, 1.2, 2.0],
    "bootstrap_dispersion": [2.5, 1.5, 4.0],
    "division_error": [2.0, 1.0, 3.0],
    "division": [5.0, 1.0, 8.0],
}


def observed_sets() -> BootstrapMean:
    """Summarise the sets of both cells."""
    parts = [BootstrapMean.of(torch.tensor(own).float()) for own in SETS]
    return BootstrapMean(*map(torch.stack, zip(*parts, strict=True)))


def effective(cell: int, of_genes: bool) -> np.ndarray:
    """Effective reads of genes, or of isoforms for their division."""
    own = np.array(SETS[cell])
    names = ("error_dispersion", "bootstrap_dispersion")
    names = names if of_genes else ("division_error", "division")
    error, bootstrap = (np.array(AMBIGUOUS[name]) for name in names)
    scatter = error + bootstrap / own.shape[-1]
    if of_genes:
        return np.bincount(GENES.codes.numpy(), own.mean(-1)) / scatter
    return own.mean(-1) / scatter[GENES.codes.numpy()]


def test_the_quasi_likelihood_is_of_genes_and_of_their_division() -> None:
    """Written out for each gene: see also the quasi-likelihood of BootstrapGammaPoisson."""
    distribution = build(5, **AMBIGUOUS)
    found = distribution.log_prob(observed_sets())
    gamma, codes, usage = scipy.special.gammaln, GENES.codes.numpy(), USAGE.double().numpy()
    for cell in (0, 1):
        totals = build(len(SETS[cell][0]), **AMBIGUOUS).totals
        sums = np.zeros((3, len(SETS[cell][0])))
        np.add.at(sums, codes, np.array(SETS[cell]))
        expected = totals.log_prob(torch.tensor(sums).float())[cell].sum()
        counts = effective(cell, of_genes=False)
        for gene, kappa in enumerate((3.0, 7.0, 20.0)):
            own, shape = counts[codes == gene], kappa * usage[codes == gene]
            parts = gamma(own + shape) - gamma(shape) - gamma(own + 1)
            whole = gamma(own.sum() + kappa) - gamma(kappa) - gamma(own.sum() + 1)
            expected += parts.sum() - whole
        assert float(found[cell]) == pytest.approx(float(expected), abs=1e-3)


def test_rates_and_usage_have_the_moments_of_their_posteriors() -> None:
    torch.manual_seed(0)
    distribution = build(5, **AMBIGUOUS, dropout_logits=[-60.0] * 3)
    number = 40_000
    drawn = distribution.draw_rates(observed_sets(), number)
    means = np.array([[30.0, 4.0, 60.0], [2.0, 7.0, 0.5]])
    theta, kappa = np.array([0.7, 2.0, 5.0]), np.array([3.0, 7.0, 20.0])
    names, codes = ("error_dispersion", "bootstrap_dispersion"), GENES.codes.numpy()
    error, bootstrap = (np.array(AMBIGUOUS[name]) for name in names)
    for cell in (0, 1):
        reads, size = effective(cell, of_genes=True), len(SETS[cell][0])
        exposure = 1 / (error + bootstrap / size)
        exposure = np.where(reads > 0, exposure, (1 - np.exp(-size * error / bootstrap)) / error)
        shape = theta + reads
        rates = scipy.stats.gamma(shape, scale=1 / (theta / means[cell] + exposure))
        check_moments(drawn.totals[:, cell], rates.mean(), rates.var())
        shape = kappa[codes] * USAGE.numpy() + effective(cell, of_genes=False)
        whole = np.bincount(codes, shape)[codes]
        share = shape / whole
        check_moments(drawn.usage[:, cell], share, share * (1 - share) / (whole + 1))


def check_moments(draws: Tensor, mean: np.ndarray, variance: np.ndarray) -> None:
    """Compare draws, shape (number, ...), with a mean and a variance."""
    draws, mean = draws.double(), torch.tensor(mean)
    squares = (draws - mean).square()
    for values, expected in ((draws, mean), (squares, torch.tensor(variance))):
        allowed = 4.5 * values.std(0) / len(values) ** 0.5 + 1e-3 * expected + 1e-9
        assert ((values.mean(0) - expected).abs() <= allowed).all()


@pytest.mark.parametrize("concentration", [1e7, 30.0])
def test_samples_scatter_within_and_between_estimates(concentration: float) -> None:
    """Bootstraps scatter around an estimate, which scatters around a rate that is known here."""
    torch.manual_seed(0)
    genes, share, mean = Genes(torch.tensor([0, 0]), 1), np.array([0.7, 0.3]), 6000.0
    of_gene, of_division = (3.0, 5.0), (8.0, 20.0)
    distribution = build(
        2,
        genes,
        mean=[[mean]],
        inverse_dispersion=[1e7],
        dropout_logits=[-60.0],
        error_dispersion=[of_gene[0]],
        bootstrap_dispersion=[of_gene[1]],
        usage=share.tolist(),
        concentration=[concentration],
        division_error=[of_division[0]],
        division=[of_division[1]],
    )
    draws = distribution.sample(torch.Size([30_000]))[:, 0].double()
    usage = share * (1 - share) / (concentration + 1)

    def variance(of_gene: float, of_division: float) -> np.ndarray:
        """Poissons of effective reads of a gene, divided by a multinomial of effective reads."""
        return mean * (share**2 * of_gene + (share * (1 - share) - usage) * of_division)

    # Usage varies with the square of the gene's reads.
    between = variance(of_gene[0], of_division[0]) + usage * (mean**2 + mean * of_gene[0])
    within = variance(of_gene[1], of_division[1]) + usage * mean * of_gene[1]
    centred = draws - mean * torch.tensor(share)[:, None]
    half = (draws[..., 0] - draws[..., 1]).square() / 2
    for values, expected in ((centred.prod(-1), between), (half, within)):
        error = values.std(0) / len(values) ** 0.5
        allowed = 4.5 * error + 0.005 * torch.tensor(expected)
        assert ((values.mean(0) - torch.tensor(expected)).abs() < allowed).all()


def test_whole_counts_are_divided_with_the_variance_of_bootstraps() -> None:
    """Of N reads, N p (1 - p) (1 + (N - 1) rho) of correlations rho that ambiguity adds to."""
    genes, kappa, dispersion, p = Genes(torch.tensor([0, 0]), 1), 40.0, 3.0, 0.8
    distribution = build(
        1,
        genes,
        mean=[[30.0]],
        **{name: [2.0] for name in ("inverse_dispersion", "error_dispersion", "division_error")},
        dropout_logits=[-1.0],
        bootstrap_dispersion=[5.0],
        usage=[p, 1 - p],
        concentration=[kappa],
        division=[dispersion],
    )
    for total in (1, 7, 40, 300):
        first = torch.arange(total + 1.0)
        counts = torch.stack([first, total - first], -1).unsqueeze(1)
        log_prob = distribution.log_prob_of_whole(counts).double()[:, 0]
        of_gene = distribution.totals.log_prob_of_bin(torch.tensor([[float(total)]]))
        mass = (log_prob - of_gene.double()[0, 0]).exp()
        assert float(mass.sum()) == pytest.approx(1.0, abs=1e-3)
        mean = float((mass * first).sum())
        assert mean == pytest.approx(total * p, rel=1e-3)
        # A quarter, once and four times the ambiguity, with a quarter, half and a quarter.
        added = np.array([0.25, 1, 4]) * (dispersion - 1) / max(total - 1, 1)
        correlations = (1 / (kappa + 1) + added).clip(max=0.999)
        variance = float((mass * (first - mean) ** 2).sum())
        expected = total * p * (1 - p) * (1 + (total - 1) * correlations @ [0.25, 0.5, 0.25])
        assert variance == pytest.approx(expected, rel=2e-3)


def test_bootstraps_and_their_statistics_in_any_order() -> None:
    distribution = build()
    bootstraps = distribution.sample()
    expected = distribution.log_prob(bootstraps)
    assert expected.shape == (2,)
    shuffled = bootstraps[..., torch.tensor([2, 0, 3, 1])]
    torch.testing.assert_close(distribution.log_prob(shuffled), expected)
    torch.testing.assert_close(distribution.log_prob(BootstrapMean.of(bootstraps)), expected)
    order = torch.randperm(6)
    moved = build(genes=Genes(GENES.codes[order], 3), usage=USAGE[order].tolist())
    torch.testing.assert_close(moved.log_prob(bootstraps[:, order]), expected)


def test_posteriors_are_calibrated() -> None:
    torch.manual_seed(0)
    cells, number = 4000, 199
    names = ("error_dispersion", "bootstrap_dispersion", "division_error", "division")
    same = dict.fromkeys(names, [1.0, 1.0, 1.0])
    distribution = build(10**6, mean=[[20.0, 3.0, 12.0]], **same).expand(torch.Size([cells]))
    totals, division = distribution.totals, distribution.division
    shape = totals.inverse_dispersion
    rates = torch._standard_gamma(shape) * totals.rate_mean / shape
    rates *= torch.bernoulli(torch.sigmoid(-totals.dropout_logits))
    usage = draw_dirichlet(GENES.spread(division.concentration) * division.usage, GENES)
    estimates = torch.poisson(GENES.spread(rates) * usage)
    drawn = distribution.draw_rates(known(estimates), number)
    kept = rates > 0
    for truth, draws, chosen in (
        (rates, drawn.totals, kept & (GENES.sums(estimates) > 0)),
        (usage, drawn.usage, GENES.spread(kept)),
    ):
        ranks = (draws < truth).sum(0)
        for column in (0, truth.shape[-1] - 1):
            own = ranks[chosen[:, column], column]
            counts = torch.bincount(own // 10, minlength=20)
            assert scipy.stats.chisquare(counts).pvalue > SMALLEST_P_VALUE
    # A gene that is off is so in as many draws as there are such cells.
    empty = GENES.sums(estimates) == 0
    off = (drawn.totals == 0).float().mean(0)
    assert (off[~empty] == 0).all()
    for gene in (0, 2):
        own = off[empty[:, gene], gene]
        share = (~kept[empty[:, gene], gene]).float().mean()
        assert abs(own.mean() - share) < 5 * (share * (1 - share) / len(own)).sqrt()


def test_samples_have_the_means_and_scatter_as_they_say() -> None:
    torch.manual_seed(0)
    distribution = build(2, dropout_logits=[-50.0] * 3)
    draws = distribution.sample(torch.Size([30_000]))
    assert draws.shape == (30_000, 2, 6, 2)
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - distribution.mean).abs() < 5 * error).all()
    # Around an estimate of many reads a bootstrap divides them with the variance of a multinomial
    # of effective reads.
    totals = torch.full((20_000, 3), 400.0)
    shares = draw_shares(totals, USAGE.expand(20_000, -1), torch.tensor([1.0, 1.0, 8.0]), GENES)
    torch.testing.assert_close(GENES.sums(shares), torch.ones_like(totals))
    expected = USAGE * (1 - USAGE) * torch.tensor([8.0, 1.0, 1.0, 8.0, 1.0, 8.0]) / 400
    torch.testing.assert_close(shares.var(0), expected, rtol=0.06, atol=1e-6)


def test_one_isoform_has_all_where_there_is_no_effective_read() -> None:
    torch.manual_seed(0)
    totals = torch.full((20_000, 3), 1.0)
    shares = draw_shares(totals, USAGE.expand(20_000, -1), torch.full((3,), 1e6), GENES)
    assert set(shares.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(shares.mean(0), USAGE, rtol=0, atol=0.02)


def test_shapes_and_copies() -> None:
    distribution = build()
    assert distribution.batch_shape == (2,)
    assert distribution.event_shape == (6, 4)
    expanded = distribution.expand(torch.Size([5, 2]))
    value = expanded.sample()
    assert value.shape == (5, 2, 6, 4)
    torch.testing.assert_close(expanded.log_prob(value), distribution.log_prob(value))
    torch.testing.assert_close(
        copy.deepcopy(distribution).log_prob(value), distribution.log_prob(value)
    )
    rates = expanded.draw_rates(value, 3)
    assert rates.totals.shape == (3, 5, 2, 3)
    assert rates.usage.shape == (3, 5, 2, 6)
    assert expanded.log_prob_of_whole(value[..., 0].round()).shape == (5, 2)


@pytest.mark.parametrize("name", ["usage", "concentration", "division_error", "division"])
def test_impossible_parameters_are_errors(name: str) -> None:
    field = {"division_error": "error_dispersion", "division": "bootstrap_dispersion"}
    size = 6 if name == "usage" else 3
    with pytest.raises(ValueError, match=f"{field.get(name, name)} must be positive"):
        build(**{name: [0.0] * size})


def test_negative_bootstraps_are_errors() -> None:
    with pytest.raises(ValueError, match="support"):
        build().log_prob(torch.full((2, 6, 4), -1.0))
