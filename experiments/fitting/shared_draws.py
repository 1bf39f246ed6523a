"""Random draws of a share of a minibatch, equal to those of one process for all of it.

Every process draws for the whole minibatch from a generator in the same state, and takes its own.
Draws by rejection, such as of a gamma, take more or fewer numbers from the generator as their
parameters want. Those of the other processes are therefore gathered first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ...data import shares

# Operators that take as many random numbers as their parameters want.
_BY_REJECTION = ("_standard_gamma", "_sample_dirichlet", "poisson", "binomial", "multinomial")


class Rows(NamedTuple):
    """Where the datapoints of a process, or their elements, are in a minibatch.

    Attributes
    ----------
    start, number
        The first here, and how many there are here.
    total
        How many there are in the minibatch.
    """

    start: int
    number: int
    total: int


class SharedDraws(TorchDispatchMode):
    """Within the block torch draws what one process would for the rows here.

    Parameters
    ----------
    rows
        The rows here.
    axis
        Dimension of the draws that holds the rows; draws of other sizes are common to all rows.
    gather
        Gathers the parameters of all rows along a dimension.
    """

    def __init__(self, rows: Rows, axis: int, gather: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.rows, self.axis, self.gather = rows, axis, gather

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        shapes = [own.shape if isinstance(own, Tensor) else own for own in args]
        if not any(self._has_rows(shape) for shape in shapes):
            return func(*args, **kwargs)
        drawn = func(*[self._whole(func, own) for own in args], **kwargs)
        if func is torch.ops.aten.native_dropout.default:  # values, and what is kept
            kept = self._here(drawn[1])
            return args[0] * kept / (1 - args[1]), kept
        if func._schema.is_mutable:
            return args[0].copy_(self._here(drawn))
        return self._here(drawn)

    def _has_rows(self, shape: Any) -> bool:
        """Whether a shape, or any other argument, has the rows here in its dimension."""
        return (
            isinstance(shape, list | tuple)
            and len(shape) > self.axis
            and shape[self.axis] == self.rows.number
        )

    def _whole(self, func: Any, own: Any) -> Any:
        """Turn an argument for the rows here into one for all."""
        shape = own.shape if isinstance(own, Tensor) else own
        if not self._has_rows(shape):
            return own
        whole = [*shape[: self.axis], self.rows.total, *shape[self.axis + 1 :]]
        if not isinstance(own, Tensor):
            return whole
        if func.overloadpacket.__name__ in _BY_REJECTION:
            return self.gather(own, self.axis)
        if func._schema.is_mutable:
            return own.new_empty(whole)
        # The parameters of the others change none of the draws here.
        filled = own.new_ones(whole)
        self._here(filled).copy_(own)
        return filled

    def _here(self, drawn: Tensor) -> Tensor:
        return drawn.narrow(self.axis, self.rows.start, self.rows.number)


class SharedSites(Messenger):
    """Draws latent variables of datapoints as one process would.

    Parameters
    ----------
    number
        Datapoints here.
    datapoints
        All datapoints that are trained on, the size of their plate.
    """

    def __init__(self, number: int, datapoints: int) -> None:
        super().__init__()
        self.number, self.datapoints = number, datapoints

    def _pyro_sample(self, message: dict[str, Any]) -> None:
        if message["is_observed"] or message["value"] is not None or site_is_subsample(message):
            return
        for frame in message["cond_indep_stack"]:
            if (frame.size, frame.full_size) == (self.number, self.datapoints) and frame.vectorized:
                axis = len(message["fn"].batch_shape) + frame.dim
                with shares.drawing(axis):
                    message["value"] = message["fn"](*message["args"], **message["kwargs"])
                return
