"""Effective lengths, against the mean over fragments written out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exvae.data.reads.effective_lengths import effective_lengths


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=20),
    st.lists(st.integers(1, 300), min_size=1, max_size=50),
)
def test_mean_of_the_fragments_that_fit(lengths: list[int], fragments: list[int]) -> None:
    found = effective_lengths(np.array(lengths), np.bincount(fragments))
    for length, effective in zip(lengths, found, strict=True):
        fitting = [size for size in fragments if size <= length]
        expected = length - (np.mean(fitting) if fitting else 0) + 1
        np.testing.assert_allclose(effective, expected if expected >= 1 else length)
