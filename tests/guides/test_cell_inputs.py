"""What encoders read of vectors: the compiled loops against torch, and what is hidden."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from exvae.data import shares
from exvae.guides.cell_inputs import hidden, log1p_at, mean_log1p

# More than fit in a block of the loops, and not a multiple of what one draw of bits hides.
ISOFORMS = 2503


def vectors_of(sizes: list[int]) -> tuple[Tensor, Tensor]:
    """Make sets of vectors of these sizes, some reads tiny, large or missing."""
    vectors = (4 * torch.randn(sum(sizes), ISOFORMS)).exp()
    vectors *= torch.rand_like(vectors) < 0.5
    return vectors, torch.tensor([0, *sizes]).cumsum(0)


@pytest.mark.parametrize("reads", [None, torch.tensor(1e4)])
def test_means_of_logarithms_are_those_of_their_definition(reads: Tensor | None) -> None:
    """Also of more vectors than the loop multiplies before it takes a logarithm."""
    sizes = [3, 1, 40, 16, 17]
    vectors, offsets = vectors_of(sizes)
    vectors[3] = 0.0
    vectors[4] *= 1e12
    values = log1p_at(vectors.double(), reads)
    expected = torch.stack([own.mean(0) for own in values.split(sizes)])
    found = mean_log1p(vectors, offsets, reads)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=2e-7, atol=0)
    torch.testing.assert_close(mean_log1p(vectors.double(), offsets, reads), expected)


def test_rows_that_do_not_lie_together_are_read() -> None:
    vectors, offsets = vectors_of([2, 2])
    apart = torch.stack([vectors, vectors], -1)[..., 0]
    assert not apart.is_contiguous()
    assert torch.equal(mean_log1p(apart, offsets, None), mean_log1p(vectors, offsets, None))


def test_means_have_gradients_where_they_are_wanted() -> None:
    vectors, offsets = vectors_of([2, 3])
    vectors.requires_grad_()
    mean_log1p(vectors, offsets, torch.tensor(100.0)).sum().backward()
    assert vectors.grad.abs().sum() > 0


@pytest.mark.parametrize("share", [0.1, 0.7, 0.9])
def test_values_are_hidden_at_random_and_the_others_grow(share: float) -> None:
    cells = 400
    values = torch.rand(cells, ISOFORMS) + 1
    found = hidden(values.clone(), share)
    kept = found != 0
    torch.testing.assert_close(found[kept], values[kept] / (1 - share))
    # Of independent choices within five standard deviations: all, of each cell, of each isoform.
    for number, dims in ((cells * ISOFORMS, (0, 1)), (ISOFORMS, (1,)), (cells, (0,))):
        deviation = (kept.float().mean(dims) - (1 - share)) / (share * (1 - share) / number) ** 0.5
        assert deviation.abs().max() < 5.5
        if deviation.numel() > 1:
            assert deviation.std() == pytest.approx(1.0, abs=0.2)
    # Neighbours are hidden independently, in a cell and in cells side by side.
    both = kept.float() - (1 - share)
    for one, other in ((both[:, 1:], both[:, :-1]), (both[1:], both[:-1])):
        correlation = (one * other).mean() / (share * (1 - share))
        assert correlation.abs() < 5 / one.numel() ** 0.5


def test_other_draws_hide_other_values() -> None:
    values = torch.ones(3, ISOFORMS)
    torch.manual_seed(1)
    first, second = (hidden(values.clone(), 0.5) for _ in range(2))
    assert not torch.equal(first, second)
    torch.manual_seed(1)
    assert torch.equal(first, hidden(values.clone(), 0.5))


def test_all_can_be_hidden() -> None:
    values = torch.full((3, ISOFORMS), torch.inf)
    assert (hidden(values, 1.0) == 0).all()


def test_the_draws_of_a_cell_are_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that share a minibatch draw those of all cells: one number each."""
    asked = []
    original = torch.randint

    def randint(high: int, size: tuple[int, ...]) -> Tensor:
        asked.append(size)
        return original(high, size)

    monkeypatch.setattr(torch, "randint", randint)
    with shares.drawing():
        hidden(torch.ones(7, ISOFORMS), 0.5)
    assert asked == [(7,)]
