"""Sums over counts of tensors: any order, number, memory layout and number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from exvae import data, models
from exvae.data import compiled_loops
from exvae.models.bootstrap_sum import driver
from exvae.models.bootstrap_sum.summand import Rules
from exvae.models.distributions.negative_binomial import log_negative_binomial

RULES = [Rules(shared, relative) for shared in (False, True) for relative in (False, True)]
every_rule = pytest.mark.parametrize("rules", RULES, ids=str)


@pytest.fixture
def threads() -> Iterator[None]:
    """Restore the number of threads."""
    number = torch.get_num_threads()
    yield
    torch.set_num_threads(number)


def draw(number: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    """Draw parameters and statistics; a third of the entries has no read."""
    torch.manual_seed(0)
    uniform = torch.rand(8, number, dtype=dtype)
    mean = (uniform[0] * 12 - 3).exp()
    dispersion = (uniform[1] * 6 - 2).exp()
    scale = (uniform[3] * 5 - 2).exp()
    positives = (uniform[5] * 12 - 4).clamp(min=0).round()
    centre = (mean * 4 * uniform[6] ** 2) * (positives > 0)
    squares = scale**2 * (positives - 1).clamp(min=0) * 2 * uniform[7]
    logits = uniform[2] * 6 - 4, uniform[4] * 6 - 4
    return mean, dispersion, logits[0], scale, logits[1], 8 - positives, positives, centre, squares


def value_and_slopes(parts: tuple[Tensor, ...], rules: Rules) -> Tensor:
    """Values, then slopes, a row for each."""
    leaves = [part.clone().requires_grad_() for part in parts[:5]]
    value = driver.log_likelihood((*leaves, *parts[5:]), rules)
    slopes = torch.autograd.grad(value.sum(), leaves)
    return torch.stack([value.detach(), *slopes])


@every_rule
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_entries_do_not_touch_each_other(rules: Rules, dtype: torch.dtype) -> None:
    number = 1100
    parts = draw(number, dtype)
    together = value_and_slopes(parts, rules)
    order = torch.randperm(number)
    assert torch.equal(value_and_slopes(tuple(p[order] for p in parts), rules), together[:, order])
    for size in (1, 2, 40):
        few = slice(100, 100 + size)
        assert torch.equal(value_and_slopes(tuple(p[few] for p in parts), rules), together[:, few])


def test_no_entries() -> None:
    parts = tuple(torch.zeros(0, 3) for _ in range(9))
    assert driver.log_likelihood(parts, RULES[0]).shape == (0, 3)


def test_threads_change_nothing(threads) -> None:
    parts = draw(2 * compiled_loops._CHUNK + 4321)
    results = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        results.append(value_and_slopes(parts, RULES[3]))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_memory_layout_changes_nothing() -> None:
    parts = draw(600)
    wide = torch.stack([part.view(20, 30).T for part in parts], -1)
    strided = value_and_slopes(wide.unbind(-1), RULES[0])
    expected = value_and_slopes(parts, RULES[0]).view(6, 20, 30).transpose(1, 2)
    assert torch.equal(strided, expected)


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 7, 8])
def test_impossible_numbers_have_no_value(place: int) -> None:
    """Without validation of arguments; neighbours have theirs."""
    parts = draw(50)
    expected = value_and_slopes(parts, RULES[1])
    parts[place][20] = torch.nan
    found = value_and_slopes(parts, RULES[1])
    assert found[0, 20].isnan()
    # Dropout of bootstraps adds to the value, and has a slope of its own.
    own = slice(5, 6) if place == 4 else slice(1, 5)
    assert found[own, 20].isnan().all()
    others = torch.arange(50) != 20
    assert torch.equal(found[:, others], expected[:, others])
    with pytest.raises(ValueError, match="not finite"):
        driver.place_nodes(parts, RULES[1], share=1.0)


@every_rule
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_nodes_sum_to_the_likelihood(rules: Rules, share: float) -> None:
    parts = draw(700, torch.float64)
    mean, dispersion, dropout, scale, logits, zeros, m, centre, squares = parts
    nodes = driver.place_nodes(parts, rules, share=share)
    assert torch.equal(nodes.u[:700], torch.zeros_like(mean))
    single = nodes.width == 1
    assert torch.equal(nodes.u[single], nodes.u[single].round())
    chosen = (part[nodes.entry[single]] for part in (mean, dispersion))
    expected = log_negative_binomial(nodes.u[single], *chosen)
    torch.testing.assert_close(nodes.log_mass[single], expected, rtol=0, atol=4e-5)
    mass = nodes.width * nodes.log_mass.exp() * torch.sigmoid(-dropout)[nodes.entry]
    mass[:700] += torch.sigmoid(dropout)
    total = torch.zeros_like(mean).index_add(0, nodes.entry, mass * nodes.log_density.exp())
    precision_left = 1 / (1 + m) if rules.shared else torch.ones_like(m)
    constant = 0.5 * precision_left.log() - 0.5 * m * (2 * torch.pi * scale**2).log()
    constant = constant - (0 if rules.relative else 0.5 * squares / scale**2)
    constant = constant + zeros * -torch.nn.functional.softplus(-logits)
    constant = constant + m * -torch.nn.functional.softplus(logits)
    value = driver.log_likelihood(parts, rules)
    counted = (m > 0) & (total > 1e-200)
    assert counted.sum() > 300
    found = total.log() + constant
    torch.testing.assert_close(found[counted], value[counted], rtol=1e-6, atol=1e-4)


def test_all_that_is_compiled_is_in_the_stamp() -> None:
    """Compiled functions change with every module of theirs."""
    folders = models.__path__[0], data.__path__[0]
    sources = {module.__name__.rpartition(".")[2] for module in driver._SOURCES}
    for module in driver._SOURCES:
        assert module.__file__.startswith(folders)
        for value in vars(module).values():
            function = getattr(value, "py_func", None)
            name = function.__module__ if function else getattr(value, "__name__", "exvae.")
            if name.startswith(("exvae.models.bootstrap_sum.", "exvae.data.")):
                assert name.rpartition(".")[2] in sources
