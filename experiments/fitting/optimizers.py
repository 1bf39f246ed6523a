"""The optimizer of all models."""

from __future__ import annotations

from pyro.optim import ClippedAdam, PyroOptim
from torch import nn

from ...models.base import UniquelyNamedModule


def optimizer(model: nn.Module, guide: nn.Module, learning_rate: float) -> PyroOptim:
    """Make the optimizer that :class:`Trainer` uses: Adam, clipped, faster for some parameters.

    Parameters
    ----------
    model, guide
        Parameters learn at the rate times the module's ``learning_rate_factor``, if it has one:
        in models of cells five times as fast where a value belongs to one isoform alone.
    learning_rate
        Learning rate of all others.

    Examples
    --------
    >>> svi = SVI(model, guide, optimizer(model, guide, 5e-3), TraceMeanField_ELBO())
    """

    def options(parameter: str) -> dict[str, float]:
        for module in (model, guide):
            root = root_of(module)
            if root and parameter.startswith(root):
                factor = module.learning_rate_factor(parameter.removeprefix(root))
                return {"lr": learning_rate * factor}
        return {"lr": learning_rate}

    return ClippedAdam(options)


def root_of(module: nn.Module) -> str:
    """First part, with its dot, of a uniquely named module's parameters; empty for others."""
    return f"{module.root_name}." if isinstance(module, UniquelyNamedModule) else ""
