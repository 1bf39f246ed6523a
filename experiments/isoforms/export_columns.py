"""Columns of an export: the isoforms of the fit, or its genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from ...data.errors import DataError
from ...data.h5ad.reading import CellFile
from .fitting import IsoformFit

# Columns of var by which genes are chosen.
_NAMES = ("gene", "gene_name")


@dataclass(frozen=True)
class ExportColumns:
    """Isoforms or genes of an export, and how they come from the columns of the cells.

    Attributes
    ----------
    places
        Columns of the cells that hold the exported isoforms, shape (isoforms,).
    chosen
        Positions of the exported isoforms, or genes, among those of the fit, shape (columns,).
    groups
        For genes: column of each exported isoform, shape (isoforms,); None for isoforms.
    var
        A row for each column.
    """

    places: np.ndarray
    chosen: np.ndarray
    groups: np.ndarray | None
    var: pd.DataFrame

    @classmethod
    def of(
        cls, fit: IsoformFit, file: CellFile, level: str, genes: Sequence[str] | None
    ) -> ExportColumns:
        """Find the columns.

        Parameters
        ----------
        fit
            The fit.
        file
            The cells, which have all isoforms of the fit.
        level
            ``isoform`` or ``gene``.
        genes
            Names of genes to which the export is limited; None takes all.

        Raises
        ------
        DataError
            If there is no such gene.
        """
        places = pd.Index(file.isoforms).get_indexer(fit.isoforms)
        own = np.asarray(fit.genes)
        kept = np.arange(len(own))
        if genes is not None:
            named = [file.var[name].astype(str).to_numpy() for name in _NAMES if name in file.var]
            kept = _isoforms_of(genes, [own, *(names[places] for names in named)])
        places, own = places[kept], own[kept]
        if level == "isoform":
            return cls(places, kept, None, file.var.iloc[places])
        names, first, groups = np.unique(own, return_index=True, return_inverse=True)
        var = pd.DataFrame({"n_isoforms": np.bincount(groups)}, index=pd.Index(names, name="gene"))
        if "gene_name" in file.var:
            var["gene_name"] = file.var["gene_name"].to_numpy()[places[first]]
        chosen = pd.Index(fit.gene_names).get_indexer(names)
        return cls(places, chosen, groups, var)

    def take(self, rows: csr_matrix | np.ndarray) -> csr_matrix | np.ndarray:
        """Make the exported columns of rows of the cells, shape (rows, isoforms of the cells)."""
        taken = rows[:, self.places]
        if self.groups is not None:
            ones = np.ones(len(self.groups), taken.dtype)
            entries = (ones, (np.arange(len(self.groups)), self.groups))
            taken = taken @ csr_matrix(entries, (len(self.groups), len(self.var)))
        if not isinstance(taken, np.ndarray):
            taken.sort_indices()
        return taken


def _isoforms_of(genes: Sequence[str], named: Sequence[np.ndarray]) -> np.ndarray:
    """Positions of the isoforms of genes, any of whose names, shape (isoforms,), is asked for."""
    known = set().union(*(names.tolist() for names in named))
    missing = [gene for gene in genes if gene not in known]
    if missing or not len(genes):
        named_first = f"no gene {missing[0]!r}" if missing else "no gene to export"
        more = f" ({len(missing)} such names)" if len(missing) > 1 else ""
        raise DataError(f"the fit has {named_first}{more}; give names of var['gene']")
    return np.flatnonzero(np.any([np.isin(names, list(genes)) for names in named], axis=0))
