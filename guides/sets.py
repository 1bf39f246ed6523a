"""Permutation-invariant encoder of sets, used by every exchangeable guide.

A datapoint is a set X = {x_1, ..., x_n} of any size n >= 1. The encoder is::

    Phi(X) = h(norm(g(f(x_1), ..., f(x_n))), log n)

with an element network f, a symmetric pooling g and a readout network h; layer normalisation keeps
h's input in range whatever the size of a set, which a sum needs (Chan, Spence & Song,
"Exchangeable Variational Autoencoders with Applications to Genomic Data", section 3; Zaheer et al.,
"Deep Sets", 2017). Sets come flat with offsets, padded with a mask, or, for one-hot elements such
as words, as indices into a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.arguments import chosen


def multilayer_perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given sizes with softplus between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.Softplus()]
    return nn.Sequential(*layers[:-1])


def pool(table: Tensor, rows: Tensor, offsets: Tensor, mode: str) -> Tensor:
    """Pool rows of a table over sets without storing one row for each element.

    Parameters
    ----------
    table
        Element features, shape (entries, features).
    rows
        The row of the table for each element of each set, shape (elements,), int64.
    offsets
        Set s consists of ``rows[offsets[s]:offsets[s + 1]]``, shape (sets + 1,), int64.
    mode
        ``sum``, ``mean`` or ``max``.

    Returns
    -------
    Tensor
        Shape (sets, features).
    """
    return functional.embedding_bag(rows, table, offsets, mode=mode, include_last_offset=True)


class Pooling(nn.Module):
    """A symmetric function g of the elements of a set; subclass it to add your own.

    Parameters
    ----------
    size
        Features of an element.

    Attributes
    ----------
    output_size
        Features of the result; ``size`` unless a subclass changes it.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.output_size = size

    def forward(self, table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        """Pool sets, arguments as for :func:`pool`; shape (sets, output_size)."""
        raise NotImplementedError


class _Reduction(Pooling):
    """Sum, mean or largest value of each feature."""

    mode: str

    def forward(self, table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        """Pool sets, arguments as for :func:`pool`; shape (sets, size)."""
        return pool(table, rows, offsets, self.mode)


class SumPooling(_Reduction):
    """Sum of the elements."""

    mode = "sum"


class MeanPooling(_Reduction):
    """Mean of the elements."""

    mode = "mean"


class MaxPooling(_Reduction):
    """Largest value of each feature."""

    mode = "max"


class MomentsPooling(Pooling):
    """Mean and standard deviation of the elements, side by side."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.output_size = 2 * size

    def forward(self, table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        """Pool sets, arguments as for :func:`pool`; shape (sets, output_size)."""
        # Centring keeps the difference of squares exact if all elements are alike.
        centre = table.detach().mean(0)
        mean = pool(table - centre, rows, offsets, "mean")
        squares = pool((table - centre).square(), rows, offsets, "mean")
        # The square root has an infinite slope at zero, the variance of a set of one element.
        variance = (squares - mean.square()).clamp(min=0.0) + torch.finfo(table.dtype).eps
        return torch.cat([mean + centre, variance.sqrt()], -1)


POOLINGS = {
    "sum": SumPooling,
    "mean": MeanPooling,
    "max": MaxPooling,
    "moments": MomentsPooling,
}


class SetEncoder(nn.Module):
    """Phi, a network on sets of any size that does not depend on the order of the elements.

    Parameters
    ----------
    input_size
        Features of an element; for one-hot elements the size of the vocabulary.
    output_size
        Features of the result.
    element_sizes
        Sizes of the layers of f after the input.
    readout_sizes
        Sizes of the hidden layers of h.
    pooling
        g, a name in :data:`POOLINGS` or a class of your own.

    Examples
    --------
    >>> encoder = SetEncoder(input_size=3, output_size=2)
    >>> encoder(torch.randn(7, 3), torch.tensor([0, 4, 7])).shape
    torch.Size([2, 2])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        element_sizes: Sequence[int] = (64, 64),
        readout_sizes: Sequence[int] = (64,),
        pooling: str | type[Pooling] = "mean",
    ) -> None:
        super().__init__()
        self.element = multilayer_perceptron([input_size, *element_sizes])
        self.pooling = chosen(pooling, POOLINGS, "pooling")(element_sizes[-1])
        pooled_size = self.pooling.output_size
        self.normalise = nn.LayerNorm(pooled_size)
        self.readout = multilayer_perceptron([pooled_size + 1, *readout_sizes, output_size])

    def forward(self, elements: Tensor, offsets: Tensor) -> Tensor:
        """Encode sets whose elements lie one after another.

        Parameters
        ----------
        elements
            Shape (elements, input_size).
        offsets
            Set s is ``elements[offsets[s]:offsets[s + 1]]``, shape (sets + 1,), int64; no set may
            be empty.

        Returns
        -------
        Tensor
            Shape (sets, output_size).

        Raises
        ------
        ValueError
            If a set is empty.
        """
        rows = torch.arange(len(elements), device=elements.device)
        return self._read_out(self.element(elements), rows, offsets)

    @property
    def reads_means(self) -> bool:
        """Whether the mean of a set's elements is all that counts: f is linear, and g the mean."""
        is_linear = len(self.element) == 1 and isinstance(self.element[0], nn.Linear)
        return is_linear and type(self.pooling) is MeanPooling

    def forward_means(self, means: Tensor, sizes: Tensor) -> Tensor:
        """Encode sets of which the means are known, equal to ``forward`` if :attr:`reads_means`.

        f is evaluated once for each set, whatever its size.

        Parameters
        ----------
        means
            Mean of the elements of each set, shape (sets, input_size).
        sizes
            Their numbers, shape (sets,), int64; no set may be empty.

        Returns
        -------
        Tensor
            Shape (sets, output_size).

        Raises
        ------
        ValueError
            If a set is empty.
        """
        _require_elements(sizes)
        return self._read_out_pooled(self.element(means), sizes)

    def forward_padded(self, elements: Tensor, mask: Tensor) -> Tensor:
        """Encode sets padded to one length.

        Parameters
        ----------
        elements
            Shape (sets, length, input_size); the padding may hold any values.
        mask
            True where an element is real, shape (sets, length).

        Returns
        -------
        Tensor
            Shape (sets, output_size).

        Raises
        ------
        ValueError
            If a set is empty.
        """
        offsets = functional.pad(mask.sum(-1).cumsum(0), (1, 0))
        return self(elements[mask], offsets)

    def forward_one_hot(self, words: Tensor, offsets: Tensor) -> Tensor:
        """Encode sets of one-hot elements, equal to ``forward(one_hot(words), offsets)``.

        f is evaluated once for each entry of the vocabulary, or once for each distinct word if
        there are fewer words than entries, so the cost of f does not grow with the sets.

        Parameters
        ----------
        words
            Indices of the elements, shape (elements,), int64, below ``input_size``.
        offsets
            As in :meth:`forward`.

        Returns
        -------
        Tensor
            Shape (sets, output_size).

        Raises
        ------
        ValueError
            If a set is empty.
        """
        table_of_first_layer = self.element[0].weight.T
        if len(words) < len(table_of_first_layer):
            distinct, words = words.unique(return_inverse=True)
            table_of_first_layer = table_of_first_layer[distinct]
        # Contiguous rows, as pooling reads them many times.
        table = self.element[1:]((table_of_first_layer + self.element[0].bias).contiguous())
        return self._read_out(table, words, offsets)

    def _read_out(self, table: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
        sizes = offsets.diff()
        _require_elements(sizes)
        pooled = self.pooling(table, rows, offsets)
        wanted = (len(sizes), self.pooling.output_size)
        if pooled.shape != wanted:
            raise ValueError(
                f"{type(self.pooling).__name__} pools {len(sizes)} sets to shape "
                f"{tuple(pooled.shape)}, not to (sets, output_size) = {wanted}"
            )
        return self._read_out_pooled(pooled, sizes)

    def _read_out_pooled(self, pooled: Tensor, sizes: Tensor) -> Tensor:
        log_sizes = sizes.to(pooled.dtype).log()
        return self.readout(torch.cat([self.normalise(pooled), log_sizes.unsqueeze(-1)], -1))


def _require_elements(sizes: Tensor) -> None:
    if (sizes < 1).any():
        raise ValueError("a set is empty; every set needs at least one element")
