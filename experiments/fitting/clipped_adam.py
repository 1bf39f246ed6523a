"""Pyro's Adam with clipped gradients in one pass over each parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from pyro.optim import clipped_adam
from torch import Tensor, nn

from ...data.compiled_loops import spread

# Values of a parameter that a thread moves at a time.
_TOGETHER = 1 << 17


class ClippedAdam(clipped_adam.ClippedAdam):
    """The optimiser of ``pyro.optim.ClippedAdam``, up to rounding.

    On the CPU it takes the time of one pass over a parameter, its gradient and its two averages
    instead of eight. A step leaves no gradients behind, as otherwise ``SVI`` would fill them with
    zeros and the next step would add to these. A parameter that a step does not use stays still.
    """

    def step(self, closure: Callable | None = None) -> Any | None:
        """Take a step; gradients are gone thereafter."""
        loss = None
        if closure is None and all(map(self._suits, self.param_groups)):
            for group in self.param_groups:
                group["lr"] *= group["lrd"]
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, group)
        else:
            loss = super().step(closure)
        self.zero_grad(set_to_none=True)
        return loss

    @staticmethod
    def _suits(group: dict[str, Any]) -> bool:
        """Whether the compiled loop knows the options and can see the parameters of a group."""
        plain = not group["weight_decay"] and not group["centered_variance"]
        return plain and all(map(_is_plain, group["params"]))

    def _move(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            averages = (torch.zeros_like(parameter) for _ in range(2))
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = averages
        state["step"] += 1
        corrections = [1 - beta ** state["step"] for beta in group["betas"]]
        size = group["lr"] * math.sqrt(corrections[1]) / corrections[0]
        numbers = size, *group["betas"], group["eps"], group["clip_norm"]
        tensors = parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"]
        arrays = [own.detach().view(-1).numpy() for own in tensors]
        loop, numbers = _compiled(), [np.float32(own) for own in numbers]
        spread(
            lambda own: loop(*(array[own] for array in arrays), *numbers),
            parameter.numel(),
            _TOGETHER,
        )


def _is_plain(parameter: Tensor) -> bool:
    grad = parameter.grad
    is_plain = parameter.is_cpu and parameter.dtype == torch.float32 and parameter.is_contiguous()
    return is_plain and (grad is None or (not grad.is_sparse and grad.is_contiguous()))


@cache
def _compiled() -> Callable[..., None]:
    """Compile the loop, or load what was compiled before."""
    from ...data.compiled_functions import OPTIONS, njit  # loads numba

    @njit(cache=True, **OPTIONS)
    def move(values, grads, averages, squares, size, beta, square_beta, least, clip):
        one = np.float32(1)
        for i in range(len(values)):
            grad = grads[i]
            # A gradient that is no number stays so, which ends the training.
            grad = clip if grad > clip else (-clip if grad < -clip else grad)
            averages[i] = beta * averages[i] + (one - beta) * grad
            squares[i] = square_beta * squares[i] + (one - square_beta) * (grad * grad)
            values[i] -= size * averages[i] / (np.sqrt(squares[i]) + least)

    return move
