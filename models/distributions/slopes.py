"""Slopes that can be differentiated again, of functions whose compiled slopes cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def differentiable_slopes(
    function: Callable[..., Tensor], parts: Sequence[Tensor], cotangent: Tensor
) -> tuple[Tensor | None, ...]:
    """Differentiate a function in each of its arguments, the others being held.

    Parameters
    ----------
    function
        A function in plain torch.
    parts
        Its arguments, which may depend on each other.
    cotangent
        Weights of its values.

    Returns
    -------
    tuple
        A slope for each argument, None for those that need none.
    """
    # As views, of which none is made from another.
    own = [part.view_as(part) for part in parts]
    wanted = [part for part in own if part.requires_grad]
    slopes = iter(torch.autograd.grad(function(*own), wanted, cotangent, create_graph=True))
    return tuple(next(slopes) if part.requires_grad else None for part in own)
