"""Curves of posterior predictive checks, as the scripts read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .encoding import rounded

if TYPE_CHECKING:
    from ..checks.comparison import Check
    from ..drawing.panels import Panel


def panels_of(check: Check | None, panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """Curves of each panel, where data were observed; empty without a check.

    Parameters
    ----------
    check
        Observed beside replicated data.
    panels
        Titles and axes.
    """
    if check is None:
        return []
    found = []
    for panel in panels:
        table = check.curves[check.curves["panel"] == panel.title]
        # Replicates can have values far beyond the data, which would hide the others.
        seen = table.loc[table["observed"].notna(), "x"]
        table = table[table["x"].between(seen.min(), seen.max())]
        if table.empty:
            continue
        curves = {name: rounded(table[name]) for name in ("x", "observed", "low", "middle", "high")}
        found.append(
            {
                "title": panel.title,
                "axes": [panel.x, panel.y],
                "logarithmic": panel.logarithmic,
                "verdict": check.short_verdict(panel.title),
                **curves,
            }
        )
    return found
