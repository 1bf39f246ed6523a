"""Signs that training diverges, most often because the learning rate is too high."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

# Epochs before a rising loss is judged: early ones vary. Its end is the mean of the last epochs.
_FEWEST_EPOCHS, _SHARE_OF_EPOCHS = 5, 0.2
# A loss that rose by more than this share of its decrease, and of itself, has risen.
_SHARE_OF_DECREASE, _SHARE_OF_LOSS = 0.25, 0.01


def has_nan(modules: Iterable[nn.Module], loose: Mapping[str, Tensor]) -> bool:
    """Whether a parameter is not finite, or a buffer of a module is NaN.

    Parameters
    ----------
    modules
        Modules with parameters and buffers.
    loose
        Further parameters, of Pyro's store, by name.
    """
    parameters = [own for module in modules for own in module.parameters()]
    buffers = [own for module in modules for own in module.buffers()]
    finite = all(bool(own.isfinite().all()) for own in (*parameters, *loose.values()))
    return not finite or any(bool(torch.isnan(own).any()) for own in buffers)


def loss_not_finite(row: Mapping[str, float]) -> str:
    """Name the first loss of a row of metrics that is NaN or infinite; empty if there is none."""
    return next(
        (name for name, value in row.items() if "loss" in name and not math.isfinite(value)), ""
    )


def rise_of_loss(metrics: Sequence[Mapping[str, float]], name: str) -> str:
    """Tell that the loss ended far above its lowest value; empty if it did not.

    Parameters
    ----------
    metrics
        Rows of the metrics, in the order of the epochs.
    name
        Column of the loss.
    """
    losses = [row[name] for row in metrics]
    if len(losses) < _FEWEST_EPOCHS:
        return ""
    ended = losses[-max(2, round(_SHARE_OF_EPOCHS * len(losses))) :]
    lowest, last = min(losses), sum(ended) / len(ended)
    rise = last - lowest
    if rise <= max(_SHARE_OF_DECREASE * (losses[0] - lowest), _SHARE_OF_LOSS * abs(lowest)):
        return ""
    return (
        f"the loss rose from {lowest:.4g} in epoch {losses.index(lowest) + 1} to {last:.4g}: the "
        "learning rate is too high; fit again with a lower one"
    )
