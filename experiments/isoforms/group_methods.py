"""Groups of cells: methods of :class:`exvae.IsoformModel`."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch
from anndata import AnnData

from ...data.progress import progress_bar
from . import differences
from .expression import scale_of
from .fitted_model import FittedModel
from .group_means import group_means
from .groups import Grouping, labels_of
from .settings import EXPRESSION_THRESHOLD, LIBRARY_SIZE, POSTERIOR_SAMPLES, USAGE_THRESHOLD


class GroupMethods(FittedModel):
    """Means of groups of cells, and differences between groups."""

    def group_summary(
        self,
        groupby: str,
        *,
        level: str = "isoform",
        adata: AnnData | str | Path | None = None,
        library_size: float | str = LIBRARY_SIZE,
        num_samples: int = POSTERIOR_SAMPLES,
        seed: int = 0,
        new_batches: str | None = None,
    ) -> pd.DataFrame:
        """Mean expression of groups of cells, with 95 % intervals.

        Estimated is the mean over all cells like those of the group, of which its cells are a
        sample. The interval includes the variation between cells, the uncertainty of each, and the
        quantifier's errors that all cells share.

        Parameters
        ----------
        groupby
            Column of ``obs`` with the group of a cell; cells without a value are left out.
        level, adata, library_size, num_samples, seed, new_batches
            As for :meth:`get_expression`; by default cells are normalised.

        Returns
        -------
        pandas.DataFrame
            A row for each group and isoform or gene: ``group``, ``gene``, ``isoform``, ``mean``,
            ``low``, ``high``, ``cells``; no interval (NaN) for a group of one cell.

        Raises
        ------
        DataError
            If there is no such column.

        Examples
        --------
        >>> model = exvae.IsoformModel("cells.h5ad", latent_size=5).train(max_epochs=2)
        >>> means = model.group_summary("cell_type", level="gene")
        >>> list(means.columns)
        ['group', 'gene', 'mean', 'low', 'high', 'cells']
        """
        cells = self._conformed(adata, new_batches)
        scale = scale_of(level, library_size, cells)
        labels = labels_of(cells, Grouping(groupby), least=1)
        torch.manual_seed(seed)
        with progress_bar(int((labels != "").sum()), "group means", delay=1.0) as bar:
            return group_means(
                self._trained(), cells, labels, scale, num_samples, progress=bar.update
            )

    def differential_expression(
        self,
        groupby: str,
        *,
        level: str = "isoform",
        reference: str | None = None,
        threshold: float = EXPRESSION_THRESHOLD,
        replicate_key: str | None = None,
        adata: AnnData | str | Path | None = None,
    ) -> pd.DataFrame:
        """Compare the expression of isoforms or genes between groups of cells.

        Cells are normalised to one depth. The means of the bootstraps give the estimates: group
        means of the posterior are no more accurate, and their errors are not independent between
        cells.

        Parameters
        ----------
        groupby
            Column of ``obs`` with the group of a cell; cells without a value are left out.
        level
            ``isoform`` or ``gene``.
        reference
            Group to compare the others with; None compares each with all others.
        threshold
            Least absolute log2 fold change that counts.
        replicate_key
            Column of ``obs`` with the replicate (donor, sample) of a cell. Then not the cells but
            the means of the replicates are compared, with moderated variances.
        adata
            Cells; those of the model by default. Isoforms are selected by name.

        Returns
        -------
        pandas.DataFrame
            A row for each isoform or gene and group, most probable first: ``gene``, ``isoform``,
            ``group``, ``reference``, ``mean`` and ``reference_mean`` (reads of 10 000),
            ``log2_fold_change`` with ``low`` and ``high``, the ends of its 95 % interval,
            ``standard_error``, ``degrees_of_freedom``; ``shrunken_log2_fold_change``, the posterior
            mean; ``probability`` that the absolute log2 fold change exceeds the threshold; and
            ``expected_fdr``, the share of false discoveries to expect among the rows down to this
            one. Probability and posterior mean let isoforms of few reads lean on their gene.

        Raises
        ------
        DataError
            If the column, the reference or enough replicates are missing, or bootstraps.

        Examples
        --------
        >>> model = exvae.IsoformModel("cells.h5ad", latent_size=5).train(max_epochs=2)
        >>> changes = model.differential_expression("cell_type", level="gene")
        >>> found = changes[changes["expected_fdr"] <= 0.05]
        >>> len(changes)
        8
        """
        reference = None if reference is None else str(reference)  # as labels are
        grouping = Grouping(groupby, reference, replicate_key)
        cells = self._conformed(adata, "average")
        return differences.differential_expression(cells, grouping, level, threshold)

    def differential_usage(
        self,
        groupby: str,
        *,
        reference: str | None = None,
        threshold: float = USAGE_THRESHOLD,
        replicate_key: str | None = None,
        adata: AnnData | str | Path | None = None,
    ) -> pd.DataFrame:
        """Compare isoforms' shares of their gene's reads between groups of cells.

        Models of reads compare reads by class, all others bootstraps.

        Parameters
        ----------
        groupby, reference, replicate_key, adata
            As for :meth:`differential_expression`.
        threshold
            Least absolute difference of usage that counts.

        Returns
        -------
        pandas.DataFrame
            A row for each isoform and group, in the order of the genes' evidence: ``gene``,
            ``isoform``, ``group``, ``reference``, ``usage``, ``difference`` with ``low`` and
            ``high``, the ends of its 95 % interval, ``standard_error``, ``degrees_of_freedom``,
            ``information`` (reads); ``probability`` that the difference exceeds the threshold,
            ``gene_probability`` that any of the gene does, and ``expected_fdr``, the share of false
            discoveries to expect among the genes down to this one.

        Raises
        ------
        DataError
            If the column, the reference, genes, enough replicates, bootstraps or reads are missing.

        Examples
        --------
        >>> model = exvae.IsoformModel("cells.h5ad", latent_size=5).train(max_epochs=2)
        >>> usage = model.differential_usage("cell_type")
        >>> sorted(usage["group"].unique())
        ['type1']
        """
        reference = None if reference is None else str(reference)  # as labels are
        grouping = Grouping(groupby, reference, replicate_key)
        cells = self._conformed(adata, "average")
        by_reads = self._trained().model.observes == "reads"
        return differences.differential_usage(cells, grouping, threshold, by_reads=by_reads).table
