"""Wrong arguments are named in one line, before anything is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from exvae.data.arguments import chosen, listed, number_between, require, whole_number
from exvae.data.errors import DataError
from exvae.models.decoders import DECODERS, LinearDecoder


@pytest.mark.parametrize("value", [1, 7, np.int64(7)])
def test_whole_numbers_are_given_back(value: Any) -> None:
    assert whole_number("topics", value) == value
    assert type(whole_number("topics", value)) is int


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None, True, [1]])
def test_other_values_are_no_whole_numbers(value: Any) -> None:
    with pytest.raises(DataError, match="^topics is .*; give a whole number of at least 1$"):
        whole_number("topics", value)


@pytest.mark.parametrize("value", [-0.1, 1.1, "a", None, float("nan"), True])
def test_numbers_have_bounds(value: Any) -> None:
    assert [number_between("share", own, 0.0, 1.0) for own in (0, 0.5, 1)] == [0.0, 0.5, 1.0]
    with pytest.raises(DataError, match="^share is .*; give a number from 0 to 1$"):
        number_between("share", value, 0.0, 1.0)


@pytest.mark.parametrize("value", [5, "abc", b"abc", None])
def test_lists_are_no_single_values(value: Any) -> None:
    assert listed("seeds", range(2), "[0, 1]") == [0, 1]
    with pytest.raises(DataError, match=r"^seeds is .*; give a list, such as \[0, 1\]$"):
        listed("seeds", value, "[0, 1]")


def test_choices_are_named() -> None:
    assert chosen("linear", DECODERS, "decoder") is LinearDecoder
    assert chosen(LinearDecoder, {}, "decoder") is LinearDecoder
    with pytest.raises(ValueError, match="decoder is 'deep'; choose one of network, linear"):
        chosen("deep", DECODERS, "decoder")
    require("level", "gene", ("isoform", "gene"))
