"""Compiled sums over counts agree with the adaptive quadrature, entry by entry, on any threads."""

from __future__ import annotations

import types
from collections.abc import Iterator
from types import ModuleType
from typing import NamedTuple

import numba
import pytest
import torch
from torch import Tensor

from exvae.data.bootstraps import BootstrapSummary
from exvae.models import native_driver
from exvae.models.bootstrap_likelihood import BootstrapParameters, BootstrapSetting
from exvae.models.distributions.negative_binomial import ZINB
from exvae.models.marginal import marginal_log_prob
from exvae.models.native_driver import place_nodes, sum_entries

# One entry: mean, inverse dispersion, dropout logit, noise scale, logit of pi, nu.
PARAMETERS = (4.0, 2.5, -1.2, 0.9, -2.0, 5.0)
# Zeros, positives, mean and sum of squares of bootstraps.
SUMMARIES = {"mixed": (3, 5, 4.2, 6.0), "zeros": (8, 0, 0.0, 0.0), "none": (0, 8, 4.2, 6.0)}
FIELDS = (*BootstrapParameters._fields, "zeros", "positives", "bootstrap_mean", "sum_of_squares")


class Sums(NamedTuple):
    """Values, shape (entries,), slopes, (parameters, entries), and positions of unfit entries."""

    values: Tensor
    slopes: Tensor
    unfit: Tensor

    @property
    def fit(self) -> Tensor:
        """Which entries were summed, shape (entries,)."""
        fit = torch.ones(len(self.values), dtype=torch.bool)
        fit[self.unfit] = False
        return fit

    def all(self) -> Tensor:
        """Values and slopes of the entries that were summed."""
        return torch.cat([self.values.unsqueeze(0), self.slopes])[:, self.fit]


def summed(parts: tuple[Tensor, ...], kind) -> Sums:
    values, slopes, unfit = sum_entries(parts, BootstrapSetting(*kind))
    return Sums(values, torch.stack(slopes), unfit)


def adaptive(parts: tuple[Tensor, ...], kind) -> tuple[Tensor, Tensor]:
    """Sum by adaptive quadrature in float64."""
    leaves = [part.double().requires_grad_() for part in parts[:6]]
    summary = BootstrapSummary(*(part.double() for part in parts[6:]))
    values = marginal_log_prob(BootstrapParameters(*leaves), summary, BootstrapSetting(*kind))
    slopes = torch.autograd.grad(values.sum(), leaves, materialize_grads=True)
    return values.detach(), torch.stack(slopes)


def entries(*rows: dict[str, float], bootstraps: str = "mixed") -> tuple[Tensor, ...]:
    """Entries that differ from the example by what the rows say, a column for each."""
    example = dict(zip(FIELDS, PARAMETERS + SUMMARIES[bootstraps], strict=True))
    columns = zip(*((example | row).values() for row in rows), strict=True)
    return tuple(torch.tensor(column, dtype=torch.float32) for column in columns)


def select(parts: tuple[Tensor, ...], chosen: Tensor | slice) -> tuple[Tensor, ...]:
    return tuple(part[chosen] for part in parts)


@pytest.fixture
def some_kinds(brute_force) -> list:
    """Give a kind of each shape of the tables, and one without."""
    return [
        brute_force.Kind("shared", "rectified", "adaptive"),
        brute_force.Kind("independent", "rectified", "relative"),
        brute_force.Kind("shared", "atom", "absolute"),
    ]


