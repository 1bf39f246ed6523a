"""Cells and a fit in memory: the base of the methods of :class:`exvae.IsoformModel`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from ...data.any_cells import get_cells
from ...data.cell_tables import CellTable
from ...data.errors import DataError
from ...data.progress import progress_bar
from . import fitting
from .expression import draw_expression


class FittedModel:
    """Cells, and a model of them once it is trained.

    A subclass sets the attributes ``_cells``, ``_adata``, ``_fit`` and ``_keys``.
    """

    _cells: CellTable | None
    _adata: AnnData | None
    _fit: fitting.IsoformFit | None
    _keys: dict[str, str | None]  # see IsoformFit.keys

    @property
    def module(self) -> Any:
        """The Pyro model."""
        return self._trained().model

    @property
    def guide(self) -> Any:
        """The Pyro guide."""
        return self._trained().guide

    def features(self, level: str = "isoform") -> pd.DataFrame:
        """Table of the isoforms, with the gene of each, or of the genes."""
        fit = self._trained()
        if level == "gene":
            return pd.DataFrame(index=pd.Index(fit.gene_names, name="gene"))
        return pd.DataFrame({"gene": fit.genes}, index=pd.Index(fit.isoforms, name="isoform"))

    def _trained(self) -> fitting.IsoformFit:
        if self._fit is None:
            raise DataError("the model is not trained; call its method train() first")
        return self._fit

    def _own_cells(self) -> CellTable:
        if self._cells is None:
            raise DataError("the model was loaded without cells; give adata")
        if self._adata is not None:
            # Columns of obs and the order of the cells are those that the AnnData has now.
            if self._adata.obs_names.tolist() != self._cells.names.tolist():
                self._cells = get_cells(self._adata, **self._keys)
            self._cells = replace(self._cells, obs=self._adata.obs)
        return self._cells

    def _read(self, adata: AnnData | str | Path | None) -> CellTable:
        return self._own_cells() if adata is None else get_cells(adata, **self._keys)

    def _conformed(self, adata: AnnData | str | Path | None, new_batches: str | None) -> CellTable:
        return self._trained().conform(self._read(adata), new_batches)

    def _draws(
        self, cells: CellTable, num_samples: int, seed: int, transform_batch: str | None = None
    ) -> Iterator[torch.Tensor]:
        """Draw the expression of cells (reads), block by block, (draws, cells, isoforms)."""
        fit = self._trained()
        code = None if transform_batch is None else fit.code_of_batch(transform_batch)
        torch.manual_seed(seed)
        source, everything = fit.source(cells), np.arange(cells.num_cells)
        with progress_bar(cells.num_cells, "expression", delay=1.0) as bar:
            for rows, draws in draw_expression(
                fit, source, everything, num_samples, transform_batch=code
            ):
                yield draws
                bar.update(rows.stop - rows.start)

    def _columns(
        self, level: str, isoforms: Sequence[str] | None, genes: Sequence[str] | None
    ) -> np.ndarray:
        """Positions of chosen isoforms or genes, in the order of the fit; all if none is chosen."""
        table = self.features(level)
        chosen = np.ones(len(table), bool)
        for what, names in (("gene", genes), ("isoform", isoforms)):
            if names is None:
                continue
            names = [names] if isinstance(names, str) else names
            if what == "isoform" and level == "gene":
                raise ValueError("isoforms selects isoforms, but level is gene; give genes")
            known = table["gene"] if what == "gene" and level == "isoform" else table.index
            missing = set(names) - set(known)
            if missing:
                raise DataError(f"the model has no {what} {min(missing)!r}")
            chosen &= np.asarray(known.isin(list(names)))
        return np.flatnonzero(chosen)
