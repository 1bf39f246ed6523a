"""Numbers as short texts: rounded decimals, and codes of one or two bytes."""

from __future__ import annotations

import base64
import gzip
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

# The least value that is told from zero, as a share of the largest of its row.
LEAST = 1e-4


def rounded(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Round numbers to significant digits; None for numbers that are not finite.

    Examples
    --------
    >>> rounded([1 / 3, 12345.6, float("nan")], 3)
    [0.333, 12300.0, None]
    """
    return [
        float(f"{own:.{digits}g}") if math.isfinite(own) else None for own in map(float, values)
    ]


def logarithmic_codes(values: np.ndarray, kind: type[np.unsignedinteger]) -> dict[str, Any]:
    """Encode numbers from 0 on by codes at equal distances on a logarithmic scale.

    Code 0 is zero, or less than :data:`LEAST` times the largest value of the row. With codes from 1
    to n the value of code c is low (high / low)^((c - 1) / (n - 1)): one byte keeps values to 2 %,
    two bytes to 0.01 %.

    Parameters
    ----------
    values
        Shape (rows, columns), not negative.
    kind
        ``np.uint8`` or ``np.uint16``.

    Returns
    -------
    dict
        ``codes``, row after row, little-endian, in base 64; their size in ``bytes``; ``columns``;
        and ``low`` and ``high`` of each row.
    """
    most = float(np.iinfo(kind).max)
    high = np.array([own or 1.0 for own in rounded(values.max(1, initial=0.0), 6)])[:, None]
    low = high * LEAST
    kept = np.maximum(values, low)
    places = np.log(kept / low) / np.log(high / low)
    codes = np.where(values < low, 0, np.rint(1 + (most - 1) * np.minimum(places, 1.0)))
    return {
        "codes": _in_base_64(codes.astype(np.dtype(kind).newbyteorder("<"))),
        "bytes": np.dtype(kind).itemsize,
        "columns": values.shape[1],
        "low": rounded(low[:, 0], 8),
        "high": high[:, 0].tolist(),
    }


def linear_codes(values: np.ndarray) -> dict[str, Any]:
    """Encode shares, shape (rows, columns), in hundredths of a percent: two bytes each.

    Returns
    -------
    dict
        ``codes``, row after row, little-endian, in base 64; ``columns``; and ``unit``, the value of
        code 1.
    """
    unit = 1e-4
    codes = np.rint(values / unit).astype("<u2")
    return {"codes": _in_base_64(codes), "columns": values.shape[1], "unit": unit}


def _in_base_64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def packed(text: str) -> str:
    """Pack a text by gzip, in base 64, which cannot be mistaken for HTML."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
