"""Groups of cells: columns, comparisons and replicates, and what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from exvae.data.cells import Cells
from exvae.data.errors import DataError
from exvae.experiments.isoforms.groups import (
    Grouping,
    comparisons,
    labels_of,
    replicates_of,
    require_replicates,
)


@pytest.fixture
def cells(small_cells: Cells) -> Cells:
    obs = small_cells.obs.assign(
        state=["x", "y", None, "z"] * 6, one="x", donor=[f"d{n % 5}" for n in range(24)]
    )
    return replace(small_cells, obs=obs)


def test_cells_without_a_value_are_in_no_group(cells: Cells) -> None:
    assert labels_of(cells, Grouping("state")).tolist() == ["x", "y", "", "z"] * 6


def test_groups_are_paired_with_the_rest_or_one_of_them() -> None:
    labels = np.array(["a", "b", "c", "", "a"])
    rest = list(comparisons(labels, None))
    assert [pair[:2] for pair in rest] == [("a", "rest"), ("b", "rest"), ("c", "rest")]
    assert rest[0].own.tolist() == [True, False, False, False, True]
    assert rest[0].other.tolist() == [False, True, True, False, False]
    one = list(comparisons(labels, "b"))
    assert [pair[:2] for pair in one] == [("a", "b"), ("c", "b")]
    assert one[1].other.tolist() == [False, True, False, False, False]
    two = list(comparisons(np.array(["b", "a"]), None))
    assert [pair[:2] for pair in two] == [("b", "a")]


@pytest.mark.parametrize(
    ("grouping", "message"),
    [
        (Grouping("nothing"), "no column 'nothing'; groupby must be one of state, one, donor"),
        (Grouping("nothing", as_options=True), "--groupby must be one of"),
        (Grouping("one"), "has no two groups of several cells; choose another column"),
        (Grouping("state", "w"), "has no group 'w'; reference must be one of x, y, z"),
        (Grouping("state", "w", as_options=True), "--reference must be one of x, y, z"),
    ],
)
def test_wrong_groups(cells: Cells, grouping: Grouping, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_of(cells, grouping)


def test_replicates(cells: Cells) -> None:
    assert replicates_of(cells, Grouping("state")) is None
    found = replicates_of(cells, Grouping("state", replicate_key="donor"))
    assert found.tolist() == cells.obs["donor"].tolist()
    with pytest.raises(DataError, match="replicate_key must be one of"):
        replicates_of(cells, Grouping("state", replicate_key="sample"))
    with pytest.raises(DataError, match="the --replicate-key, lacks the replicate of 6 cells"):
        replicates_of(cells, Grouping("donor", None, "state", as_options=True))


def test_too_few_replicates(cells: Cells) -> None:
    labels = np.array(["x", "y"] * 12)
    grouping = Grouping("state", replicate_key="donor", as_options=True)
    require_replicates(cells, grouping, labels, np.array(["1", "1", "2", "2"] * 6))
    with pytest.raises(
        DataError,
        match="group 'y' .* has 1 replicates, .* 2 are needed; .* another --replicate-key",
    ):
        require_replicates(cells, grouping, labels, np.array(["1", "2"] * 12))
    alone = np.where(np.arange(24) == 3, "y", "x")
    with pytest.raises(DataError, match="group 'y' .* has 1 cells, .* leave it out"):
        require_replicates(cells, Grouping("state"), alone, None)
