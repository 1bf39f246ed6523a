"""The plate of the data of a model, which Pyro's automatic guides need for minibatches."""

from __future__ import annotations

from collections.abc import Callable

import pyro
from torch import nn

from ...models.lda import LDA


def plates(model: nn.Module) -> Callable[..., pyro.plate]:
    """Give ``create_plates`` of automatic guides: the plate of all cells or documents.

    Without it an automatic guide has parameters for the first minibatch alone, and takes those of
    one cell for another's.

    Parameters
    ----------
    model
        A model of cells or of documents.

    Examples
    --------
    >>> import exvae
    >>> from pyro.infer.autoguide import AutoNormal, init_to_median
    >>> data, model, _ = exvae.prepare("cells.h5ad")
    >>> guide = AutoNormal(model, create_plates=exvae.plates(model), init_loc_fn=init_to_median)
    """
    name, dim = ("documents", -1) if isinstance(model, LDA) else ("cells", -2)

    def create(*batch: object) -> pyro.plate:
        *_, indices, size, _ = batch
        return pyro.plate(name, size, subsample=indices, dim=dim)

    return create
