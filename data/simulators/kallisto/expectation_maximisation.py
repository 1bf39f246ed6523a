"""Counts of isoforms from counts of equivalence classes, as kallisto estimates them.

The algorithm follows kallisto 0.48 (``EMAlgorithm.h`` of pachterlab/kallisto; Bray et al. 2016,
Near-optimal probabilistic RNA-seq quantification) to the last round: initial values, stopping rule
and small values set to zero. These choices show in the estimates, as kallisto stops before the
optimum.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from .equivalence_classes import EquivalenceClasses

# A problem has settled when, after so many rounds, no isoform changes by more than this share;
# isoforms of fewer reads than the limit are ignored.
_LEAST_ROUNDS, _MOST_ROUNDS = 50, 10_000
_CHANGE, _CHANGE_LIMIT = 1e-2, 1e-2
# Then isoforms of fewer reads are set to zero, and one more round follows.
_ZERO = 1e-8
# Instead of zero where a class that has reads loses all its isoforms.
_TINY = 1e-300


class Estimates(NamedTuple):
    """Result of expectation maximisation.

    Attributes
    ----------
    counts
        Reads of each isoform, shape (problems, isoforms), float64.
    rounds
        Number of rounds as kallisto counts them, from 0, shape (problems,), int64.
    """

    counts: np.ndarray
    rounds: np.ndarray


def estimate_counts(
    classes: EquivalenceClasses, class_counts: np.ndarray, device: torch.device | str = "cpu"
) -> Estimates:
    """Estimate the counts of isoforms, for several problems at once.

    Problems are independent; the more classes without reads they share, the faster they are.

    Parameters
    ----------
    classes
        Isoforms of each class.
    class_counts
        Reads of each class, shape (problems, classes); a problem is a cell or a bootstrap.
    device
        Device of the computation.
    """
    num_isoforms = classes.members.shape[1]
    # The class of an isoform alone needs no estimate, nor do isoforms that have no other class.
    counts = class_counts[:, :num_isoforms].astype(np.float64)
    rounds = np.full(len(counts), _LEAST_ROUNDS + 2)
    shared = num_isoforms + np.flatnonzero(class_counts[:, num_isoforms:].any(0))
    if len(shared):
        members = classes.members[shared]
        isoforms = np.unique(members.indices)
        weights = members[:, isoforms].multiply(1 / classes.effective_lengths[isoforms]).tocsr()
        batch = _Batch(
            weights, counts[:, isoforms].T, class_counts[:, shared].T, 1 / num_isoforms, device
        )
        with _one_thread():
            batch.run()
        counts[:, isoforms], rounds = batch.estimates.T.cpu().numpy(), batch.rounds.cpu().numpy()
    return Estimates(counts, rounds)


class _Batch:
    """Problems that are iterated together; a problem that is done is dropped.

    Parameters
    ----------
    weights
        Weights of the isoforms in each class, shape (classes, isoforms).
    singles
        Reads that only this isoform fits, shape (isoforms, problems).
    class_counts
        Reads of each class, shape (classes, problems).
    start
        Reads that each isoform starts with.
    device
        Device of the computation.
    """

    def __init__(
        self,
        weights: csr_matrix,
        singles: np.ndarray,
        class_counts: np.ndarray,
        start: float,
        device: torch.device | str,
    ) -> None:
        self._to_classes = _sparse(weights, device)
        self._to_isoforms = _sparse(weights.T.tocsr(), device)
        self._singles = torch.tensor(singles, dtype=torch.float64, device=device)
        self._class_counts = torch.tensor(class_counts, dtype=torch.float64, device=device)
        self._counts = torch.full_like(self._singles, start)
        self._problems = torch.arange(self._counts.shape[1], device=device)
        # An isoform of each problem that changed when all were last looked at.
        self._changing = torch.zeros_like(self._problems)
        self.estimates = torch.empty_like(self._counts)
        self.rounds = torch.full_like(self._problems, _MOST_ROUNDS)

    def run(self) -> None:
        """Iterate until every problem is done."""
        settled = torch.zeros_like(self._problems, dtype=torch.bool)
        for number in range(_MOST_ROUNDS):
            before, self._counts = self._counts, self._next_counts()
            if number <= _LEAST_ROUNDS:
                continue
            if settled.any():
                self.rounds[self._problems[settled]] = number
                before = self._drop(settled, before)
                if not len(self._problems):
                    return
            settled = self._find_settled(before)
            if settled.any():
                own = self._counts[:, settled]
                self._counts[:, settled] = own.where(own >= _ZERO, 0.0)
        self.estimates[:, self._problems] = self._counts

    def _next_counts(self) -> Tensor:
        expected = (self._to_classes @ self._counts).clamp_(min=_TINY)
        torch.div(self._class_counts, expected, out=expected)
        return (self._to_isoforms @ expected).mul_(self._counts).add_(self._singles)

    def _drop(self, done: Tensor, before: Tensor) -> Tensor:
        """Keep the estimates of problems that are done and go on with the others."""
        self.estimates[:, self._problems[done]] = self._counts[:, done]
        rest = ~done
        self._problems, self._changing = self._problems[rest], self._changing[rest]
        self._singles, self._class_counts = self._singles[:, rest], self._class_counts[:, rest]
        self._counts = self._counts[:, rest]
        return before[:, rest]

    def _find_settled(self, before: Tensor) -> Tensor:
        """Whether each problem has settled, shape (problems,).

        One isoform that still changes settles the question without a look at the others.
        """
        known = self._changing.unsqueeze(0)
        settled = ~_changes(before.gather(0, known), self._counts.gather(0, known)).squeeze(0)
        open_ = settled.nonzero().squeeze(-1)
        if len(open_):
            changes = _changes(before[:, open_], self._counts[:, open_])
            found, self._changing[open_] = changes.to(torch.uint8).max(0)
            settled[open_] = found == 0
        return settled


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread on the CPU, as others would wait for each other at every step."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _changes(before: Tensor, after: Tensor) -> Tensor:
    """Whether counts (reads) still change too much, in the shape of both arguments."""
    return ((after - before).abs() > _CHANGE * after) & (after > _CHANGE_LIMIT)


def _sparse(matrix: csr_matrix, device: torch.device | str) -> Tensor:
    parts = [
        torch.from_numpy(part.astype(kind)).to(device)
        for part, kind in (
            (matrix.indptr, np.int64),
            (matrix.indices, np.int64),
            (matrix.data, np.float64),
        )
    ]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(*parts, size=matrix.shape, check_invariants=False)
