"""Cell states beside cell types: two models, and principal components of log counts.

The maps show the states of the first seed: by UMAP where umap-learn is installed, as with the extra
``peers``, otherwise by t-SNE; the axes name the method. The measures of agreement do not depend on
the map.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...data.cells import Cells
from ..drawing.embeddings import map_to_plane
from ..drawing.style import PALETTE, label, new_figure, show_legends, style_of
from ..isoforms import inference
from ..isoforms.evaluation import rand_index
from .isoform_comparison import COMPARED, compared
from .isoform_models import EFFECTIVE_READS
from .workshop import Workshop

_COMPONENTS = "principal components"
_METHODS = (*COMPARED, _COMPONENTS)
_NUM_COMPONENTS, _NEIGHBOURS = 10, 15
_INDEX, _PURITY = "adjusted Rand index", "purity of neighbours"


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure.

    Rows of two kinds: ``statistic`` and ``value`` for each ``method`` and ``seed``, or ``x``, ``y``
    and ``cell_type`` of each cell of the first seed, with the ``kind`` of its map.
    """
    tables = []
    for model, seed, known, fit in compared(workshop):
        positions = np.arange(known.cells.num_cells)
        states = {model: inference.mean_states(fit.guide, fit.source(known.cells), positions)}
        if model == EFFECTIVE_READS:
            states[_COMPONENTS] = components(known.cells)
        types = known.truth.cell_types
        for method, own in states.items():
            values = {_INDEX: rand_index(own, types), _PURITY: purity(own, types)}
            table = pd.DataFrame({"statistic": list(values), "value": list(values.values())})
            if seed == workshop.seed:
                kind, places = map_to_plane(own)
                # A CSV would turn names that are numbers into numbers.
                names = np.char.add("type ", types)
                cells = pd.DataFrame(
                    {"x": places[:, 0], "y": places[:, 1], "cell_type": names, "kind": kind}
                )
                table = pd.concat([table, cells])
            tables.append(table.assign(method=method, seed=seed))
    return pd.concat(tables, ignore_index=True)


def components(cells: Cells) -> np.ndarray:
    """Principal components of log1p of scaled estimates, shape (cells, components)."""
    from sklearn.decomposition import PCA

    counts = cells.counts.toarray().astype(np.float64)
    library = counts.sum(1, keepdims=True)
    logs = np.log1p(counts / library * np.median(library))
    return PCA(min(_NUM_COMPONENTS, *logs.shape), random_state=0).fit_transform(logs)


def purity(states: np.ndarray, types: np.ndarray) -> float:
    """Share of a cell's nearest neighbours with its type, averaged over cells.

    Parameters
    ----------
    states
        Shape (cells, dimensions).
    types
        Shape (cells,), strings.
    """
    from sklearn.neighbors import NearestNeighbors

    number = min(_NEIGHBOURS, len(states) - 1)
    neighbours = NearestNeighbors(n_neighbors=number).fit(states).kneighbors(return_distance=False)
    return float(np.mean(types[neighbours] == types[:, np.newaxis]))


def draw(table: pd.DataFrame) -> Figure:
    """Draw the maps, and the agreement with the types for every seed."""
    figure, axes = new_figure(1, 4, width=3.7)
    cells = table[table["x"].notna()]
    for axis, method in zip(axes[0], _METHODS, strict=False):
        own = cells[cells["method"] == method]
        for number, name in enumerate(sorted(own["cell_type"].unique())):
            chosen = own[own["cell_type"] == name]
            colour = PALETTE[number % len(PALETTE)]
            axis.plot(chosen["x"], chosen["y"], "o", markersize=3, color=colour, label=name)
        kind = own["kind"].iloc[0]
        label(axis, f"{method}, first seed", f"{kind} 1", f"{kind} 2")
        axis.set(xticks=[], yticks=[])
    axis = axes[0, 3]
    for number, method in enumerate(_METHODS):
        for place, statistic in enumerate((_INDEX, _PURITY)):
            own = table[(table["method"] == method) & (table["statistic"] == statistic)]
            x = np.full(len(own), place + 0.2 * (number - 1))
            style = {**style_of(number), "linestyle": "none"}
            axis.plot(x, own["value"], label=method if place == 0 else None, **style)
    label(axis, "agreement with the types", "", "1 is perfect")
    axis.set_xticks([0, 1], [_INDEX, _PURITY])
    axis.set_ylim(top=1.02)
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Agreement with the types, averaged over seeds."""
    means = table.dropna(subset=["statistic"]).groupby(["method", "statistic"])["value"].mean()
    return {f"{method}: {name}": float(value) for (method, name), value in means.items()}
