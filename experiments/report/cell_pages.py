"""Content of the page of an isoform model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...data.cell_matrices import CellMatrices
from ...data.random_draws import sample_positions
from ..checks.cells import PANELS
from ..isoforms import inference
from .cell_values import Posteriors, cells_to_show, posteriors_of
from .check_curves import panels_of
from .columns import ALL_CELLS, Columns, columns_of, members_of
from .contents import Contents, counted, number
from .describing import curves_of, facts_of, named_guide, progress_of
from .encoding import logarithmic_codes, rounded
from .genes import ChosenGenes, choose_genes, normalised_estimates
from .group_values import GroupValues, group_values_of, groupings_with_room, mean_draws_of
from .maps import map_of
from .quality import check_of_cells, measures_of_cells
from .settings import MOST_BYTES, MOST_CELLS, MOST_ISOFORMS

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from ...data.cell_tables import CellTable
    from ..isoforms.fitting import IsoformFit

UNIT = "reads of 10\N{NO-BREAK SPACE}000"


@dataclass(frozen=True)
class CellOptions:
    """What users choose.

    Attributes
    ----------
    genes
        Genes that the page must hold.
    groupby
        Column of ``obs`` that groups the cells at first.
    replicates
        Replicates of the check; 0 leaves it out.
    seed
        Seed of all draws.
    """

    genes: Sequence[str] = ()
    groupby: str | None = None
    replicates: int = 20
    seed: int = 0


def contents_of_cells(
    fit: IsoformFit,
    history: pd.DataFrame,
    cells: CellTable | None,
    symbols: Mapping[str, str],
    options: CellOptions,
) -> Contents:
    """Gather the content of a page.

    Parameters
    ----------
    fit, history
        The fit, and a row for each epoch of its training.
    cells
        Cells with the isoforms of the fit; None if there are no data.
    symbols
        Readable name by gene, where one is known.
    options
        What users choose.

    Raises
    ------
    DataError
        If the cells lack an isoform of the fit, or a gene or a column does not exist.
    """
    data = fit.config["data"]
    sizes = f"{counted(len(fit.isoforms), 'isoform')} of {counted(len(fit.gene_names), 'gene')}"
    more = {"genes": len(fit.gene_names)}
    config = named_guide(fit.config, fit.guide)
    contents = Contents(
        kind="isoforms",
        title="Isoform expression of single cells",
        summary=f"Fitted to {counted(data['cells'], 'cell')} with {sizes}. {progress_of(history)}",
        facts=facts_of(config, fit.options, more),
        numbers={"training": curves_of(history)},
    )
    if cells is None:
        contents.notes.append(
            "The page was made without cells. With them it also shows quality, checks, cell states "
            "and genes."
        )
        return contents
    cells = fit.conform(cells)
    positions = sample_positions(np.arange(cells.num_cells), MOST_CELLS, options.seed)
    columns = columns_of(cells.obs.iloc[positions], options.groupby, fit.batch_key)
    counts = _counts(cells, positions)
    estimates = normalised_estimates(counts)
    shown = cells_to_show(next(iter(columns.groups.values())), options.seed)
    groupings = groupings_with_room(columns.groups, cells.num_isoforms)
    num_groups = sum(len(own.cat.categories) for own in groupings.values())
    bytes_of_a_feature = 2 * len(positions) + 8 * len(shown) + 6 * num_groups
    genes = choose_genes(fit, estimates, options.genes, MOST_BYTES // bytes_of_a_feature)
    contents.quality, contents.quality_scope = measures_of_cells(fit, cells, options.seed)
    contents.check = check_of_cells(fit, cells, options.replicates, options.seed)
    means = mean_draws_of(fit, groupings, len(positions), options.seed)
    posteriors = posteriors_of(fit, cells, positions, genes, shown, means, seed=options.seed)
    contents.notes += _notes(cells, positions, genes, columns, len(fit.gene_names))
    contents.numbers |= {
        "check": panels_of(contents.check, PANELS),
        "cells": _encoded_cells(fit, cells, positions, counts, columns),
        "genes": _encoded_genes(fit, genes, symbols),
        "expression": _encoded_expression(posteriors, estimates, genes, fit, columns, shown)
        | _encoded_means(group_values_of(fit, genes, groupings, means)),
    }
    return contents


def _counts(cells: CellTable, positions: np.ndarray) -> csr_matrix:
    """Estimates (reads) of cells at ascending positions, shape (cells, isoforms)."""
    parts = [matrices for _, matrices in cells.blocks(("counts",), positions)]
    return CellMatrices.joined(parts).counts


def _notes(
    cells: CellTable,
    positions: np.ndarray,
    genes: ChosenGenes,
    columns: Columns,
    number_of_genes: int,
) -> list[str]:
    """Tell what the page leaves out."""
    notes = []
    if len(positions) < cells.num_cells:
        notes.append(
            f"The page shows {number(len(positions))} of {number(cells.num_cells)} cells, chosen "
            "at random."
        )
    if len(genes.left_out):
        notes.append(
            f"The page holds {number(len(genes.codes))} of {counted(number_of_genes, 'gene')}: "
            "those asked for (--genes), then those whose estimates vary most between cells."
        )
    sizes = [len(own) for own in genes.isoforms]
    if max(sizes, default=0) == MOST_ISOFORMS:
        notes.append(f"Of a gene the {MOST_ISOFORMS} most expressed isoforms are shown.")
    if columns.left_out:
        notes.append(
            f"Columns of obs without use as a colour are left out: {', '.join(columns.left_out)}."
        )
    return notes


def _encoded_cells(
    fit: IsoformFit,
    cells: CellTable,
    positions: np.ndarray,
    counts: csr_matrix,
    columns: Columns,
) -> dict[str, Any]:
    """Names, places, columns, reads and uncertainty of the cells."""
    states = inference.states_of(fit.guide, fit.source(cells), positions)
    mapped = map_of(states.mean, "the cell state")
    reads = np.asarray(counts.sum(1)).ravel()
    encoded = columns.encoded()
    encoded["numbers"] += [
        {"name": "reads of the cell", "values": rounded(reads)},
        {
            "name": "uncertainty of the state",
            "values": rounded(np.sqrt(np.square(states.sd).mean(1))),
            "uncertain": True,
        },
    ]
    names = cells.names[positions].tolist()
    return {"names": names, "map": mapped, "all": ALL_CELLS, **encoded}


def _encoded_genes(
    fit: IsoformFit, genes: ChosenGenes, symbols: Mapping[str, str]
) -> dict[str, Any]:
    """Names of the genes and of their isoforms, and names of the genes left out."""
    names, isoforms = np.array(fit.gene_names), np.array(fit.isoforms)
    numbers_of_isoforms = np.bincount(fit.model.gene_codes.cpu().numpy(), minlength=len(names))
    shown = [
        {
            "name": name,
            "symbol": symbols.get(name, ""),
            "isoforms": isoforms[own].tolist(),
            "more": int(numbers_of_isoforms[code] - len(own)),
        }
        for code, name, own in zip(
            genes.codes, names[genes.codes].tolist(), genes.isoforms, strict=True
        )
    ]
    return {"shown": shown, "left_out": names[genes.left_out].tolist()}


def _encoded_expression(
    posteriors: Posteriors,
    estimates: csr_matrix,
    genes: ChosenGenes,
    fit: IsoformFit,
    columns: Columns,
    shown: np.ndarray,
) -> dict[str, Any]:
    """Posteriors of all features: the genes, and then the isoforms gene after gene."""
    some = estimates[shown].toarray()
    sums = np.zeros((len(fit.gene_names), len(shown)))
    np.add.at(sums, fit.model.gene_codes.cpu().numpy(), some.T)
    crosses = np.concatenate([sums[genes.codes], some.T[genes.columns]])
    detailed = {
        "mean": posteriors.mean[:, shown],
        "low": posteriors.low,
        "high": posteriors.high,
        "estimate": crosses,
    }
    means = {
        name: [rounded(row) for row in posteriors.mean @ _weights(groups)]
        for name, groups in columns.groups.items()
    }
    return {
        "unit": UNIT,
        "mean": logarithmic_codes(posteriors.mean, np.uint8),
        "sd": logarithmic_codes(posteriors.sd, np.uint8),
        "shown": shown.tolist(),
        **{f"shown_{name}": logarithmic_codes(own, np.uint16) for name, own in detailed.items()},
        "means": means,
    }


def _encoded_means(means: GroupValues) -> dict[str, Any]:
    """Means of groups of all features, where the groups of each column begin, and groups of one."""
    values = {name: own for name, own in means._asdict().items() if name != "starts"}
    encoded = {
        f"group_{name}": logarithmic_codes(np.nan_to_num(own), np.uint16)
        for name, own in values.items()
    }
    unsure = np.flatnonzero(np.isnan(means.low).any(0)).tolist()
    return {"groups": means.starts, "without_interval": unsure, **encoded}


def _weights(groups: pd.Series) -> np.ndarray:
    """Weights that average over the cells of each group, shape (cells, groups)."""
    member = members_of(groups)
    return (member / member.sum(1, keepdims=True)).T
