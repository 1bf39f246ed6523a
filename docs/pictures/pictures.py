"""Draw docs/pictures.md from the demo: ``python docs/pictures/pictures.py demo/isoforms``."""

import sys
from pathlib import Path

import anndata

import exvae
from exvae.experiments.demo import most_switching_gene

_DOTS_PER_INCH = 80


def draw(source: Path, out: Path) -> None:
    """Read the exported cells of the demo in a folder, and write two pictures to another."""
    cells = anndata.read_h5ad(source / "exported.h5ad")
    gene = most_switching_gene(cells)
    figures = {
        "cells": exvae.pl.gene(cells, gene, "cell_type"),
        "intervals": exvae.pl.intervals(cells, gene),
    }
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=_DOTS_PER_INCH)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(__file__).parent)
