"""Draw the picture of README.md from the demo: ``python docs/pictures/gene.py demo/isoforms``.

The isoforms of the demo's gene: estimates of the quantifier, posterior means with 95 % intervals,
and the truth.
"""

import sys
from pathlib import Path

import anndata
import numpy as np

from exvae.experiments.demo import most_switching_gene
from exvae.experiments.drawing.saving import save
from exvae.experiments.drawing.style import BLACK, BLUE, GREY, ORANGE, label, new_figure


def draw(folder: Path, out: Path) -> None:
    """Read the exported cells of the demo in a folder and draw one gene."""
    cells = anndata.read_h5ad(folder / "exported.h5ad")
    gene = most_switching_gene(cells)
    cells = cells[cells.obs["cell_type"].astype(str).argsort(kind="stable")]
    chosen = np.flatnonzero(cells.var["gene"].astype(str) == gene)
    figure, axes = new_figure(len(chosen), width=8.0, height=1.7, sharex=True)
    place = np.arange(cells.n_obs)
    for axis, column in zip(axes.flat, chosen, strict=True):
        values = {name: layer[:, column] for name, layer in cells.layers.items()}
        low, high = values["expression_q0.025"], values["expression_q0.975"]
        axis.vlines(place, low, high, color=BLUE, alpha=0.35, linewidth=2, label="95 % interval")
        axis.scatter(place, values["expression"], s=10, color=BLUE, label="posterior mean")
        estimates = cells.X[:, column].toarray()
        axis.scatter(place, estimates, s=12, color=ORANGE, marker="x", label="estimate")
        truth = np.asarray(values["expected_counts"]).ravel()
        axis.plot(place, truth, "_", color=BLACK, markersize=4, label="truth")
        axis.set_yscale("symlog", linthresh=1.0)
        label(axis, cells.var_names[column], "", "reads")
        for border in np.flatnonzero(np.diff(cells.obs["cell_type"].cat.codes)):
            axis.axvline(border + 0.5, color=GREY, linewidth=0.8)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=9, ncols=4, loc="outside upper center")
    axes[-1, 0].set_xlabel("cells, by cell type", fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).with_suffix(".png"))
