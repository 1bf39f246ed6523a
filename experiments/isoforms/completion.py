"""Completion of reads: infer expression from half of a cell's reads, and predict the other half.

A read of the second half has the log probability

    log sum_{g in c} E[lambda_g / sum_h lambda_h] w_cg,

c its class, w_cg the weights of :class:`~exvae.data.reads.classes.ClassCounts`, and the
expectation that of the posterior given the first half: the posterior predictive probability of one
read. Weights are known up to a factor of the class, which adds the same constant to the scores of
all methods. No truth is needed.

An estimate of zero would give some reads no probability. Whatever the method, half a read
(:data:`FLOOR`), spread over all isoforms, is added to the reads of the first half.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix

from ...data.cell_tables import CellTable, RowReader
from ...data.errors import DataError
from ...data.isoform_truth import IsoformTruth
from ...data.reads.classes import ClassCounts
from ...data.reads.halves import Halves, halve_reads
from ...data.row_blocks import blocks
from . import inference
from .expression import Scale, draw_expression
from .fitting import IsoformFit
from .settings import POSTERIOR_SAMPLES

# Reads spread over all isoforms and added to the first half.
FLOOR = 0.5

# Expression of some cells, a slice of all, shape (cells, isoforms), on any scale.
Blocks = Iterable[tuple[slice, np.ndarray]]


class Score(NamedTuple):
    """Mean log probability of a read (nats), and its standard error over cells."""

    mean: float
    se: float


@dataclass(frozen=True)
class Completion:
    """Scores of the second halves of cells.

    Attributes
    ----------
    reads
        Reads of the second half, shape (cells,).
    log_probs
        Log probability (nats) of all of them, shape (cells,), by method: ``model``, ``quantifier``
        and, where they are known, ``bootstraps`` and ``truth``.
    """

    reads: np.ndarray
    log_probs: dict[str, np.ndarray]

    @classmethod
    def of_parts(cls, parts: Sequence[Completion], source: str) -> Completion:
        """Join the scores of parts of the cells of a source.

        Raises
        ------
        DataError
            If no cell has reads in its second half.
        """
        reads = np.concatenate([part.reads for part in parts])
        if not reads.any():
            raise DataError(f"{source}: no cell has two reads by class, which completion halves")
        methods = parts[0].log_probs
        return cls(
            reads,
            {name: np.concatenate([part.log_probs[name] for part in parts]) for name in methods},
        )

    def score(self, method: str = "model") -> Score:
        """Score a method."""
        return score_of(self.log_probs[method], self.reads)

    def gain(self, over: str = "quantifier", method: str = "model") -> Score:
        """Score the difference of a method to another, cell by cell."""
        return score_of(self.log_probs[method] - self.log_probs[over], self.reads)

    def figures(self) -> dict[str, float]:
        """Give the figures of ``exvae isoforms evaluate``, see :func:`.evaluation.evaluate`."""
        own, gain = self.score(), self.gain()
        figures = {"completion": own.mean, "completion_gain": gain.mean}
        if len(self.reads) > 1:
            figures |= {"completion_se": own.se, "completion_gain_se": gain.se}
        others = (method for method in self.log_probs if method != "model")
        return figures | {f"completion_{method}": self.score(method).mean for method in others}


def score_completion(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    *,
    truth: IsoformTruth | None = None,
    num_samples: int = POSTERIOR_SAMPLES,
    seed: int = 0,
    block: int = inference.POSTERIOR_BLOCK,
) -> Completion:
    """Infer expression from half of the reads of cells, and score it by the other half.

    The fit is scored beside the quantifier's estimates and the means of its bootstraps, both of
    the first half. Scores of several fits are of the same halves if the seed is the same.

    Parameters
    ----------
    fit
        The fit.
    cells
        Cells with the isoforms of the fit, and with reads by class.
    positions
        Positions of the cells to score, shape (cells,).
    truth
        Truth of these cells and isoforms, whose score is the highest to be expected.
    num_samples
        Number of draws of the latent variables.
    seed
        Seed of halves, bootstraps and draws.
    block
        Entries (cells x isoforms) whose expression is drawn at once.

    Raises
    ------
    DataError
        If a cell has no reads by class, or all have a single one.
    """
    torch.manual_seed(seed)
    part = score_part(fit, cells, positions, truth, num_samples, seed, block)
    return Completion.of_parts([part], cells.source)


def score_part(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    truth: IsoformTruth | None,
    num_samples: int,
    seed: int,
    block: int = inference.POSTERIOR_BLOCK,
    *,
    reader: RowReader | None = None,
) -> Completion:
    """Score some of the cells, see :func:`score_completion`; torch's generator draws latents.

    Cells may all be without reads in their second half. ``reader`` as in
    :func:`~exvae.data.reads.halves.halve_reads`.
    """
    halves = halve_reads(cells, positions, seed, reader)
    observed = halves.observed
    expression: dict[str, Blocks] = {
        "model": _expected_shares(fit, observed, num_samples, block),
        "quantifier": _dense(observed.counts),
    }
    if observed.summary is not None:
        expression["bootstraps"] = _dense(observed.mean_bootstraps)
    if truth is not None:
        expression["truth"] = [(slice(None), truth.expected)]
    return Completion(
        np.asarray(halves.held_out.counts.sum(1)).ravel(),
        {method: log_probs(halves, own) for method, own in expression.items()},
    )


def score_of(log_probs: np.ndarray, reads: np.ndarray) -> Score:
    """Average over reads; the standard error is that of a ratio of means over cells.

    Parameters
    ----------
    log_probs
        Sum over the reads of each cell (nats), shape (cells,).
    reads
        Number of these reads, shape (cells,).

    Returns
    -------
    Score
        Its standard error is NaN for a single cell.
    """
    mean = log_probs.sum() / reads.sum()
    number = len(reads)
    if number < 2:
        return Score(float(mean), float("nan"))
    scatter = np.square(log_probs - mean * reads).sum() * number / (number - 1)
    return Score(float(mean), float(np.sqrt(scatter) / reads.sum()))


def log_probs(halves: Halves, expression: Blocks) -> np.ndarray:
    """Log probability (nats) of the second half of each cell, shape (cells,), given expression."""
    observed = np.asarray(halves.observed.reads.counts.sum(1)).ravel()
    found = np.zeros(len(observed))
    for rows, values in expression:
        for place, own in zip(range(len(observed))[rows], values, strict=True):
            shares = floored_shares(own, observed[place])
            found[place] = _log_prob(halves.held_out, place, shares)
    return found


def floored_shares(expression: np.ndarray, reads: int) -> np.ndarray:
    """Shares of isoforms, after :data:`FLOOR` is added to so many reads of this expression.

    ``expression``, on any scale, and the shares have shape (isoforms,).
    """
    own = expression.astype(np.float64)
    total = own.sum()
    if total > 0:
        own *= reads / total
    own += FLOOR / len(own)
    return own / own.sum()


def _log_prob(classes: ClassCounts, place: int, shares: np.ndarray) -> float:
    """Log probability (nats) of the reads of a cell, given shares of isoforms, (isoforms,)."""
    reads, starts, members, weights = classes.of_cell(place)
    if not len(reads):
        return 0.0
    of_classes = np.add.reduceat(shares[members] * weights, starts[:-1])
    return float(reads @ np.log(of_classes))


def _expected_shares(
    fit: IsoformFit, cells: CellTable, num_samples: int, block: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Posterior mean of the isoforms' shares of a cell's expression, some cells at a time."""
    scale = Scale(library_size=1.0)
    everything = np.arange(cells.num_cells)
    for rows, draws in draw_expression(
        fit, fit.source(cells), everything, num_samples, block=block
    ):
        yield rows, scale.apply(draws, fit.model.genes).mean(0).cpu().numpy()


def _dense(matrix: csr_matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Rows of a matrix, some at a time."""
    for rows in blocks(*matrix.shape):
        yield rows, matrix[rows].toarray()
