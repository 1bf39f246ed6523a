"""Output of commands: one JSON object, or a readable table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exvae.experiments.commands.reports import report, report_fit

VALUES = {
    "cells": 12345,
    "coverage": {"0.5": 0.123456, "tenths": [0.1, 0.2]},
    "pictures": ["one.png", "two.png"],
}


def test_a_table_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    report(VALUES, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "cells         12345",
        "coverage.0.5  0.1235",
        "pictures      one.png",
        "              two.png",
    ]


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    report(VALUES, as_json=True)
    assert json.loads(capsys.readouterr().out) == VALUES


def test_a_speed_that_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = pd.DataFrame({"epoch": [1, 2], "cells_per_second": [9.0, np.nan]})
    report_fit(Path("fit"), {"reason": "done"}, metrics, [], as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "fit": "fit",
        "reason": "done",
        "epoch": 2,
        "pictures": [],
    }
