"""What trains a model whose loss is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor

from exvae.experiments.fitting.training import Trainer, TrainingConfig

from .items import VALUES, ItemGuide, ItemModel, Items


@pytest.fixture
def item_trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Make a trainer of seven items; options of its configuration, and ``folder``'s name."""

    def make(
        folder: str = "fit",
        *,
        interrupt_at: int | None = None,
        values: Tensor = VALUES,
        monitor: Callable[[], dict[str, float]] = dict,
        score: str | None = None,
        **options,
    ) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        defaults = {"epochs": 3, "batch_size": 3, "learning_rate": 0.01, "device": "cpu"}
        data = Items(interrupt_at, values)
        model, data.guide = ItemModel(), ItemGuide()
        config = TrainingConfig(**{**defaults, **options})
        place = tmp_path / folder
        return Trainer(model, data.guide, data, config, place, monitor=monitor, score=score)

    return make
