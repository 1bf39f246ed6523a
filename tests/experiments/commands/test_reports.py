"""Output of commands: one JSON object, or a readable table."""

from __future__ import annotations

import json

import pytest

from exvae.experiments.commands.reports import report

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
