"""Compiled sums of float32 entries, against the adaptive quadrature in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.models import native_driver
from exvae.models.bootstrap_likelihood import BootstrapParameters, BootstrapSetting
from exvae.models.distributions import BootstrapZINB
from exvae.models.marginal import marginal_log_prob
from exvae.models.native_driver import place_nodes, sum_entries
from exvae.models.negative_binomial import ZINB

DEFAULT = BootstrapSetting()


def draw(kind, number: int, seed: int = 0, num_bootstraps: int = 12) -> tuple[Tensor, ...]:
    """Draw parameters and statistics as in cells, a third of them zero in all bootstraps."""
    torch.manual_seed(seed)
    parameters = BootstrapParameters(
        (2 * torch.randn(number) + 1).exp(),
        (0.5 + torch.randn(number)).exp(),
        -3 + torch.randn(number),
        (0.7 * torch.randn(number) - 0.5).exp(),
        -4 + 2 * torch.randn(number),
        1 + 8 * torch.rand(number),
    )
    bootstraps = BootstrapZINB(
        *parameters[:5],
        num_bootstraps=num_bootstraps,
        error=kind[0],
        zeros=kind[1],
        noise=kind[2],
        noise_concentration=parameters[5],
    ).sample()
    bootstraps[ZINB(*parameters[:3]).sample() == 0] = 0.0
    return (*parameters, *BootstrapSummary.of(bootstraps))


def in_doubles(parts: tuple[Tensor, ...], setting: BootstrapSetting) -> tuple[Tensor, list[Tensor]]:
    leaves = [part.double().requires_grad_() for part in parts[:6]]
    statistics = BootstrapSummary(*(part.double() for part in parts[6:]))
    value = marginal_log_prob(BootstrapParameters(*leaves), statistics, setting)
    slopes = torch.autograd.grad(value.sum(), leaves, materialize_grads=True)
    return value.detach(), list(slopes)


def test_values_and_slopes(kind) -> None:
    parts = draw(kind, 200)
    setting = BootstrapSetting(*kind)
    value, slopes, unfit = sum_entries(parts, setting)
    assert len(unfit) <= 2
    fit = torch.ones(len(value), dtype=torch.bool)
    fit[unfit] = False
    expected, expected_slopes = in_doubles(parts, setting)
    torch.testing.assert_close(value[fit].double(), expected[fit], rtol=1e-5, atol=5e-3)
    for index, (slope, expected_slope) in enumerate(zip(slopes, expected_slopes, strict=True)):
        # On the scales on which networks give them: logarithms of positive ones, and logits.
        unit = 1.0 if index in (2, 4) else parts[index]
        torch.testing.assert_close(
            (slope * unit)[fit].double(), (expected_slope * unit)[fit], rtol=2e-2, atol=2e-2
        )


def test_an_entry_does_not_depend_on_the_others() -> None:
    parts = draw(("shared", "rectified", "adaptive"), 40_000)
    value, slopes, unfit = sum_entries(parts, DEFAULT)
    assert len(unfit) < 10
    order = torch.randperm(len(value))
    again, slopes_again, _ = sum_entries(tuple(part[order] for part in parts), DEFAULT)
    some = torch.ones(len(value), dtype=torch.bool)
    some[unfit] = False
    chosen = some[order]
    assert torch.equal(value[order][chosen], again[chosen])
    for slope, slope_again in zip(slopes, slopes_again, strict=True):
        assert torch.equal(slope[order][chosen], slope_again[chosen])


def test_threads_change_nothing() -> None:
    parts = draw(("shared", "rectified", "adaptive"), 40_000)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            value, _, unfit = sum_entries(parts, DEFAULT)
            value[unfit] = 0.0
            results.append(value)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("field", "number"), [(4, 30.0), (5, 300.0), (6, 300.0), (6, 2.5), (0, float("nan"))]
)
def test_what_is_in_no_table_is_left_to_others(field: int, number: float) -> None:
    parts = draw(("shared", "rectified", "adaptive"), 50)
    chosen = int(parts[6].nonzero()[0])
    value, _, unfit = sum_entries(parts, DEFAULT)
    assert chosen not in unfit
    changed = [part.clone() for part in parts]
    changed[field][chosen] = number
    again, _, unfit_again = sum_entries(tuple(changed), DEFAULT)
    assert set(unfit_again.tolist()) == {*unfit.tolist(), chosen}
    others = torch.ones(50, dtype=torch.bool)
    others[unfit_again] = False
    assert torch.equal(value[others], again[others])


def test_no_entries() -> None:
    value, slopes, unfit = sum_entries((torch.zeros(0),) * 10, DEFAULT)
    assert value.shape == unfit.shape == (0,)
    assert [slope.shape for slope in slopes] == [(0,)] * 6


def test_nodes_sum_to_the_likelihood(kind) -> None:
    parts = draw(kind, 1000)
    setting = BootstrapSetting(*kind)
    value, _, unfit = sum_entries(parts, setting)
    nodes, left = place_nodes(parts, setting)
    prior = ZINB(*(part[nodes.entry].double() for part in parts[:3]), validate_args=False)
    terms = prior.log_prob(nodes.u.double()) + nodes.log_likelihood + nodes.weight.log()
    total = torch.zeros(1000, dtype=torch.float64)
    total = total.index_add(0, nodes.entry, (terms - value[nodes.entry]).exp())
    some = torch.ones(1000, dtype=torch.bool)
    some[unfit] = False
    some[left] = False
    assert some.sum() > 990
    # The sums have other nodes, fewer and not as far out.
    error = (total[some] - 1).abs()
    assert error.quantile(0.99) < 5e-3
    assert error.max() < 0.1


def test_the_stamp_tells_sources_apart(tmp_path) -> None:
    class Module:
        pass

    stamps = []
    for text in ("one", "two"):
        module = Module()
        module.__file__ = str(tmp_path / f"{text}.py")
        (tmp_path / f"{text}.py").write_text(text)
        stamps.append(native_driver.stamp_of([module]))
    assert stamps[0] != stamps[1]
    assert native_driver.stamp_of([module]) == stamps[1]
