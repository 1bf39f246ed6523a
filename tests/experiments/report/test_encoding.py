"""Numbers as short texts."""

from __future__ import annotations

import base64
import gzip

import numpy as np
import pytest

from exvae.experiments.report.encoding import linear_codes, logarithmic_codes, packed, rounded

from .conftest import decoded


@pytest.mark.parametrize(("kind", "error"), [(np.uint8, 0.0183), (np.uint16, 1e-4)])
def test_logarithmic_codes_keep_values(kind: type, error: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(0.3, 100.0, (7, 300)) * (rng.random((7, 300)) < 0.7)
    values[3] = 0.0
    values[5] *= 1e-9
    found = decoded(logarithmic_codes(values, kind))
    least = 1e-4 * values.max(1, keepdims=True)
    kept = values > least * 1.001
    np.testing.assert_allclose(found[kept], values[kept], rtol=error)
    np.testing.assert_array_equal(found[values < least * 0.999], 0.0)
    assert kept.mean() > 0.4


def test_linear_codes_keep_shares() -> None:
    values = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 40)
    encoded = linear_codes(values)
    codes = np.frombuffer(base64.b64decode(encoded["codes"]), "<u2").reshape(40, 5)
    np.testing.assert_allclose(codes * encoded["unit"], values, atol=5.1e-5)
    assert encoded["columns"] == 5


def test_rounded_numbers_are_those_that_json_knows() -> None:
    assert rounded([1 / 3, -12345.6, np.nan, np.inf, 0.0], 3) == [0.333, -12300.0, None, None, 0.0]
    assert rounded(np.array([2.0], np.float32)) == [2.0]


def test_packed_texts_hold_no_html() -> None:
    text = "</script><b>é" * 100
    assert gzip.decompress(base64.b64decode(packed(text))).decode() == text
    assert not set("<>&\"'") & set(packed(text))
    assert packed(text) == packed(text)
