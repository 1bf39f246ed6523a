"""Loss, likelihood, accuracy and calibration of an isoform model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ...data.cell_batches import BatchSource, batch_source
from ...data.cell_tables import CellTable
from ...data.errors import DataError
from ...data.isoform_truth import IsoformTruth
from ...data.posteriors import SampledPosterior
from ..fitting.errors import ArgumentError
from . import inference
from .calibration import EXPRESSED, Calibration
from .completion import score_completion
from .expression import Scale, draw_expression, posteriors_of_expression
from .fitting import IsoformFit, split_cells
from .settings import LIBRARY_SIZE, LIKELIHOOD_SAMPLES, POSTERIOR_SAMPLES, SUBSETS

# Number of starts of k-means.
_STARTS = 20


def chosen_positions(fit: IsoformFit, cells: CellTable, subset: str) -> np.ndarray:
    """Positions of the cells of a subset of the fit, shape (cells,), in the order of the file.

    Raises
    ------
    DataError
        If the fit has other cells, or none in the subset.
    """
    if subset not in SUBSETS:
        raise ArgumentError(f"subset is {subset!r}; choose one of {', '.join(SUBSETS)}")
    if subset == "all":
        return np.arange(cells.num_cells)
    if cells.fingerprint != fit.config["data"]["fingerprint"]:
        raise _use_all(f"{cells.source}: does not hold the cells of the fit")
    train_fraction = fit.config["split"]["train_fraction"]
    seed = fit.config["training"]["seed"]
    trained_on, held_out = split_cells(cells.num_cells, train_fraction, seed)
    positions = trained_on if subset == "train" else held_out
    if not len(positions):
        raise _use_all(f"{cells.source}: the fit has no cells held out")
    return np.sort(positions)


def _use_all(problem: str) -> ArgumentError:
    return ArgumentError(f"{problem}; use subset='all'", f"{problem}; use --subset all")


def evaluate(
    fit: IsoformFit,
    cells: CellTable,
    *,
    subset: str = "all",
    truth: IsoformTruth | None = None,
    likelihood_samples: int = LIKELIHOOD_SAMPLES,
    posterior_samples: int = POSTERIOR_SAMPLES,
    completion: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure a fit.

    Parameters
    ----------
    fit
        The fit.
    cells
        Cells with the isoforms of the fit.
    subset
        ``all``, ``train`` or ``held-out``.
    truth
        Truth of these cells.
    likelihood_samples, posterior_samples
        Number of draws of the latent variables for the likelihood of the point estimates, and for
        the posterior of expression.
    completion
        Whether to predict one half of each cell's reads from the other, see
        :mod:`~exvae.experiments.isoforms.completion`.
    seed
        Seed of all draws.

    Returns
    -------
    dict
        ``cells``, ``isoforms``, ``loss_per_cell`` (nats; for effective reads a quasi-likelihood,
        which compares only fits of this model), ``nll_point_estimates`` (nats per entry, compares
        all models), and with a truth the result of :func:`compare`.

        With ``completion`` (nats a read, more is better): ``completion``, the mean log probability
        of the reads to predict; ``completion_quantifier``, ``completion_bootstraps`` and
        ``completion_truth``, the same of the quantifier's estimates, the means of the bootstraps
        and the truth, where they are known; ``completion_gain``, that of the model less that of the
        quantifier. ``completion_se`` and ``completion_gain_se`` are standard errors over cells.

    Raises
    ------
    DataError
        If the cells lack data that the model or the completion needs.
    """
    cells = fit.conform(cells)
    positions = chosen_positions(fit, cells, subset)
    chosen = None if truth is None else truth.select(positions).reordered(cells.isoforms)
    completed = {}
    if completion:
        options = {"num_samples": posterior_samples, "seed": seed}
        completed = score_completion(fit, cells, positions, truth=chosen, **options).figures()
    source = fit.source(cells)
    torch.manual_seed(seed)
    loss = inference.loss_per_cell(fit.model, fit.guide, source, positions)
    if not math.isfinite(loss):
        raise DataError(
            f"{cells.source}: the loss of these cells is {loss}: the model cannot score them"
        )
    log_prob = inference.log_prob_of_point_estimates(
        fit.model,
        fit.guide,
        batch_source(cells, "counts", fit.device),
        positions,
        num_samples=likelihood_samples,
    )
    measured = {
        "cells": len(positions),
        "isoforms": cells.num_isoforms,
        "loss_per_cell": loss,
        "nll_point_estimates": -log_prob / (len(positions) * cells.num_isoforms),
    }
    if chosen is not None:
        measured |= compare(fit, cells, positions, chosen, posterior_samples)
    return measured | completed


