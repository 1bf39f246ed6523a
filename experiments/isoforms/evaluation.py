"""Loss, likelihood, accuracy and calibration of an isoform model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ...data.cell_batches import BatchSource, batch_source
from ...data.cell_tables import CellTable, RowReader
from ...data.errors import DataError
from ...data.isoform_truth import IsoformTruth
from ...data.posteriors import SampledPosterior
from ...data.progress import with_progress
from ...data.random_draws import seed_draws
from ..fitting import workers
from ..fitting.errors import ArgumentError
from . import inference
from .calibration import EXPRESSED, Calibration
from .completion import Completion, score_part
from .expression import Scale, draw_expression, posteriors_of_expression
from .fitting import IsoformFit, split_cells
from .settings import LIBRARY_SIZE, LIKELIHOOD_SAMPLES, POSTERIOR_SAMPLES, SUBSETS

# Number of starts of k-means.
_STARTS = 20
# Parts that processes share, and the fewest and most entries (cells x isoforms) of each.
PARTS, LEAST, MOST = 16, inference.BLOCK, 1 << 23
# Scales other than reads of isoforms on which expression is compared with the truth.
SCALES = {"genes": Scale("gene"), "normalised": Scale(library_size=LIBRARY_SIZE)}


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
    part: int | None = None,
) -> dict[str, Any]:
    """Measure a fit; several processes share the work, and all get the figures.

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
        Seed of all draws; those of a cell depend on its place, and on ``part``.
    part
        Cells that a process measures at a time; by default so many that there are some parts.

    Returns
    -------
    dict
        ``cells``, ``isoforms``, ``loss_per_cell`` (nats; for effective reads a quasi-likelihood,
        which compares only fits of this model), ``nll_point_estimates`` (nats per entry, compares
        all models), and with a truth the figures of :class:`Comparison`.

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
    known = None if truth is None else truth.select(positions).reordered(cells.isoforms)
    samples = Samples(likelihood_samples, posterior_samples, seed)
    meter = _Meter(fit, cells, positions, known, samples, completion=completion)
    rows = _cells_of_part(len(positions), cells.num_isoforms) if part is None else part
    slices = [slice(start, start + rows) for start in range(0, len(positions), rows)]
    with workers.joined(Path(cells.source)) as processes:
        shared = processes.in_turn(len(slices), lambda number: meter.measure(slices[number]))
        progress = with_progress(
            shared, len(slices), "evaluate", "parts", delay=1.0, shown=processes.first
        )
        parts = list(progress)
        return processes.same(lambda: _figures(parts, cells, len(positions)))


