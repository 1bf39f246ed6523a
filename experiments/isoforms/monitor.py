"""Loss of held-out cells during training."""

from __future__ import annotations

import numpy as np
import torch

from ...data.cell_batches import BatchSource
from ...guides.cells import CellGuide
from ...models.cells import CellModel
from . import inference

# Number of held-out cells scored after each epoch.
MONITORED_CELLS = 500


class Monitor:
    """Loss of held-out cells after each epoch, with the same random draws each time.

    Parameters
    ----------
    model, guide
        Model and guide in training.
    source
        All cells.
    positions
        Positions of the held-out cells, shape (cells,); the first :data:`MONITORED_CELLS` are
        scored.
    """

    def __init__(
        self,
        model: CellModel,
        guide: CellGuide,
        source: BatchSource,
        positions: np.ndarray,
    ) -> None:
        self.model = model
        self.guide = guide
        self.source = source
        self.positions = positions[:MONITORED_CELLS]
        source.reader.keep(self.positions)

    def __call__(self) -> dict[str, float]:
        """Compute the loss (nats per cell); an empty dict if no cell is held out."""
        if not len(self.positions):
            return {}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = inference.loss_per_cell(self.model, self.guide, self.source, self.positions)
        return {"held_out_loss_per_cell": loss}
