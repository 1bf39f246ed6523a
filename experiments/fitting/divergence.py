"""Signs that training diverges, most often because the learning rate is too high."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

# Epochs before a rising loss is judged, and the part of them whose mean counts.
_FEWEST_EPOCHS, _WINDOW = 5, 5
# Share of its lowest value by which a loss that has risen exceeds it.
_SHARE_OF_LOSS = 0.03
# Share of its lowest value by which a held-out loss that has risen again tells of overfitting.
_OVERFITTING = 0.02


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


def rise_of_losses(metrics: Sequence[Mapping[str, float]], name: str) -> str:
    """Tell that the loss rose, and with it the loss of held-out data, if that is measured.

    Arguments as for :func:`rise_of_loss`. Where the input of a guide is hidden at random, the loss
    of a few training steps can rise while the model becomes better.
    """
    rises = [rise_of_loss(metrics, own) for own in (name, _held_out(metrics, name)) if own]
    return rises[0] if all(rises) else ""


def _held_out(metrics: Sequence[Mapping[str, float]], name: str) -> str:
    """Name the column of the loss of held-out data; empty if it was not measured each epoch."""
    column = f"held_out_{name}"
    return column if metrics and all(column in row for row in metrics) else ""


def overfitting(metrics: Sequence[Mapping[str, float]], name: str) -> str:
    """Tell that the loss of held-out data rose again after its lowest; empty if it did not.

    Arguments as for :func:`rise_of_loss`; data that are not held out tell nothing.
    """
    held_out = _held_out(metrics, name)
    if not held_out:
        return ""
    losses = [row[held_out] for row in metrics]
    epoch = int(np.argmin(losses))
    if losses[-1] - losses[epoch] <= _OVERFITTING * abs(losses[epoch]):
        return ""
    return (
        f"the loss of held-out data was lowest after epoch {epoch + 1}, {losses[epoch]:.4g}, and "
        f"ended at {losses[-1]:.4g}: fewer epochs may fit better; patience (--patience 5) ends in "
        "time"
    )


def rise_of_loss(metrics: Sequence[Mapping[str, float]], name: str) -> str:
    """Tell that the loss ended no lower than it began and above its lowest; empty if it did not.

    Parameters
    ----------
    metrics
        Rows of the metrics, in the order of the epochs.
    name
        Column of the loss.
    """
    losses = np.array([row[name] for row in metrics])
    if len(losses) < _FEWEST_EPOCHS:
        return ""
    size = max(2, len(losses) // _WINDOW)
    means = np.convolve(losses, np.full(size, 1 / size), "valid")
    lowest, last = means.min(), means[-1]
    noise = np.median(np.abs(np.diff(losses))) / size**0.5
    # Losses of few datapoints and many parameters rise a little even at low rates.
    least = max(_SHARE_OF_LOSS * abs(lowest), min(noise, abs(lowest)))
    if last < means[0] or last - lowest <= least:
        return ""
    return (
        f"the loss rose from {lowest:.4g} in epoch {means.argmin() + size} to {last:.4g}: the "
        "learning rate is too high; fit again with a lower one"
    )
