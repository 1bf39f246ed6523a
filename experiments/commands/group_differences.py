"""The commands ``exvae isoforms usage`` and ``exvae isoforms de``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from ...data.files import require_folder, written_atomically
from ..isoforms.settings import EXPRESSION_THRESHOLD, USAGE_THRESHOLD
from . import panels
from .isoforms import read
from .options import Backed, CellsFile, Fit, Json, Trust
from .reports import report

if TYPE_CHECKING:
    import pandas as pd

    from ...data.cell_tables import CellTable

# Expected share of false discoveries among the findings that the report counts.
_FALSE_DISCOVERIES = 0.05

GroupBy = Annotated[
    str, panels.common(metavar="COLUMN", help="Column of obs with the group of each cell.")
]
Reference = Annotated[
    str | None,
    panels.common(metavar="GROUP", help="Group to compare with; by default all other cells."),
]
ReplicateKey = Annotated[
    str | None,
    panels.common(
        metavar="COLUMN",
        help="Column of obs with the replicate (donor, sample) of each cell; by default cells are "
        "replicates.",
    ),
]


def usage(
    fit: Fit,
    cells: CellsFile,
    groupby: GroupBy,
    out: Annotated[Path, panels.common(metavar="USAGE.csv", help="The table to write.")],
    reference: Reference = None,
    replicate_key: ReplicateKey = None,
    threshold: Annotated[
        float, panels.common(min=0.0, max=1.0, help="Least difference of usage that counts.")
    ] = USAGE_THRESHOLD,
    backed: Backed = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Find isoforms whose share of their gene's reads differs between groups of cells.

    $ exvae isoforms usage FIT cells.h5ad --groupby cell_type --out usage.csv
    """
    from ..isoforms.differences import differential_usage
    from ..isoforms.groups import Grouping

    require_folder(out)
    grouping = Grouping(groupby, reference, replicate_key, as_options=True)
    data, observes = _conformed(fit, cells, backed, trust)
    table, share_changed = differential_usage(
        data, grouping, threshold, by_reads=observes == "reads"
    )
    _write(table, out)
    genes = table.drop_duplicates("gene")
    report(
        {
            "out": str(out),
            "groups": _num_groups(data, groupby),
            "genes": len(genes),
            "genes_changed": _num_found(genes),
            "expected_fdr": _FALSE_DISCOVERIES,
            "share_changed": share_changed,
        },
        as_json=json,
    )


def expression(
    fit: Fit,
    cells: CellsFile,
    groupby: GroupBy,
    out: Annotated[Path, panels.common(metavar="DE.csv", help="The table to write.")],
    level: Annotated[
        Literal["isoform", "gene"], panels.common(help="Compare isoforms or genes.")
    ] = "isoform",
    reference: Reference = None,
    replicate_key: ReplicateKey = None,
    threshold: Annotated[
        float, panels.common(min=0.0, help="Least absolute log2 fold change that counts.")
    ] = EXPRESSION_THRESHOLD,
    backed: Backed = None,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Find isoforms or genes whose expression differs between groups of cells.

    $ exvae isoforms de FIT cells.h5ad --groupby cell_type --out de.csv
    """
    from ..isoforms.differences import differential_expression
    from ..isoforms.groups import Grouping

    require_folder(out)
    grouping = Grouping(groupby, reference, replicate_key, as_options=True)
    data, _ = _conformed(fit, cells, backed, trust)
    table = differential_expression(data, grouping, level, threshold)
    _write(table, out)
    found = table[table["expected_fdr"] <= _FALSE_DISCOVERIES]
    report(
        {
            "out": str(out),
            "groups": _num_groups(data, groupby),
            f"{level}s": table[level].nunique(),
            f"{level}s_changed": found[level].nunique(),
            "comparisons": len(table),
            "changes": len(found),
            "expected_fdr": _FALSE_DISCOVERIES,
        },
        as_json=json,
    )


def _conformed(fit: Path, cells: Path, backed: bool | None, trust: bool) -> tuple[CellTable, str]:
    """Read cells with the isoforms of a fit; also tell what its model observes."""
    from ..isoforms import fitting

    loaded = fitting.load(fit, "cpu", trust=trust)
    return loaded.conform(read(cells, backed, **loaded.keys)), loaded.model.observes


def _num_groups(cells: CellTable, column: str) -> int:
    return cells.obs[column].nunique()


def _num_found(rows: pd.DataFrame) -> int:
    return int((rows["expected_fdr"] <= _FALSE_DISCOVERIES).sum())


def _write(table: pd.DataFrame, out: Path) -> None:
    with written_atomically(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
