"""Posterior predictive checks of isoform models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from pyro.poutine import condition
from torch import Tensor

from ...data.bootstraps import BootstrapSummary
from ...data.cell_batches import CellBatch, batch_source
from ...data.cell_tables import CellTable
from ...data.random_draws import sample_positions
from ..drawing.panels import Curve, Panel
from ..isoforms.evaluation import chosen_positions
from ..isoforms.fitting import IsoformFit
from ..isoforms.inference import batches_of
from .bins import LogBins, ratio
from .cell_readings import LIBRARY, NOISE, NOISE_ZEROS, READINGS, VARIANCE, ZEROS
from .comparison import Check, Replication, check_blocks
from .settings import MAX_CELLS
from .verdicts import Judge

# Values (bootstraps of isoforms in cells) that are replicated at once.
_BLOCK = 1 << 22
# Observations that are statistics of bootstraps.
_BOOTSTRAPS = ("bootstrap_mean", "bootstrap_summary")
# The variance of isoforms and entries with fewer reads is counting noise, and left out.
_EXPRESSED = 1.0

_READS = LogBins(-2, 6, 4)  # of an isoform
_LIBRARIES = LogBins(0, 9, 10)  # of a cell
_RATIOS = LogBins(-4, 6, 50)  # of a variance and a mean

_OF_ISOFORM, _OF_ENTRY = "mean over cells (reads)", "mean of the bootstraps (reads)"
PANELS = (
    Panel(ZEROS, _OF_ISOFORM, "share of cells without a read"),
    Panel(VARIANCE, _OF_ISOFORM, "variance / mean (reads)", "xy"),
    Panel(LIBRARY, "reads of a cell", "share of cells per decade"),
    Panel(NOISE, _OF_ENTRY, "variance / mean (reads)", "xy"),
    Panel(NOISE_ZEROS, _OF_ENTRY, "share of bootstraps that are 0"),
)


class CellStatistics:
    """Statistics of cells, in memory that does not grow with their number.

    Parameters
    ----------
    num_isoforms
        G.
    has_bootstraps
        Whether the model describes bootstraps, or one count of an isoform in a cell.
    """

    def __init__(self, num_isoforms: int, has_bootstraps: bool) -> None:
        self.has_bootstraps = has_bootstraps
        self.num_cells = 0
        self.some_zero = 0.0
        self.absent, self.sums, self.squares = np.zeros((3, num_isoforms))
        self.log_libraries = np.zeros(2)
        self.libraries = np.zeros(_LIBRARIES.size)
        # By the mean of an entry: entries, their variance / mean, and their share of zeros.
        self.entries, self.noise, self.zeros = np.zeros((3, _READS.size))
        self.ratios = np.zeros(_RATIOS.size)

    def add(self, summary: BootstrapSummary) -> None:
        """Take in cells: a summary (reads) whose entries have shape (cells, isoforms)."""
        zeros, positives, mean, squares = (part.cpu().numpy().astype(float) for part in summary)
        size = zeros + positives
        overall = positives * mean / size
        self.num_cells += len(overall)
        self.absent += (positives == 0).sum(0)
        self.sums += overall.sum(0)
        self.squares += np.square(overall).sum(0)
        library = np.maximum(overall.sum(1), 1.0)
        self.libraries += _LIBRARIES.sums(library)
        self.log_libraries += [np.log10(library).sum(), np.square(np.log10(library)).sum()]
        if self.has_bootstraps:
            self._add_bootstraps(overall, zeros, size, squares + positives * zeros / size * mean**2)

    def _add_bootstraps(
        self, mean: np.ndarray, zeros: np.ndarray, size: np.ndarray, squares: np.ndarray
    ) -> None:
        """Take in moments of the bootstraps of entries, all of shape (cells, isoforms)."""
        several = size > 1
        seen = several & (mean > 0)
        self.some_zero += np.sum(seen & (zeros > 0))
        mean, share = mean[seen], (zeros / size)[seen]
        of_counting = squares[seen] / (size[seen] - 1) / mean
        self.entries += _READS.sums(mean)
        self.noise += _READS.sums(mean, of_counting)
        self.zeros += _READS.sums(mean, share)
        self.ratios += _RATIOS.sums(of_counting[mean > _EXPRESSED])

    @property
    def _means(self) -> np.ndarray:
        """Mean of each isoform over cells (reads), shape (isoforms,)."""
        return self.sums / self.num_cells

    @property
    def _variance_ratios(self) -> np.ndarray:
        """Variance over cells / mean of each isoform (reads), shape (isoforms,)."""
        centred = self.squares / self.num_cells - self._means**2
        scale = self.num_cells / max(self.num_cells - 1, 1)
        return ratio(np.maximum(centred, 0.0) * scale, self._means)

    def scalars(self) -> dict[str, float]:
        """Give each statistic by its name, with its unit."""
        num_entries = self.num_cells * len(self.sums)
        first, second = self.log_libraries / self.num_cells
        over_cells = self._variance_ratios[self._means > _EXPRESSED]
        found = {"share of entries without a read": self.absent.sum() / num_entries}
        for level in (0.5, 0.9):
            name = f"variance / mean over cells, {level:.0%} quantile of isoforms (reads)"
            found[name] = np.quantile(over_cells, level) if len(over_cells) else np.nan
        found["mean log10 library size"] = first
        found["sd of log10 library size"] = np.sqrt(max(second - first**2, 0.0))
        if self.has_bootstraps:
            found["share of entries with reads in some bootstraps"] = self.some_zero / num_entries
            for level in (0.5, 0.9):
                name = f"variance / mean of bootstraps, {level:.0%} quantile of entries (reads)"
                found[name] = _RATIOS.quantile(self.ratios, level)
        return {name: float(value) for name, value in found.items()}

    def curves(self) -> dict[str, Curve]:
        """Give x and y of each panel by its title."""
        means = self._means
        number = _READS.sums(means)
        absent = _READS.sums(means, self.absent / self.num_cells)
        variance = _READS.sums(means, np.nan_to_num(self._variance_ratios))
        per_decade = self.libraries / self.num_cells * _LIBRARIES.per_decade
        curves = {
            ZEROS: (_READS.centres, ratio(absent, number)),
            VARIANCE: (_READS.centres, ratio(variance, number)),
            LIBRARY: (_LIBRARIES.centres, np.where(per_decade > 0, per_decade, np.nan)),
        }
        if self.has_bootstraps:
            curves[NOISE] = (_READS.centres, ratio(self.noise, self.entries))
            curves[NOISE_ZEROS] = (_READS.centres, ratio(self.zeros, self.entries))
        return curves


def check_cells(
    fit: IsoformFit,
    cells: CellTable,
    *,
    subset: str = "all",
    replication: Replication = Replication(),  # noqa: B008  (immutable)
    max_cells: int = MAX_CELLS,
    block_size: int = _BLOCK,
) -> Check:
    """Compare cells with cells generated by a fit.

    Parameters
    ----------
    fit, cells
        The fit, and cells with its isoforms.
    subset
        ``all``, ``train`` or ``held-out``.
    replication
        How the cells are replicated; with latents from the prior each new cell has the batch and
        the number of bootstraps of an observed one.
    max_cells
        Number of cells above which as many, chosen at random, are checked.
    block_size
        Values (bootstraps of isoforms in cells) that are replicated at once.

    Raises
    ------
    DataError
        If the cells have other isoforms than the fit, or none is in the subset.
    """
    cells = fit.conform(cells)
    positions = chosen_positions(fit, cells, subset)
    chosen = sample_positions(positions, max_cells, replication.seed)
    has_bootstraps = fit.model.observes in _BOOTSTRAPS
    torch.manual_seed(replication.seed)
    check = check_blocks(
        lambda: CellStatistics(cells.num_isoforms, has_bootstraps),
        _blocks(fit, cells, chosen, has_bootstraps, replication, block_size),
        replication.num_replicates,
        Judge("cells", READINGS, fit.options | fit.config["training"]),
    )
    return replace(check, scope=_scope(len(chosen), len(positions), replication.num_replicates))


def _scope(checked: int, available: int, num_replicates: int) -> str:
    chosen = f"{checked} of {available}, chosen at random" if checked < available else f"{checked}"
    return f"cells: {chosen}; replicates: {num_replicates}"


def _blocks(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    has_bootstraps: bool,
    replication: Replication,
    block_size: int,
) -> Iterator[tuple[int, tuple[BootstrapSummary]]]:
    """Give each minibatch of cells as data set 0, and then its replicates as 1, 2, ..."""
    size = block_size // (int(cells.num_bootstraps.max()) if has_bootstraps else 1)
    observes = "bootstrap_summary" if has_bootstraps else fit.model.observes
    source = batch_source(cells, observes, fit.device)
    source.follow(fit.model, fit.guide)
    for batch in batches_of(source, positions, size):
        yield 0, (summary_of(batch.obs),)
        replicates = replicate_cells(fit, batch, replication.latents, replication.num_replicates)
        for number, summary in replicates:
            yield number + 1, (summary,)


def summary_of(obs: Tensor) -> BootstrapSummary:
    """Summarise counts, shape (cells, isoforms), as one bootstrap, or unstack statistics."""
    if obs.dim() == 3:
        return BootstrapSummary.unstacked(obs)
    return BootstrapSummary.of(obs.unsqueeze(-1))


@torch.no_grad()
def replicate_cells(
    fit: IsoformFit,
    batch: CellBatch,
    latents: str,
    num_replicates: int,
) -> Iterator[tuple[int, BootstrapSummary]]:
    """Generate cells like the cells of a minibatch.

    Parameters
    ----------
    fit
        The fit.
    batch
        The minibatch.
    latents
        ``posterior`` or ``prior``.
    num_replicates
        Number of times that each cell is replicated.

    Yields
    ------
    tuple
        Number of the replicate, from 0 on, and its summary (reads), whose entries have shape
        (cells, isoforms).
    """
    observed = summary_of(batch.obs)
    sizes = (observed.zeros + observed.positives)[:, 0].round().long()
    # The model generates as many bootstraps as the guide would read: here all observed ones.
    every = torch.arange(len(sizes) + 1, device=sizes.device) * sizes.max()
    generated = batch._replace(offsets=every, obs=None)
    posteriors = {}
    if latents == "posterior":
        posteriors = fit.guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
    for number in range(num_replicates):
        drawn = {name: posterior.sample() for name, posterior in posteriors.items()}
        # The model's return value has the same shape whatever its plates are.
        yield number, _summarise(condition(fit.model, drawn)(*generated), sizes)


def _summarise(counts: Tensor, sizes: Tensor) -> BootstrapSummary:
    """Summarise generated counts (reads), keeping as many as each cell has bootstraps.

    Parameters
    ----------
    counts
        Shape (cells, isoforms) or (cells, isoforms, bootstraps).
    sizes
        Number of bootstraps of each cell, shape (cells,).
    """
    if counts.dim() == 2:
        counts = counts.unsqueeze(-1)
    kept = torch.arange(counts.shape[-1], device=counts.device) < sizes[:, None, None]
    summary = BootstrapSummary.of(counts * kept)
    return summary._replace(zeros=sizes[:, None] - summary.positives)
