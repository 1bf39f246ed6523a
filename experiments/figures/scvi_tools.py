"""SCVI of scvi-tools, which stands beside our models where it is installed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np


def is_installed() -> bool:
    """Tell whether scvi-tools can be imported, without importing it."""
    return find_spec("scvi") is not None


def fit_scvi(
    counts: np.ndarray,
    epochs: int | None,
    seed: int,
    *,
    batches: np.ndarray | None = None,
    training: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Fit SCVI.

    Parameters
    ----------
    counts
        Whole reads, shape (cells, isoforms).
    epochs
        Number of epochs; None lets scvi-tools choose it.
    seed
        Seed of the fit.
    batches
        Batch of each cell, shape (cells,); None puts all in one.
    training
        Further arguments of ``SCVI.train``.
    options
        Arguments of ``SCVI``.

    Returns
    -------
    scvi.model.SCVI
        The fitted model.
    """
    import anndata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scvi

        scvi.settings.seed = seed
        scvi.settings.verbosity = logging.ERROR  # otherwise its messages mix with the results
        cells = anndata.AnnData(counts.astype(np.float32))
        if batches is not None:
            cells.obs["batch"] = np.asarray(batches).astype(str)
        scvi.model.SCVI.setup_anndata(cells, batch_key=None if batches is None else "batch")
        model = scvi.model.SCVI(cells, **options)
        model.train(epochs, enable_progress_bar=False, logger=False, **(training or {}))
    return model


def loss_of_held_out(
    counts: np.ndarray, held_out: np.ndarray, epochs: int | None, seed: int, num_samples: int
) -> float:
    """Fit SCVI to some cells, and give the negative log-likelihood (nats per entry) of the others.

    Parameters
    ----------
    counts
        Whole reads, shape (cells, isoforms).
    held_out
        Positions of the cells held out, shape (held-out cells,).
    epochs, seed
        Arguments of :func:`fit_scvi`.
    num_samples
        Draws of the latent variables behind the bound on the likelihood.
    """
    import anndata

    trained_on = np.setdiff1d(np.arange(len(counts)), held_out)
    model = fit_scvi(
        counts[trained_on],
        epochs,
        seed,
        training={"train_size": 1.0},
        use_observed_lib_size=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = anndata.AnnData(counts[held_out].astype(np.float32))
        bound = model.get_marginal_ll(
            test, n_mc_samples=num_samples, batch_size=len(held_out), return_mean=True
        )
    return -float(bound) / counts.shape[1]
