"""Default optimizer of all models."""

from __future__ import annotations

from numbers import Real
from typing import Any

from pyro.optim import PyroOptim
from torch import nn

from ...models.base import UniquelyNamedModule
from .clipped_adam import ClippedAdam


def optimizer(model: nn.Module, guide: nn.Module, learning_rate: float) -> PyroOptim:
    """Make the optimizer of :class:`~.training.Trainer`: Adam with clipped gradients.

    Parameters
    ----------
    model, guide
        A module's ``learning_rate_factor`` gives the learning-rate multiplier of each parameter;
        it is 5 for per-isoform parameters of cell models.
    learning_rate
        Learning rate of parameters with multiplier 1.

    Raises
    ------
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> import exvae
    >>> from pyro.infer import SVI, TraceMeanField_ELBO
    >>> data, model, guide = exvae.prepare("cells.h5ad")
    >>> svi = SVI(model, guide, exvae.optimizer(model, guide, 5e-3), TraceMeanField_ELBO())
    """
    if not (isinstance(model, nn.Module) and isinstance(guide, nn.Module)):
        raise TypeError("model or guide is no module; give optimizer(model, guide, learning_rate)")
    if not isinstance(learning_rate, Real):
        raise TypeError(
            f"learning_rate is {learning_rate!r}, no number; give optimizer(model, guide, "
            "learning_rate)"
        )

    def options(parameter: str) -> dict[str, float]:
        for module in (model, guide):
            root = root_of(module)
            if root and parameter.startswith(root):
                factor = module.learning_rate_factor(parameter.removeprefix(root))
                return {"lr": learning_rate * factor}
        return {"lr": learning_rate}

    return PyroOptim(ClippedAdam, options)


def with_rates_scaled(
    states: dict[str, dict[str, Any]], factor: float
) -> dict[str, dict[str, Any]]:
    """Multiply the learning rates in states of optimisers, which are given by parameter."""
    return {
        name: {
            **state,
            "param_groups": [
                {**group, "lr": factor * group["lr"]} for group in state["param_groups"]
            ],
        }
        for name, state in states.items()
    }


def root_of(module: nn.Module) -> str:
    """Prefix, with its dot, of a uniquely named module's parameters; empty for other modules."""
    return f"{module.root_name}." if isinstance(module, UniquelyNamedModule) else ""
