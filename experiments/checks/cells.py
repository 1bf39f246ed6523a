"""Posterior predictive checks of models of isoforms."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from pyro.infer import Predictive
from torch import Tensor

from ...data.bootstraps import BootstrapSummary
from ...data.cells import CellBatch, Cells
from ..drawing.panels import Curve, Panel
from ..isoforms.evaluation import chosen_positions
from ..isoforms.fitting import IsoformFit, tensors_of
from ..isoforms.inference import batches_of
from ..isoforms.settings import IsoformConfig
from .bins import LogBins, ratio
from .comparison import Check, compare

# Values (bootstraps of isoforms in cells) that are replicated at once.
_BLOCK = 1 << 22
# Isoforms and entries of fewer reads are not asked for their variance: it is that of counting.
_EXPRESSED = 1.0

_READS = LogBins(-2, 6, 4)  # of an isoform
_LIBRARIES = LogBins(0, 9, 10)  # of a cell
_RATIOS = LogBins(-4, 6, 50)  # of a variance and a mean

_ZEROS, _VARIANCE, _LIBRARY = "zeros of isoforms", "variance over cells", "library size"
_NOISE, _NOISE_ZEROS = "variance of bootstraps", "zeros of bootstraps"
_OF_ISOFORM, _OF_ENTRY = "mean over cells (reads)", "mean of the bootstraps (reads)"
PANELS = (
    Panel(_ZEROS, _OF_ISOFORM, "share of cells without a read"),
    Panel(_VARIANCE, _OF_ISOFORM, "variance / mean (reads)", "xy"),
    Panel(_LIBRARY, "reads of a cell", "share of cells per decade"),
    Panel(_NOISE, _OF_ENTRY, "variance / mean (reads)", "xy"),
    Panel(_NOISE_ZEROS, _OF_ENTRY, "share of bootstraps that are 0"),
)


class CellStatistics:
    """What cells look like, in memory that does not grow with their number.

    Parameters
    ----------
    num_isoforms
        G.
    has_bootstraps
        Whether there is more than one count of an isoform in a cell.
    """

    def __init__(self, num_isoforms: int, has_bootstraps: bool) -> None:
        self.has_bootstraps = has_bootstraps
        self.num_cells = 0
        self.some_zero = 0.0
        self.absent, self.sums, self.squares = np.zeros((3, num_isoforms))
        self.log_libraries = np.zeros(2)
        self.libraries = np.zeros(_LIBRARIES.size)
        # By the mean of an entry: entries, their variance / mean, their share of zeros.
        self.entries, self.noise, self.zeros = np.zeros((3, _READS.size))
        self.ratios = np.zeros(_RATIOS.size)

    def add(self, summary: BootstrapSummary) -> None:
        """Take some cells in, entries of shape (cells, isoforms)."""
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
        """Take in how the bootstraps of each entry scatter around their mean."""
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
        return self.sums / self.num_cells

    @property
    def _variance_ratios(self) -> np.ndarray:
        """Variance over cells / mean, of isoforms that are seen (reads)."""
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
            _ZEROS: (_READS.centres, ratio(absent, number)),
            _VARIANCE: (_READS.centres, ratio(variance, number)),
            _LIBRARY: (_LIBRARIES.centres, np.where(per_decade > 0, per_decade, np.nan)),
        }
        if self.has_bootstraps:
            curves[_NOISE] = (_READS.centres, ratio(self.noise, self.entries))
            curves[_NOISE_ZEROS] = (_READS.centres, ratio(self.zeros, self.entries))
        return curves


def check_cells(
    fit: IsoformFit,
    cells: Cells,
    *,
    subset: str = "all",
    latents: str = "posterior",
    num_replicates: int = 100,
    seed: int = 0,
    block_size: int = _BLOCK,
) -> Check:
    """Compare cells with cells that a fit generates.

    Parameters
    ----------
    fit
        The fit.
    cells
        Of the isoforms of the fit.
    subset
        ``all``, ``train`` or ``held-out``.
    latents
        ``posterior``: replicate the very cells, their latent variables drawn from the guide;
        ``prior``: other cells of the same batches and numbers of bootstraps.
    num_replicates
        Of all the cells, at least 2.
    seed
        Of all draws.
    block_size
        Values (bootstraps of isoforms in cells) that are replicated at once.

    Raises
    ------
    DataError
        If the cells are not of the isoforms of the fit, or none is in the subset.
    """
    cells = fit.conform(cells)
    positions = chosen_positions(fit, cells, subset)
    tensors = tensors_of(IsoformConfig(**fit.config["model"]), cells, fit.device)
    has_bootstraps = fit.config["model"]["model"] != "scvi"
    torch.manual_seed(seed)
    observed, *replicated = (
        CellStatistics(cells.num_isoforms, has_bootstraps) for _ in range(num_replicates + 1)
    )
    size = block_size // (int(cells.num_bootstraps.max()) if has_bootstraps else 1)
    for batch in batches_of(tensors, positions, size):
        observed.add(summary_of(batch.obs))
        for number, summary in replicate_cells(
            fit, batch, latents, num_replicates, block_size=block_size
        ):
            replicated[number].add(summary)
    return compare(observed, replicated)


def summary_of(obs: BootstrapSummary | Tensor) -> BootstrapSummary:
    """Summarise counts, shape (cells, isoforms), as one bootstrap; summaries stay as they are."""
    return obs if isinstance(obs, BootstrapSummary) else BootstrapSummary.of(obs.unsqueeze(-1))


def replicate_cells(
    fit: IsoformFit,
    batch: CellBatch,
    latents: str,
    num_replicates: int,
    *,
    block_size: int = _BLOCK,
) -> Iterator[tuple[int, BootstrapSummary]]:
    """Generate cells like those of a minibatch.

    Yields
    ------
    tuple
        Number of the replicate, and its summary, entries of shape (cells, isoforms).
    """
    observed = summary_of(batch.obs)
    sizes = (observed.zeros + observed.positives)[:, 0].round().long()
    largest = int(sizes.max())
    # The model generates as many as the guide would read: here all that were observed.
    every = torch.arange(len(sizes) + 1, device=sizes.device) * largest
    generated = batch._replace(offsets=every, obs=None)
    values_of_one = observed.zeros.numel() * largest
    at_once = max(1, block_size // values_of_one)
    for first in range(0, num_replicates, at_once):
        number = min(at_once, num_replicates - first)
        drawn = {}
        if latents == "posterior":
            drawn = Predictive(fit.guide, num_samples=number)(*batch)
        # What the model returns has the same shape whatever its plates are.
        predictive = Predictive(fit.model, drawn, num_samples=number, return_sites=["_RETURN"])
        for offset, counts in enumerate(predictive(*generated)["_RETURN"]):
            yield first + offset, _summarise(counts, sizes)


def _summarise(counts: Tensor, sizes: Tensor) -> BootstrapSummary:
    """Summarise generated counts, of which each cell keeps as many as it has bootstraps."""
    if counts.dim() == 2:
        counts = counts.unsqueeze(-1)
    kept = torch.arange(counts.shape[-1], device=counts.device) < sizes[:, None, None]
    summary = BootstrapSummary.of(counts * kept)
    return summary._replace(zeros=sizes[:, None] - summary.positives)
