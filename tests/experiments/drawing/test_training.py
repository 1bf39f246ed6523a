"""The picture of a training."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from exvae.data.errors import DataError
from exvae.experiments.drawing.training import draw_training
from exvae.experiments.fitting.fits import read_metrics

TIMES = {"epoch": [1, 2, 3], "seconds": [0.5, 1.5, 2.0]}
PERPLEXITIES = {"perplexity": [80.0, 60.0, 50.0], "perplexity_amortised": [90.0, 70.0, 55.0]}


@pytest.mark.parametrize(
    ("measured", "rows"),
    [
        ({"loss_per_cell": [3.0, 2.0, 1.0]}, {"loss (nats per cell)": ["training"]}),
        (
            {"loss_per_cell": [3.0, 2.0, 1.0], "held_out_loss_per_cell": [4.0, 3.0, 2.5]},
            {"loss (nats per cell)": ["training", "held out"]},
        ),
        (
            {**PERPLEXITIES, "loss_per_token": [5.0, 4.0, 3.0]},
            {
                "loss (nats per token)": ["training"],
                "perplexity of held-out words": ["refined", "amortised"],
            },
        ),
    ],
)
def test_each_quantity_has_a_row(measured: dict, rows: dict[str, list[str]]) -> None:
    figure = draw_training(pd.DataFrame({**TIMES, **measured}))
    axes = figure.axes
    assert len(axes) == 2 * len(rows)
    drawn = []
    for number, (quantity, names) in enumerate(rows.items()):
        left, right = axes[2 * number : 2 * number + 2]
        assert left.get_ylabel() == quantity
        for axis, time in ((left, "seconds"), (right, "epoch")):
            assert [line.get_label() for line in axis.lines] == names
            for line in axis.lines:
                assert line.get_xdata().tolist() == TIMES[time]
                drawn.append(line.get_ydata().tolist())
    assert all(values in drawn for values in measured.values())
    assert [axis.get_xlabel() for axis in axes[-2:]] == ["training time (seconds)", "epoch"]


def test_a_fit_whose_metrics_were_removed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"was the metrics\.csv of the fit removed\?"):
        draw_training(read_metrics(tmp_path))
