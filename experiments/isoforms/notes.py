"""Facts that users of isoform models should know: commands print them, functions warn of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # pictures tell notes too, and need no torch
    from anndata import AnnData

    from ...data.cell_tables import CellTable
    from ...models.cells import CellModel

# Cells below which a model learns little of what cells share.
FEW_CELLS = 20
# The largest logarithm of reads, of a hundred million.
LARGEST_LOG = 18.5
# The same for what the cells of a batch share.
FEW_IN_BATCH = 5
# More batches than these whose names are fractions may be measurements.
MANY_BATCHES = 10
_LOST = (
    "var lacks the columns of exvae isoforms import; keep them with anndata.concat(..., "
    'merge="same"), or import with --t2g'
)


def notes_of_cells(cells: CellTable, model: type[CellModel]) -> Iterator[str]:
    """Tell in a line each what a fit of a model to these cells suffers from."""
    from ...data.counting_noise import told_too_steady  # it imports torch

    if cells.num_cells < FEW_CELLS:
        yield (
            f"{cells.source}: {cells.num_cells} cells tell a model little of what cells share; "
            f"give {FEW_CELLS} or more"
        )
    number = len(cells.batch_names)
    refused = 2 * number > cells.num_cells  # there will be an error
    if number > 1 and not refused and cells.num_cells < FEW_IN_BATCH * number:
        yield (
            f"{cells.source}: {cells.num_cells} cells are in {number} batches, and fewer than "
            f"{FEW_IN_BATCH} cells tell a model little of their batch; is batch_key the right "
            "column?"
        )
    if number > MANY_BATCHES and not refused and _are_measurements(cells.batch_names):
        yield (
            f"{cells.source}: the {number} batches are numbers such as {cells.batch_names[0]}; is "
            "batch_key a measurement? It must name the batch of a cell"
        )
    steady = None if model.observes in ("counts", "reads") else told_too_steady(cells)
    if steady is not None:
        yield f"{cells.source}: {steady}"
    if model.independent_isoforms:
        if cells.lost_var:
            yield f"{cells.source}: {_LOST}"
    elif cells.has_summary or cells.has_reads:  # else there will be an error
        reason = _reason_for_no_genes(cells, model)
        if reason:
            yield f"{cells.source}: each isoform is taken as a gene of its own: {reason}"
    most = _largest_of_fractions(cells) if model.observes == "counts" else None
    if most is not None:
        logs = f"; its values end at {most:.3g}: are they logarithms?" if most < LARGEST_LOG else ""
        yield f"{cells.source}: X holds fractions; {model.__name__} takes them rounded{logs}"


def _largest_of_fractions(cells: CellTable) -> float | None:
    """Give the largest count if some are fractions; None if all are whole."""
    broken, most = False, 0.0
    for _, matrices in cells.blocks(("counts",)):
        values = matrices.counts.data
        broken |= bool((values % 1).any())
        most = max(most, float(values.max(initial=0.0)))
    return most if broken else None


def _are_measurements(names: Iterable[str]) -> bool:
    """Whether all names are numbers, and some have fractions."""
    try:
        return sum(float(name) % 1 for name in names) > 0
    except ValueError:
        return False


def _reason_for_no_genes(cells: CellTable, model: type[CellModel]) -> str:
    """Tell why isoforms cannot be grouped by their gene; empty if they can."""
    if cells.lost_var:
        return _LOST
    if cells.genes is None:
        return "var has no column gene (name another with gene_key, or import with --t2g)"
    if len(np.unique(cells.genes)) == cells.num_isoforms > 1:
        return "no two isoforms share a gene in var (exvae isoforms import --t2g names them)"
    if not cells.keeps_bootstraps and model.observes != "reads":
        return "no two bootstraps are kept (import --layers 5 keeps some)"
    return ""


def model_of(adata: AnnData) -> str:
    """Name of the model whose expression an AnnData holds; empty if it does not say."""
    described = adata.uns.get("exvae", {}).get("config")
    return json.loads(described)["model"]["model"] if described else ""


def notes_of_intervals(model: str) -> Iterator[str]:
    """Tell what the intervals of a fit of a registered model do not hold."""
    if model == "scvi":
        yield (
            "intervals of scvi are too narrow, as it knows of no error of quantification: at 95 % "
            "they held 66 to 88 % of true values, and those of effective-reads 95 %"
        )
