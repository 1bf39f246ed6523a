"""Imports and evaluations, by this process alone or shared with others of torchrun.

python -m torch.distributed.run --nproc-per-node 2 shared_commands.py FOLDER OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from torch import distributed

from exvae.data.corpus_formats import read_corpus
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth
from exvae.experiments.cli import app
from exvae.experiments.commands import torchrun
from exvae.experiments.isoforms import evaluation as isoform_evaluation
from exvae.experiments.isoforms import fitting as isoforms
from exvae.experiments.lda import evaluation as topic_evaluation
from exvae.experiments.lda import fitting as topics

# Cells and documents of a part: there are several, and the last one is smaller.
CELLS, DOCUMENTS = 5, 7


def run(folder: Path, out: Path) -> dict[str, dict[str, Any]]:
    """Import cells of a folder into another, and evaluate its fits; gives all figures."""
    salmon, bus = folder / "salmon", folder / "bus"
    app(["isoforms", "import", str(salmon), "--out", str(out / "s.h5ad")], standalone_mode=False)
    given = ["isoforms", "import", str(bus), "--reads", "--bootstraps", "3"]
    app([*given, "--out", str(out / "bus.h5ad")], standalone_mode=False)
    figures = {}
    cells = read_cells(folder / "cells.h5ad", "batch")
    truth = read_truth(folder / "truth.npz", cells)
    for name, asked in (("reads", {"completion": True}), ("scvi", {"truth": truth})):
        fit = isoforms.load(folder / name, "cpu")
        figures[name] = isoform_evaluation.evaluate(
            fit, cells, likelihood_samples=2, posterior_samples=2, part=CELLS, **asked
        )
    fit = topics.load(folder / "topics", "cpu")
    corpus = read_corpus(folder / "corpus.npz")
    figures["topics"] = topic_evaluation.evaluate(fit, corpus, split="all", part=DOCUMENTS)
    del figures["topics"]["inference_seconds"]
    return figures


def main(folder: Path, out: Path) -> None:
    """Join the others; each writes its figures."""
    torchrun.silence_others()
    distributed.init_process_group("gloo")
    figures = run(folder, out)
    (out / f"{distributed.get_rank()}.json").write_text(json.dumps(figures))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
