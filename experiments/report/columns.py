"""Columns of ``obs`` that colour and group cells."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from ..pl.choosing import column_of, groups_of
from .encoding import rounded
from .settings import MOST_COLUMNS, MOST_GROUPS

# Fewer numbers than these, all whole, name groups.
_FEW_NUMBERS = 12
ALL_CELLS = "all cells"


class Columns(NamedTuple):
    """Columns that colour cells.

    Attributes
    ----------
    groups
        Group of each cell (categorical) by name of the column; the first groups the cells at first.
    numbers
        Number of each cell by name of the column.
    left_out
        Names of the columns that the page has no use for.
    """

    groups: dict[str, pd.Series]
    numbers: dict[str, pd.Series]
    left_out: list[str]

    def encoded(self) -> dict[str, list[dict[str, Any]]]:
        """Names, groups and numbers, as the scripts read them."""
        groups = [
            {
                "name": name,
                "levels": own.cat.categories.astype(str).tolist(),
                "codes": own.cat.codes.tolist(),
            }
            for name, own in self.groups.items()
        ]
        numbers = [
            {"name": name, "values": rounded(own.to_numpy(float))}
            for name, own in self.numbers.items()
        ]
        return {"groups": groups, "numbers": numbers}


def columns_of(obs: pd.DataFrame, groupby: str | None, preferred: str | None) -> Columns:
    """Sort columns of ``obs`` into groups and numbers.

    Parameters
    ----------
    obs
        A row for each cell.
    groupby
        Column that groups the cells at first.
    preferred
        The same where ``groupby`` is None and no column names types of cells: the batches.

    Raises
    ------
    DataError
        If there is no column ``groupby``.
    """
    groups: dict[str, pd.Series] = {}
    numbers: dict[str, pd.Series] = {}
    left_out = []
    if groupby is not None:
        column_of(obs, groupby, "groupby: obs")
    for name in _ordered(obs, groupby, preferred):
        values = obs[name]
        number = values.nunique()
        if len(groups) + len(numbers) >= MOST_COLUMNS or number < 2:
            left_out.append(str(name))
        elif _names_groups(values, number) or name == groupby:
            groups[str(name)] = _pooled(groups_of(obs, name))
        elif types.is_numeric_dtype(values) and not types.is_complex_dtype(values):
            numbers[str(name)] = values
        else:
            left_out.append(str(name))
    if not groups:
        groups[ALL_CELLS] = groups_of(obs, None)
    return Columns(groups, numbers, left_out)


def members_of(groups: pd.Series) -> np.ndarray:
    """Tell which cells are in each group, shape (groups, cells), bool."""
    return np.arange(len(groups.cat.categories))[:, None] == groups.cat.codes.to_numpy()


def _ordered(obs: pd.DataFrame, groupby: str | None, preferred: str | None) -> list[str]:
    """Columns in the order of their use: chosen, types of cells, batches, others."""

    def rank(name: str) -> int:
        if name == groupby:
            return 0
        return 1 if "type" in str(name).lower() else 2 if name == preferred else 3

    return sorted(obs.columns, key=rank)


def _names_groups(values: pd.Series, number: int) -> bool:
    """Tell whether values name few groups, each of several cells."""
    if number > MOST_GROUPS or number > max(2, len(values) / 2):
        return False
    if types.is_numeric_dtype(values) and not types.is_bool_dtype(values):
        whole = (values.dropna() % 1 == 0).all()
        return bool(whole) and number < _FEW_NUMBERS
    return True


def _pooled(groups: pd.Series) -> pd.Series:
    """Join the smallest groups where they are more than a legend can show."""
    if len(groups.cat.categories) <= MOST_GROUPS:
        return groups
    kept = set(groups.value_counts().index[: MOST_GROUPS - 1])
    others = f"{len(groups.cat.categories) - len(kept)} other groups"
    names = [name for name in groups.cat.categories if name in kept]
    found = groups.cat.add_categories([others]).where(groups.isin(kept), others)
    return found.cat.set_categories([*names, others])
