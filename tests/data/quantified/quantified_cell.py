"""A cell that every format holds, and the errors of one that is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.quantified.directories import read_quantification
from exvae.data.quantified.quantifications import Quantification

from .quantifier_output import (
    WRITERS,
    Cell,
    draw_cell,
)

CELL = draw_cell(seed=1)


NAMES = np.array(CELL.transcripts, dtype=np.bytes_)


formats = pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))


def assert_read(found: Quantification, cell: Cell) -> None:
    assert found.transcripts.tolist() == [name.encode() for name in cell.transcripts]
    np.testing.assert_array_equal(found.lengths, cell.lengths)
    np.testing.assert_array_equal(found.effective_lengths, cell.effective_lengths)
    np.testing.assert_array_equal(found.counts, cell.counts.astype(np.float32))
    np.testing.assert_array_equal(found.bootstraps, cell.bootstraps.astype(np.float32))
    assert found.counts.dtype == found.bootstraps.dtype == np.float32


def failure(directory: Path, *arguments: object) -> str:
    """Read a directory and give the one line that tells what is wrong with it."""
    with pytest.raises(DataError) as raised:
        read_quantification(directory, *arguments)
    message = str(raised.value)
    assert message.startswith(str(directory))
    assert "\n" not in message
    return message
