"""Maps of points in a plane."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..drawing.embeddings import embed, map_to_plane
from .encoding import rounded
from .settings import FEWEST_MAPPED


def map_of(values: np.ndarray, what: str) -> dict[str, Any]:
    """Map points to a plane: by UMAP, t-SNE or, few points or dimensions, principal components.

    Parameters
    ----------
    values
        Shape (points, dimensions).
    what
        The values in words.

    Returns
    -------
    dict
        ``method``, ``axes``, ``x`` and ``y``.
    """
    if len(values) < FEWEST_MAPPED or values.shape[1] < 3:
        found = embed(values, what)
        method, axes, places = f"principal components of {what}", found.axes, found.places
    else:
        name, places = map_to_plane(values)
        method, axes = f"{name} of {what}", (f"{name} 1", f"{name} 2")
    x, y = (rounded(own) for own in np.asarray(places, float).T)
    return {"method": method, "axes": list(axes), "x": x, "y": y}