def _cells_of_part(cells: int, isoforms: int) -> int:
    """Count the cells that a process measures at a time, of so many cells of so many isoforms.

    Small parts take longer, and cells on disk are read in larger ones.
    """
    least, most = (entries // isoforms for entries in (LEAST, MOST))
    return max(1, least, min(most, -(-cells // PARTS)))


class Samples(NamedTuple):
    """Numbers of draws of the latent variables, see :func:`evaluate`, and their seed."""

    likelihood: int
    posterior: int
    seed: int


class Part(NamedTuple):
    """Figures of some cells.

    Attributes
    ----------
    loss, log_prob
        Sums over the cells of the loss and of the log probability of the estimates (nats).
    compared, completed
        Comparison with the truth, and completion, if asked for.
    """

    loss: float
    log_prob: float
    compared: Comparison | None
    completed: Completion | None


class _Meter:
    """Measures some cells at a time.

    Parameters
    ----------
    fit, cells
        The fit, and cells with its isoforms.
    positions
        Positions of the cells to measure, shape (cells,).
    truth
        Truth of these, if it is known.
    samples
        Numbers of draws.
    completion
        Whether to predict reads.
    """

    def __init__(
        self,
        fit: IsoformFit,
        cells: CellTable,
        positions: np.ndarray,
        truth: IsoformTruth | None,
        samples: Samples,
        *,
        completion: bool,
    ) -> None:
        self.fit, self.cells, self.positions, self.truth = fit, cells, positions, truth
        self.samples, self.completion = samples, completion
        # Of cells on disk each keeps what it has read for the next part.
        self.source = fit.source(cells)
        self.estimates = batch_source(cells, "counts", fit.device)
        self.reads = cells.reader(("reads",)) if completion else None
        self.estimated = None if truth is None else _reader_of_estimates(cells)

    def measure(self, own: slice) -> Part:
        """Measure a slice of the positions."""
        fit, samples, chosen = self.fit, self.samples, self.positions[own]
        number = samples.posterior
        truth = None if self.truth is None else self.truth.select(own)
        completed, compared = None, None
        if self.completion:
            seed_draws(samples.seed, own.start)
            given = fit, self.cells, chosen, truth, number, samples.seed
            completed = score_part(*given, reader=self.reads)
        seed_draws(samples.seed, own.start)
        loss = inference.loss_per_cell(fit.model, fit.guide, self.source, chosen)
        log_prob = inference.log_prob_of_point_estimates(
            fit.model, fit.guide, self.estimates, chosen, num_samples=samples.likelihood
        )
        if truth is not None:
            compared = compare(fit, self.source, chosen, truth, number, reader=self.estimated)
        return Part(loss * len(chosen), log_prob, compared, completed)


def _figures(parts: Sequence[Part], cells: CellTable, number: int) -> dict[str, Any]:
    """Give the figures of so many cells, measured in parts, see :func:`evaluate`."""
    loss = sum(part.loss for part in parts) / number
    if not math.isfinite(loss):
        raise DataError(
            f"{cells.source}: the loss of these cells is {loss}: the model cannot score them"
        )
    log_prob = sum(part.log_prob for part in parts)
    measured = {
        "cells": number,
        "isoforms": cells.num_isoforms,
        "loss_per_cell": loss,
        "nll_point_estimates": -log_prob / (number * cells.num_isoforms),
    }
    if parts[0].compared is not None:
        measured |= Comparison.of_parts([part.compared for part in parts]).figures()
    if parts[0].completed is not None:
        completed = [part.completed for part in parts]
        measured |= Completion.of_parts(completed, cells.source).figures()
    return measured


@torch.no_grad()
def compare(
    fit: IsoformFit,
    source: BatchSource,
    positions: np.ndarray,
    truth: IsoformTruth,
    num_samples: int,
    *,
    block: int = inference.POSTERIOR_BLOCK,
    reader: RowReader | None = None,
) -> Comparison:
    """Compare a fit with the truth of the cells of a source at positions, shape (cells,).

    Memory holds posteriors of ``block`` entries (cells x isoforms) at once. ``reader`` reads the
    estimates; None makes one.
    """
    cells = source.cells
    reader = reader or _reader_of_estimates(cells)
    states = inference.mean_states(fit.guide, source, positions)
    compared = Comparison(states, truth.cell_types, bootstraps=cells.has_summary)
    expected = torch.as_tensor(truth.expected, dtype=torch.float32, device=fit.device)
    posteriors = posteriors_of_expression(fit, source, positions, num_samples, block=block)
    for rows, posterior in posteriors:
        matrices = reader.take(positions[rows])
        estimates = matrices.counts
        compared.errors["quantifier"].add(estimates, truth.expected[rows])
        if cells.has_summary:
            estimates = cells.estimates_of(positions[rows], matrices)
            compared.errors["bootstraps"].add(estimates, truth.expected[rows])
        expressed = torch.as_tensor(estimates.toarray() > EXPRESSED, device=fit.device)
        compared.calibration.add(posterior, expected[rows], expressed)
    genes = fit.model.genes
    for rows, draws in draw_expression(fit, source, positions, num_samples, block=block):
        estimates = source.estimates(positions[rows])
        reads = torch.as_tensor(estimates.toarray(), device=fit.device)
        for name, scale in SCALES.items():
            of_level = genes.sums(reads) if scale.level == "gene" else reads
            posterior = SampledPosterior(scale.apply(draws, genes))
            known = scale.apply(expected[rows], genes)
            compared.scales[name].add(posterior, known, of_level > EXPRESSED)
    return compared


def _reader_of_estimates(cells: CellTable) -> RowReader:
    """Give access to the quantifier's estimates of cells, and to the means of bootstraps."""
    return cells.reader(("counts", "summary") if cells.has_summary else ("counts",))


class Comparison:
    """Comparison of posteriors with the truth of some cells.

    Parameters
    ----------
    states
        Posterior mean states, shape (cells, latent_size).
    types
        True types of the cells, shape (cells,).
    bootstraps
        Whether the cells have bootstraps, whose means are compared as well.
    """

    def __init__(self, states: np.ndarray, types: np.ndarray, *, bootstraps: bool) -> None:
        self.states, self.types = states, types
        self.calibration = Calibration()
        self.scales = {name: Calibration() for name in SCALES}
        methods = ("quantifier", "bootstraps") if bootstraps else ("quantifier",)
        self.errors = {name: SquaredErrors() for name in methods}

    @classmethod
    def of_parts(cls, parts: Sequence[Comparison]) -> Comparison:
        """Join the comparisons of parts of the cells."""
        states = np.concatenate([part.states for part in parts])
        types = np.concatenate([part.types for part in parts])
        joined = cls(states, types, bootstraps="bootstraps" in parts[0].errors)
        for part in parts:
            joined.calibration.extend(part.calibration)
            for name, own in joined.scales.items():
                own.extend(part.scales[name])
            for name, own in joined.errors.items():
                own.extend(part.errors[name])
        return joined

    def figures(self) -> dict[str, Any]:
        """Give the figures of all cells.

        Returns
        -------
        dict
            The result of :meth:`~exvae.experiments.isoforms.calibration.Calibration.figures`;
            ``genes`` and ``normalised`` (to a cell of :data:`~.settings.LIBRARY_SIZE` reads), each
            with ``coverage``, ``coverage_all`` and ``rmse_log1p`` as for isoforms;
            ``rmse_log1p_quantifier`` and ``rmse_log1p_bootstraps``: root mean squared errors of
            log1p of the quantifier's estimates and the means of the bootstraps;
            ``adjusted_rand_index``: agreement of k-means on the mean states with the true types.
        """
        scales = {}
        for name, calibration in self.scales.items():
            figures = calibration.figures()
            scales[name] = {key: figures[key] for key in ("coverage", "coverage_all", "rmse_log1p")}
        errors = {f"rmse_log1p_{name}": own.root_mean() for name, own in self.errors.items()}
        agreement = {"adjusted_rand_index": rand_index(self.states, self.types)}
        return {**self.calibration.figures(), **scales, **errors, **agreement}


class SquaredErrors:
    """Squared errors of estimates on log1p scale, summed over cells."""

    def __init__(self) -> None:
        self._sum, self._number = 0.0, 0

    def add(self, estimates: csr_matrix, expected: np.ndarray) -> None:
        """Take estimates (reads) and true values, both of shape (cells, isoforms)."""
        error = np.log1p(estimates.toarray()) - np.log1p(expected)
        self._sum += float(np.square(error, dtype=np.float64).sum())
        self._number += error.size

    def extend(self, others: SquaredErrors) -> None:
        """Take the errors of other cells."""
        self._sum, self._number = self._sum + others._sum, self._number + others._number

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
