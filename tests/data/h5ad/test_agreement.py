"""Bootstraps and their statistics in one file."""

from __future__ import annotations

from collections.abc import Callable

import anndata
import numpy as np
import pytest

from exvae.data.cells import STATISTICS
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import open_cells, read_cells

from ..cell_table import BOOTSTRAPS, KINDS, NUMBERS, table

LAYERS = [f"infRep{number + 1}" for number in range(BOOTSTRAPS)]


def permuted(names: list[str], axis: int = 0) -> Callable[[anndata.AnnData], None]:
    def change(data: anndata.AnnData) -> None:
        order = np.roll(np.arange(data.shape[axis]), 1)
        for name in names:
            data.layers[name] = (
                data.layers[name][order] if axis == 0 else data.layers[name][:, order]
            )

    return change


CHANGES = {
    "bootstraps of other cells": permuted(LAYERS),
    "bootstraps of other isoforms": permuted(LAYERS, 1),
    "one bootstrap of other cells": permuted(LAYERS[:1]),
    "statistics of other cells": permuted(list(STATISTICS)),
    "squares of other cells": permuted(STATISTICS[2:]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_bootstraps_with_other_statistics_are_refused(kind: Callable, change: Callable) -> None:
    data = table(kind, statistics=True)
    change(data)
    message = "the layers infRep of cell cell0 do not have the statistics in bootstrap_mean"
    with pytest.raises(DataError, match=message):
        read_cells(data)
    with open_cells(data) as file, pytest.raises(DataError, match="do not have the statistics"):
        file.read(rows=slice(0, 3))


@pytest.mark.parametrize("numbers", [None, NUMBERS])
def test_statistics_of_the_bootstraps_pass(numbers: np.ndarray | None) -> None:
    assert read_cells(table(statistics=True, numbers=numbers)).summary is not None


def test_some_of_the_bootstraps_are_not_compared() -> None:
    data = table(statistics=True, layers=2)
    permuted(LAYERS[:2])(data)
    assert len(read_cells(data).bootstraps) == 2
