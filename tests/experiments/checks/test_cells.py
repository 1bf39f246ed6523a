"""Checks of models of isoforms: right models pass, wrong ones fail, and memory is bounded."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from pyro.infer import Predictive
from scipy import stats
from scipy.sparse import csr_matrix

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.cell_batches import batch_source
from exvae.data.cells import Cells, summarise
from exvae.data.special_functions import inverse_softplus
from exvae.experiments.checks import cells as checks
from exvae.experiments.checks.cells import CellStatistics, check_cells, summary_of
from exvae.experiments.checks.comparison import Replication
from exvae.experiments.isoforms.fitting import IsoformFit, build, split_cells
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.models import MODELS

CELLS, ISOFORMS, BOOTSTRAPS = 40, 30, 6
# The paper's noise grows with the count, and a part of it is the same in all bootstraps.
OPTIONS = {"paper": {"noise_latent_size": 2, "noise": "relative", "error": "shared"}}


def truth(seed: int = 0, model: str = "paper") -> IsoformFit:
    """Make a model of known parameters, as if it had been fitted."""
    config = IsoformConfig(model, options={"latent_size": 3, **OPTIONS.get(model, {})})
    torch.manual_seed(seed)
    fitted, guide = build(config, [str(number // 3) for number in range(ISOFORMS)], 1)
    with torch.no_grad():
        fitted.log_library_mean.fill_(np.log(20.0 * ISOFORMS))
        fitted.log_library_sd.fill_(0.4)
        fitted.decoder.output.bias[:ISOFORMS].copy_(torch.randn(ISOFORMS))
        fitted.dispersion.log_inverse_dispersion.fill_(0.0)
        if model == "effective-reads":
            fitted.decoder.output.bias[ISOFORMS:] -= 3.0  # few genes are off
            fitted.total_dispersion.fill_(1.2)
            fitted.division_dispersion.fill_(5.0)
        elif model == "paper":
            # Noise of about sqrt(1 + u), and a bootstrap in fifty is zero whatever the count u.
            fitted.noise_decoder.output.bias[:ISOFORMS] = inverse_softplus(torch.tensor(1.0))
            fitted.noise_decoder.output.bias[ISOFORMS:] = -4.0
    names = [str(number) for number in range(ISOFORMS)]
    described = {
        "model": asdict(config),
        "training": {"epochs": 60},
        "data": {"batch_names": [""], "batch_key": None},
    }
    return IsoformFit(fitted.eval(), guide.eval(), names, names, described, torch.device("cpu"))


def generated(fit: IsoformFit, seed: int, num_cells: int = CELLS) -> Cells:
    """Cells drawn from the prior of a model."""
    torch.manual_seed(seed)
    arguments = (
        torch.zeros(num_cells * BOOTSTRAPS, ISOFORMS),
        torch.arange(num_cells + 1) * BOOTSTRAPS,
        torch.zeros(num_cells, dtype=torch.int64),
        torch.arange(num_cells),
        num_cells,
    )
    drawn = Predictive(fit.model, num_samples=1, return_sites=["_RETURN"])(*arguments)
    values = drawn["_RETURN"][0]
    values = values.unsqueeze(-1) if values.dim() == 2 else values
    layers = tuple(csr_matrix(layer) for layer in values.permute(2, 0, 1).numpy())
    return Cells(
        names=np.arange(num_cells).astype(str),
        isoforms=np.arange(ISOFORMS).astype(str),
        genes=None,
        counts=layers[0],
        bootstraps=layers,
        summary=summarise(layers),
        num_bootstraps=np.full(num_cells, len(layers)),
        obs=pd.DataFrame(index=range(num_cells)),
        batches=np.zeros(num_cells, np.int64),
    )


# What the model of reads observes is drawn by itself, not given.
@pytest.mark.parametrize("model", [name for name in MODELS if name != "reads"])
def test_the_p_values_of_a_right_model_are_uniform(model: str) -> None:
    fit = truth(model=model)
    p_values = [
        check_cells(fit, generated(fit, seed), replication=Replication("prior", 19, seed))
        for seed in range(16)
    ]
    table = pd.DataFrame([check.p_values for check in p_values])
    assert table.shape[1] == (5 if model == "scvi" else 8)
    for name in table:
        assert stats.kstest(table[name], "uniform").pvalue > 1e-3, name


@pytest.mark.parametrize(
    ("change", "named", "sign"),
    [
        ("noise", "variance / mean of bootstraps, 50% quantile of entries (reads)", 1),
        ("dispersion", "variance / mean over cells, 50% quantile of isoforms (reads)", 1),
        ("depth", "mean log10 library size", -1),
        ("dropout", "share of entries with reads in some bootstraps", 1),
    ],
)
@pytest.mark.parametrize("latents", ["prior", "posterior"])
def test_a_wrong_model_fails(change: str, named: str, sign: int, latents: str) -> None:
    fit, wrong = truth(), truth()
    right = check_cells(fit, generated(fit, 1), replication=Replication("prior", 39))
    with torch.no_grad():
        if change == "noise":
            wrong.model.noise_decoder.output.bias[:ISOFORMS] -= 2.0
        elif change == "dispersion":
            wrong.model.dispersion.log_inverse_dispersion += 4.0
        elif change == "depth":
            # The guide finds a cell's library size, whatever the prior.
            wrong.model.log_library_mean += 1.0
            wrong.guide.z_encoder.readout[-1].bias[-2] += 1.0
        else:
            fit.model.noise_decoder.output.bias[ISOFORMS:] += 2.5
    check = check_cells(wrong, generated(fit, 1), replication=Replication(latents, 39))
    extreme = check.p_values[named]
    assert extreme == pytest.approx(0.5 / 40 if sign > 0 else 39.5 / 40)
    assert 0.01 < right.p_values[named] < 0.99


def test_replicates_have_the_bootstraps_of_each_cell() -> None:
    fit = truth()
    cells = generated(fit, 3, num_cells=4)
    sizes = np.array([6, 2, 1, 4])
    layers = []
    for number, layer in enumerate(cells.bootstraps):
        dense = layer.toarray()
        dense[sizes <= number] = 0.0
        layers.append(csr_matrix(dense))
    summary = summarise(layers)
    fewer = Cells(
        **{**vars(cells), "bootstraps": tuple(layers[:1]), "summary": summary}
        | {"num_bootstraps": sizes}
    )
    batch = batch_source(fewer, "bootstrap_summary").batch(np.arange(4))
    for latents in ("prior", "posterior"):
        found = dict(checks.replicate_cells(fit, batch, latents, 3))
        assert sorted(found) == [0, 1, 2]
        for each in found.values():
            assert (each.zeros >= 0).all()
            assert (each.zeros + each.positives == torch.from_numpy(sizes)[:, None]).all()
            assert each.mean.shape == (4, ISOFORMS)


def test_blocks_do_not_change_a_check() -> None:
    fit = truth()
    cells = generated(fit, 0)
    replication = Replication(num_replicates=20)
    whole = check_cells(fit, cells, replication=replication)
    size = 15 * ISOFORMS * BOOTSTRAPS
    parts = check_cells(fit, cells, replication=replication, block_size=size)
    for name in ("statistic", "observed"):
        pd.testing.assert_series_equal(whole.statistics[name], parts.statistics[name])
    difference = whole.statistics["replicated_mean"] - parts.statistics["replicated_mean"]
    assert (difference.abs() < 1.5 * whole.statistics["replicated_sd"]).all()


def test_statistics_agree_with_numpy() -> None:
    generator = np.random.default_rng(0)
    levels = generator.gamma(0.5, 8.0, (50, 20, 1))
    bootstraps = generator.poisson(levels, (50, 20, 7)).astype(float)
    statistics = CellStatistics(20, True)
    for rows in np.array_split(np.arange(50), 3):
        statistics.add(BootstrapSummary.of(torch.from_numpy(bootstraps[rows])))
    found = statistics.scalars()
    means = bootstraps.mean(-1)
    library = np.log10(means.sum(1))
    over_cells = means.var(0, ddof=1) / means.mean(0)
    over_cells = over_cells[means.mean(0) > 1]
    of_bootstraps = bootstraps.var(-1, ddof=1)[means > 1] / means[means > 1]
    partly = (means > 0) & (bootstraps == 0).any(-1)
    expected = {
        "share of entries without a read": np.mean(means == 0),
        "variance / mean over cells, 50% quantile of isoforms (reads)": np.median(over_cells),
        "mean log10 library size": library.mean(),
        "sd of log10 library size": library.std(),
        "share of entries with reads in some bootstraps": partly.mean(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    name = "variance / mean of bootstraps, 90% quantile of entries (reads)"
    assert found[name] == pytest.approx(np.quantile(of_bootstraps, 0.9), rel=0.03)
    zeros = statistics.curves()["zeros of bootstraps"]
    bins = np.floor(4 * np.log10(means[means > 0])).astype(int)
    share = (bootstraps == 0).mean(-1)[means > 0]
    place = np.searchsorted(zeros[0], 10.0 ** (2.5 / 4)) - 1
    at = np.argmin(np.abs(np.log10(zeros[0]) - 2.5 / 4))
    assert place in (at, at - 1)
    assert zeros[1][at] == pytest.approx(share[bins == 2].mean())


def test_counts_are_one_bootstrap() -> None:
    summary = summary_of(torch.tensor([[0.0, 3.0]]))
    assert summary.zeros.tolist() == [[1, 0]]
    assert summary.mean.tolist() == [[0, 3]]


def test_replicates_follow_the_seed() -> None:
    fit = truth(model="effective-reads")
    cells = generated(fit, 0)
    found = []
    for seed in (1, 1, 2):
        torch.rand(3)
        replication = Replication(num_replicates=3, seed=seed)
        found.append(check_cells(fit, cells, replication=replication).statistics)
    pd.testing.assert_frame_equal(found[0], found[1])
    assert not found[0]["replicated_mean"].equals(found[2]["replicated_mean"])
    assert found[0]["observed"].equals(found[2]["observed"])


def test_every_replicate_has_every_cell_once() -> None:
    fit = truth(model="effective-reads")
    cells = generated(fit, 0, num_cells=5)
    batch = batch_source(cells, "bootstrap_summary").batch(np.arange(5))
    found = list(checks.replicate_cells(fit, batch, "posterior", 5))
    assert [number for number, _ in found] == [0, 1, 2, 3, 4]
    assert all(len(each.mean) == 5 for _, each in found)
    # Each has latent variables and bootstraps of its own.
    assert len({float(each.mean.sum()) for _, each in found}) == 5


def test_the_cells_of_a_subset_are_checked(fit_cells, small_cells: Cells) -> None:
    fit = fit_cells(training={"epochs": 1}, train_fraction=0.75)
    trained_on, held_out = split_cells(24, 0.75, 0)
    means = small_cells.mean_bootstraps.toarray()
    for subset, chosen in (("train", trained_on), ("held-out", held_out), ("all", slice(None))):
        check = check_cells(
            fit, small_cells, subset=subset, replication=Replication(num_replicates=2)
        )
        observed = check.statistics.set_index("statistic")["observed"]
        expected = np.log10(means[chosen].sum(1)).mean()
        assert observed["mean log10 library size"] == pytest.approx(expected, rel=1e-5)


def test_batches_in_another_order_are_those_of_the_fit(fit_cells, small_cells: Cells) -> None:
    fit = fit_cells(training={"epochs": 1})
    names = small_cells.batch_names[::-1]
    other = replace(small_cells, batches=1 - small_cells.batches, batch_names=names)
    for latents in ("prior", "posterior"):
        found = [
            check_cells(fit, cells, replication=Replication(latents, 3)).statistics
            for cells in (small_cells, other)
        ]
        pd.testing.assert_frame_equal(*found)


def test_of_many_cells_some_are_checked_and_the_check_says_so() -> None:
    fit = truth(model="effective-reads")
    cells = generated(fit, 0)
    libraries = np.log10(cells.mean_bootstraps.sum(1)).A1
    found = []
    for seed in (0, 0, 1):
        replication = Replication(num_replicates=2, seed=seed)
        check = check_cells(fit, cells, replication=replication, max_cells=7)
        assert check.scope == "cells: 7 of 40, chosen at random; replicates: 2"
        found.append(check.statistics.set_index("statistic")["observed"]["mean log10 library size"])
    assert found[0] == found[1] != found[2]
    assert all(abs(each - libraries.mean()) > 1e-6 for each in found)
    whole = check_cells(fit, cells, replication=Replication(num_replicates=2), max_cells=40)
    assert whole.scope == "cells: 40; replicates: 2"
    observed = whole.statistics.set_index("statistic")["observed"]
    assert observed["mean log10 library size"] == pytest.approx(libraries.mean(), rel=1e-5)


def test_replicates_from_the_posterior_are_of_the_very_cells() -> None:
    """The deep ones are deep again; from the prior they are others."""
    fit = truth(model="effective-reads")
    cells = generated(fit, 0, num_cells=30)
    depth = np.where(np.arange(30) % 2, 20.0, 1.0)[:, None]
    layers = [csr_matrix(layer.multiply(depth)) for layer in cells.bootstraps]
    cells = replace(cells, bootstraps=tuple(layers), summary=summarise(layers))
    batch = batch_source(cells, "bootstrap_summary").batch(np.arange(30))
    for latents, follows in (("posterior", True), ("prior", False)):
        for _, each in checks.replicate_cells(fit, batch, latents, 3):
            reads = (each.positives * each.mean).sum(-1)
            assert (reads[1::2].mean() > 5 * reads[::2].mean()) == follows
