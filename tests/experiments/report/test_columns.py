"""Columns that colour and group cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exvae.data.errors import DataError
from exvae.experiments.report.columns import columns_of
from exvae.experiments.report.settings import MOST_GROUPS


@pytest.fixture
def obs() -> pd.DataFrame:
    number = np.arange(200)
    return pd.DataFrame(
        {
            "age": number / 7,
            "barcode": [f"cell{own}" for own in number],
            "constant": "one",
            "cluster": number % 3,
            "plate": pd.Categorical(np.where(number % 2, "p2", "p10")),
            "fresh": number % 5 == 0,
            "cell_type": [None if own == 7 else f"type {own % 4}" for own in number],
            "well": [f"well {own % 40}" if own < 150 else "well 0" for own in number],
        },
        index=[f"cell{own}" for own in number],
    )


def test_columns_are_groups_or_numbers(obs: pd.DataFrame) -> None:
    found = columns_of(obs, None, "plate")
    assert list(found.groups) == ["cell_type", "plate", "cluster", "fresh"]
    assert list(found.numbers) == ["age"]
    assert found.left_out == ["barcode", "constant", "well"]
    encoded = found.encoded()
    types = encoded["groups"][0]
    names = [types["levels"][code] for code in types["codes"]]
    assert names == obs["cell_type"].fillna("no cell_type").tolist()
    assert encoded["numbers"][0]["values"][7] == 1.0
    assert min(code for own in encoded["groups"] for code in own["codes"]) == 0


def test_a_column_that_is_asked_for_comes_first_its_small_groups_joined(obs: pd.DataFrame) -> None:
    found = columns_of(obs, "well", None)
    name, groups = next(iter(found.groups.items()))
    assert name == "well"
    assert len(groups.cat.categories) == MOST_GROUPS
    counts = groups.value_counts()
    assert counts["11 other groups"] == 4 + 10 * 3  # wells of 4 and of 3 cells
    assert counts["well 0"] == (obs["well"] == "well 0").sum()
    assert counts.sum() == 200


def test_without_groups_all_cells_are_one(obs: pd.DataFrame) -> None:
    found = columns_of(obs[["age"]], None, None)
    assert {name: set(own) for name, own in found.groups.items()} == {"all cells": {"all cells"}}


def test_an_unknown_column_is_an_error(obs: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no column 'cell_typ'; the nearest: cell_type"):
        columns_of(obs, "cell_typ", None)