@pytest.fixture
def threads() -> Iterator[None]:
    """Let a test change the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_values_and_slopes(typical_entries, brute_force, kind) -> None:
    parts = typical_entries.draw(brute_force, kind, 200)
    zeros, positives = parts[6], parts[7]
    for own in ((zeros > 0) & (positives > 0), zeros == 0, positives == 0):
        assert own.sum() > 30
    sums = summed(parts, kind)
    # What is left to the adaptive quadrature takes a hundred times as long.
    assert len(sums.unfit) < 15
    values, slopes = adaptive(parts, kind)
    fit = sums.fit
    torch.testing.assert_close(sums.values[fit].double(), values[fit], rtol=1e-6, atol=1e-2)
    # Per factor of e of positive parameters; of what is large, as a share of it.
    unit = torch.stack(parts[:6]).double()
    unit[[2, 4]] = 1.0
    actual, expected = (sums.slopes.double() * unit)[:, fit], (slopes * unit)[:, fit]
    torch.testing.assert_close(actual, expected, rtol=3e-2, atol=3e-2)


def test_an_entry_does_not_depend_on_the_others(typical_entries, brute_force, kind) -> None:
    parts = typical_entries.draw(brute_force, kind, 300)
    together = summed(parts, kind)
    order = torch.randperm(300)
    permuted = summed(select(parts, order), kind)
    assert torch.equal(permuted.fit, together.fit[order])
    back = order.argsort()[together.fit]
    assert torch.equal(permuted.values[back], together.values[together.fit])
    assert torch.equal(permuted.slopes[:, back], together.slopes[:, together.fit])
    for few in (slice(0, 1), slice(17, 20), slice(130, 300)):
        alone = summed(select(parts, few), kind)
        assert torch.equal(alone.fit, together.fit[few])
        fit = alone.fit
        assert torch.equal(alone.values[fit], together.values[few][fit])
        assert torch.equal(alone.slopes[:, fit], together.slopes[:, few][:, fit])


def test_threads_and_chunks_change_nothing(
    typical_entries, brute_force, some_kinds, threads
) -> None:
    for kind in some_kinds:
        few = typical_entries.draw(brute_force, kind, 500)
        number = 2 * native_driver._CHUNK + 4321
        chosen = torch.randint(500, (number,))
        parts = select(few, chosen)
        expected = summed(few, kind)
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            sums = summed(parts, kind)
            fit = expected.fit[chosen]
            assert torch.equal(sums.fit, fit)
            assert torch.equal(sums.values[fit], expected.values[chosen][fit])
            assert torch.equal(sums.slopes[:, fit], expected.slopes[:, chosen][:, fit])


@pytest.mark.parametrize(
    "outside",
    [
        {"bootstrap_dropout_logits": 30.0},
        {"bootstrap_dropout_logits": -18.5},
        {"noise_concentration": 300.0},
        {"noise_concentration": 0.3},
        {"zeros": 300.0},
        {"positives": 300.0},
        {"zeros": 2.5},
        {"positives": 5.5},
    ],
    ids=lambda outside: "-".join(f"{name}-{value}" for name, value in outside.items()),
)
def test_entries_outside_the_tables_are_unfit(kind, outside: dict[str, float]) -> None:
    parts = entries({}, outside, {})
    sums = summed(parts, kind)
    needs_tables = kind.zeros == "rectified" and (
        kind.noise == "adaptive" or "noise_concentration" not in outside
    )
    assert sums.unfit.tolist() == ([1] if needs_tables else [])
    values, _ = adaptive(parts, kind)
    torch.testing.assert_close(sums.values[sums.fit].double(), values[sums.fit], rtol=0, atol=1e-2)


def test_without_a_zero_no_tables_are_needed(kind) -> None:
    outside = [
        {"bootstrap_dropout_logits": 30.0},
        {"noise_concentration": 300.0},
        {"positives": 300.0, "sum_of_squares": 260.0},
        {"positives": 5.5},
    ]
    parts = entries(*outside, bootstraps="none")
    sums = summed(parts, kind)
    assert len(sums.unfit) == 0
    values, _ = adaptive(parts, kind)
    torch.testing.assert_close(sums.values.double(), values, rtol=1e-5, atol=1e-2)


def test_numbers_of_bootstraps_may_differ(kind) -> None:
    numbers = ((0, 1), (1, 1), (2, 0), (0, 5), (9, 1), (1, 9), (60, 40))
    parts = entries(
        *(
            {
                "zeros": zeros,
                "positives": positives,
                "bootstrap_mean": 3.1 if positives else 0.0,
                "sum_of_squares": 1.1 * (positives - 1) if positives else 0.0,
            }
            for zeros, positives in numbers
        )
    )
    sums = summed(parts, kind)
    assert len(sums.unfit) == 0
    values, slopes = adaptive(parts, kind)
    torch.testing.assert_close(sums.values.double(), values, rtol=0, atol=1e-2)
    torch.testing.assert_close(sums.slopes.double(), slopes, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("bootstraps", SUMMARIES)
def test_what_is_no_number_is_unfit_and_disturbs_nobody(kind, bootstraps: str) -> None:
    expected = summed(entries({}, bootstraps=bootstraps), kind)
    assert len(expected.unfit) == 0
    for index, name in enumerate(FIELDS):
        for value in (float("nan"), float("inf")):
            parts = entries({}, {}, {}, bootstraps=bootstraps)
            parts[index][1] = value
            sums = summed(parts, kind)
            assert set(sums.unfit.tolist()) <= {1}, name
            for neighbour in (0, 2):
                assert torch.equal(sums.values[neighbour], expected.values[0])
                assert torch.equal(sums.slopes[:, neighbour], expected.slopes[:, 0])
            if name == "noise_concentration" and kind.noise != "adaptive":
                continue  # it is not used
            if value != value:
                told = 1 in sums.unfit or bool(sums.values[1].isnan())
                assert told, name


@pytest.mark.parametrize(
    ("zeros", "parameters", "statistics"),
    [
        ("atom", (0.004073, 0.01575, 5.15, 0.07444, -4.192, 29.55), (45, 1, 89.65, 0)),
        ("rectified", (0.573, 0.02334, 6.123, 0.2144, 3.312, 4.805), (0, 2, 6172, 58.69)),
    ],
)
def test_a_second_peak_on_the_way_to_the_prior(
    brute_force, zeros: str, parameters: tuple[float, ...], statistics: tuple[float, ...]
) -> None:
    """Windows around the other peak alone lost 5.4 and 0.16 nats."""
    kind = brute_force.Kind("independent", zeros, "adaptive")
    expected = brute_force.log_prob(
        brute_force.Parameters(*parameters), brute_force.Summary(*statistics), kind
    )
    parts = tuple(torch.tensor([float(number)]) for number in (*parameters, *statistics))
    value = marginal_log_prob(
        BootstrapParameters(*parts[:6]), BootstrapSummary(*parts[6:]), BootstrapSetting(*kind)
    )
    assert value.item() == pytest.approx(expected, rel=0, abs=1e-2)


def test_no_entries(kind) -> None:
    sums = summed(tuple(torch.empty(0) for _ in FIELDS), kind)
    assert (sums.values.shape, sums.slopes.shape) == ((0,), (6, 0))
    assert len(sums.unfit) == 0


def test_inputs_may_be_views_and_stay_as_they_are(typical_entries, brute_force, some_kinds) -> None:
    for kind in some_kinds:
        parts = typical_entries.draw(brute_force, kind, 40)
        wide = torch.stack(parts, 1)
        before = wide.clone()
        sums = summed(tuple(wide.unbind(1)), kind)
        assert torch.equal(wide, before)
        assert torch.equal(sums.all(), summed(parts, kind).all())


def test_nodes_sum_to_the_likelihood(typical_entries, brute_force, kind) -> None:
    number = 1000
    parts = typical_entries.draw(brute_force, kind, number)
    sums = summed(parts, kind)
    nodes, left = place_nodes(parts, BootstrapSetting(*kind))
    prior = ZINB(*(part[nodes.entry].double() for part in parts[:3]), validate_args=False)
    terms = prior.log_prob(nodes.u.double()) + nodes.log_likelihood + nodes.weight.log()
    terms = (terms - sums.values[nodes.entry]).exp()
    total = torch.zeros(number, dtype=torch.float64).index_add(0, nodes.entry, terms)
    some = sums.fit
    some[left] = False
    assert some.sum() > 0.95 * number
    # The sums have other nodes, fewer and not as far out.
    error = (total[some] - 1).abs()
    assert error.quantile(0.99) < 5e-3
    assert error.max() < 0.1


def test_the_stamp_is_that_of_the_sources(tmp_path) -> None:
    modules = []
    for name in ("one", "other"):
        module = types.ModuleType(name)
        module.__file__ = str(tmp_path / f"{name}.py")
        (tmp_path / f"{name}.py").write_text(f"x = '{name}'\n")
        modules.append(module)
    stamp = native_driver.stamp_of(modules)
    assert native_driver.stamp_of(modules) == stamp
    (tmp_path / "other.py").write_text("x = 'changed'\n")
    assert native_driver.stamp_of(modules) != stamp


def test_all_that_is_compiled_is_in_the_stamp() -> None:
    """Compiled functions of the package, and modules whose constants these use."""

    def used_by(module: ModuleType) -> set[str]:
        names = set()
        for value in vars(module).values():
            if isinstance(value, numba.core.registry.CPUDispatcher):
                names.add(value.py_func.__module__)
            elif isinstance(value, ModuleType) and value.__name__.startswith("exvae.models"):
                names.add(value.__name__)
        return {name for name in names if name.startswith("exvae.")}

    sources = {module.__name__ for module in native_driver.SOURCES}
    found = set().union(*(used_by(module) for module in native_driver.SOURCES))
    assert {"exvae.models.float32_math", "exvae.models.zero_surface"} < found
    assert found <= sources
