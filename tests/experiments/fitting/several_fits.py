"""Fits one after another, in this process alone or shared with others of torchrun.

python -m torch.distributed.run --nproc-per-node 2 several_fits.py TASKS.json
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from exvae.data.corpora import Corpus
from exvae.data.h5ad.reading import read_cells
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting import workers
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting as isoforms
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.experiments.lda import fitting as lda

# All but the paper's model can compute in float64, in which sums in another order agree to many
# digits, and draws by rejection are accepted in all processes or in none.
IN_SINGLE_PRECISION = "paper"
JOBS = ("effective-reads", "scvi", "lda", "fixed-length", "reads", IN_SINGLE_PRECISION)
# Topic models that learn alpha and beta in the second of two epochs of 22 steps, after a warm-up
# in which dead topics are looked for once.
_TOPICS = {"warm_up": 24, "learn_topic_concentration": True}


def fit(name: str, folder: Path, epochs: int, *, cells: Path, resume: bool = False) -> None:
    """Fit a model by its name, the processes together.

    Minibatches of cells and documents cannot be divided equally, and the last one is too small.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if name == IN_SINGLE_PRECISION else torch.float64)
    try:
        with workers.joined(folder):
            if name in ("lda", "fixed-length"):
                guide = "exchangeable" if name == "lda" else name
                training = TrainingConfig(epochs, 11, 5e-3, device="cpu")
                config = lda.LDAConfig(4, guide, options=_TOPICS)
                lda.fit(corpus(), config, training, folder, resume=resume)
            else:
                training = TrainingConfig(epochs, 7, 5e-3, device="cpu")
                members = {"members": 2, "member_epochs": 1} if name == "reads" else {}
                config = IsoformConfig(model=name, options=members)
                data = read_cells(cells, "batch")
                isoforms.fit(data, config, training, folder, resume=resume)
    finally:
        torch.set_default_dtype(before)


def corpus() -> Corpus:
    """Simulate documents, of which the last minibatch of training has one."""
    return simulate_corpus(273, 4, 100, 30, seed=1).corpus


def main(tasks: list[dict[str, Any]], cells: str) -> None:
    """Fit all tasks."""
    if workers.number_of_processes() > 1:
        distributed.init_process_group("gloo")
    warnings.simplefilter("ignore")
    for task in tasks:
        fit(**{**task, "folder": Path(task["folder"])}, cells=Path(cells))
    if distributed.is_initialized():
        # A process that ends with an open group may abort, as gloo's threads still run.
        distributed.destroy_process_group()


if __name__ == "__main__":
    main(**json.loads(Path(sys.argv[1]).read_text()))