@torch.no_grad()
def compare(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    truth: IsoformTruth,
    num_samples: int,
    *,
    block: int = inference.POSTERIOR_BLOCK,
) -> dict[str, Any]:
    """Compare a fit with the truth of the cells at positions, shape (cells,).

    Memory holds posteriors of ``block`` entries (cells x isoforms) at once.

    Returns
    -------
    dict
        The result of :meth:`~exvae.experiments.isoforms.calibration.Calibration.figures`;
        ``rmse_log1p_quantifier`` and ``rmse_log1p_bootstraps``: root mean squared errors of log1p
        of the quantifier's estimates and the means of the bootstraps; ``adjusted_rand_index``:
        agreement of k-means on the mean states with the true types.
    """
    source = fit.source(cells)
    estimated_from = ("counts", "summary") if cells.has_summary else ("counts",)
    errors = {name: SquaredErrors() for name in ("quantifier", "bootstraps")}
    reader = cells.reader(estimated_from)
    calibration = Calibration()
    posteriors = posteriors_of_expression(fit, source, positions, num_samples, block=block)
    for rows, posterior in posteriors:
        expected = torch.as_tensor(truth.expected[rows], dtype=torch.float32, device=fit.device)
        matrices = reader.take(positions[rows])
        estimates = matrices.counts
        errors["quantifier"].add(estimates, truth.expected[rows])
        if cells.has_summary:
            estimates = cells.estimates_of(positions[rows], matrices)
            errors["bootstraps"].add(estimates, truth.expected[rows])
        expressed = estimates.toarray() > EXPRESSED
        calibration.add(posterior, expected, torch.as_tensor(expressed, device=fit.device))
    states = inference.mean_states(fit.guide, source, positions)
    measured = {
        **calibration.figures(),
        **compare_scales(fit, source, positions, truth, num_samples, block=block),
        "rmse_log1p_quantifier": errors["quantifier"].root_mean(),
    }
    if cells.has_summary:
        measured["rmse_log1p_bootstraps"] = errors["bootstraps"].root_mean()
    return {**measured, "adjusted_rand_index": rand_index(states, truth.cell_types)}


def compare_scales(
    fit: IsoformFit,
    source: BatchSource,
    positions: np.ndarray,
    truth: IsoformTruth,
    num_samples: int,
    *,
    block: int = inference.POSTERIOR_BLOCK,
) -> dict[str, Any]:
    """Compare expression of genes, and normalised expression of isoforms, with the truth.

    Arguments as for :func:`compare`.

    Returns
    -------
    dict
        ``genes`` and ``normalised`` (to a cell of :data:`~.settings.LIBRARY_SIZE` reads), each with
        ``coverage``, ``coverage_all`` and ``rmse_log1p`` as for isoforms.
    """
    scales = {"genes": Scale("gene"), "normalised": Scale(library_size=LIBRARY_SIZE)}
    calibrations = {name: Calibration() for name in scales}
    genes = fit.model.genes
    for rows, draws in draw_expression(fit, source, positions, num_samples, block=block):
        expected = torch.as_tensor(truth.expected[rows], dtype=torch.float32, device=fit.device)
        estimates = source.estimates(positions[rows])
        reads = torch.as_tensor(estimates.toarray(), device=fit.device)
        for name, scale in scales.items():
            of_level = genes.sums(reads) if scale.level == "gene" else reads
            posterior = SampledPosterior(scale.apply(draws, genes))
            calibrations[name].add(posterior, scale.apply(expected, genes), of_level > EXPRESSED)
    return {
        name: {
            key: value
            for key, value in calibration.figures().items()
            if key in ("coverage", "coverage_all", "rmse_log1p")
        }
        for name, calibration in calibrations.items()
    }


class SquaredErrors:
    """Squared errors of estimates on log1p scale, summed over cells."""

    def __init__(self) -> None:
        self._sum, self._number = 0.0, 0

    def add(self, estimates: csr_matrix, expected: np.ndarray) -> None:
        """Take estimates (reads) and true values, both of shape (cells, isoforms)."""
        error = np.log1p(estimates.toarray()) - np.log1p(expected)
        self._sum += float(np.square(error, dtype=np.float64).sum())
        self._number += error.size

    def root_mean(self) -> float:
        """Give the root of the mean."""
        return float(np.sqrt(self._sum / self._number))


def rand_index(states: np.ndarray, types: np.ndarray) -> float:
    """Compare k-means clusters of states, as many as types, with the types: adjusted Rand index.

    Parameters
    ----------
    states
        Posterior mean states, shape (cells, latent_size).
    types
        True types, shape (cells,).
    """
    from sklearn.cluster import KMeans  # slow to import, and needed only with a truth
    from sklearn.metrics import adjusted_rand_score

    num_types = len(np.unique(types))
    clusters = KMeans(num_types, n_init=_STARTS, random_state=0).fit_predict(states)
    return float(adjusted_rand_score(types, clusters))
