"""Cells with expression, whose pictures are looked at, and a guard of pyplot's state."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib
import pytest
from anndata import AnnData
from matplotlib import pyplot

from ...small_data import draw_expression


@pytest.fixture
def adata() -> AnnData:
    """Cells with layers of expression."""
    return draw_expression()


@pytest.fixture(autouse=True)
def pyplot_is_left_alone() -> Iterator[None]:
    """Fail a test after which pyplot has another backend, figure or setting than before."""
    backend, settings = matplotlib.get_backend(), dict(matplotlib.rcParams)
    pyplot.close("all")  # other tests may have left some
    own = pyplot.figure()
    yield
    assert pyplot.get_fignums() == [own.number]
    pyplot.close(own)
    assert matplotlib.get_backend() == backend
    assert dict(matplotlib.rcParams) == settings
