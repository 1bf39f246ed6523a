"""The command ``exvae isoforms usage``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...data.errors import DataError
from ...data.files import require_folder, written_atomically
from .options import CellsFile, Fit, Json
from .reports import report

if TYPE_CHECKING:
    import numpy as np

    from ...data.cells import Cells

# Expected share of false discoveries of the genes that the report counts.
_FALSE_DISCOVERIES = 0.05


def usage(
    fit: Fit,
    cells: CellsFile,
    groupby: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of obs with the group of each cell.")
    ],
    out: Annotated[Path, typer.Option(metavar="USAGE.csv", help="The table to write.")],
    reference: Annotated[
        str | None,
        typer.Option(metavar="GROUP", help="Group to compare with; by default all other cells."),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least difference of usage that counts.")
    ] = 0.05,
    json: Json = False,
) -> None:
    """Find isoforms whose share of their gene's reads differs between groups of cells."""
    from ...data.h5ad.reading import read_cells
    from ..isoforms import fitting
    from ..isoforms.usage_differences import usage_differences
    from ..isoforms.usage_evidence import weigh

    require_folder(out)
    loaded = fitting.load(fit, "cpu")
    data = loaded.conform(read_cells(cells, loaded.batch_key))
    groups = _groups(data, groupby, reference)
    _require_bootstraps_of_genes(data)
    differences = usage_differences(data, groups, reference)
    if differences.empty:
        raise DataError(
            f"{cells}: no gene of several isoforms has reads in two groups; try another --groupby"
        )
    evidence = weigh(differences, threshold)
    table = differences.assign(probability=evidence.probability).merge(evidence.genes, on="gene")
    table = table.sort_values(
        ["gene_probability", "gene", "isoform", "group"], ascending=[False, True, True, True]
    )
    with written_atomically(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    found = evidence.genes["expected_fdr"] <= _FALSE_DISCOVERIES
    report(
        {
            "out": str(out),
            "groups": len(set(groups) - {""}),
            "genes": len(evidence.genes),
            "genes_changed": int(found.sum()),
            "expected_fdr": _FALSE_DISCOVERIES,
            "share_changed": evidence.changed,
        },
        as_json=json,
    )


def _groups(cells: Cells, column: str, reference: str | None) -> np.ndarray:
    """Group of each cell, shape (cells,); empty for cells without one."""
    values = cells.column(column, "--groupby")
    groups = values.astype(str).where(values.notna(), "").to_numpy(dtype=str)
    names = sorted(set(groups) - {""})
    if len(names) < 2:
        raise DataError(f"{cells.source}: obs[{column!r}] has no two groups; choose another column")
    if reference is not None and reference not in names:
        raise DataError(
            f"{cells.source}: obs[{column!r}] has no group {reference!r}; --reference must be one "
            f"of {', '.join(names)}"
        )
    return groups


def _require_bootstraps_of_genes(cells: Cells) -> None:
    """Require genes of several isoforms, and bootstraps of all cells."""
    if cells.genes is None:
        raise DataError(
            f"{cells.source}: var has no column 'gene'; import the cells with --t2g, or add it"
        )
    if len(set(cells.genes)) == len(cells.genes):
        raise DataError(
            f"{cells.source}: no gene has two isoforms; var['gene'] must name the gene of each"
        )
    if len(cells.bootstraps) < 2:
        raise DataError(
            f"{cells.source}: has {len(cells.bootstraps)} layers infRep1 ...; at least two "
            "bootstraps must be in the file to tell how sure usage is"
        )
    none = cells.num_bootstraps < 2
    if none.any():
        raise DataError(
            f"{cells.source}: cell {cells.names[none][0]} has fewer than two bootstraps; quantify "
            "it with more, or leave it out"
        )
