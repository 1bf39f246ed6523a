"""Topics are learned alone before the encoder."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from exvae.data.corpora import Corpus
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting.errors import TrainingInterrupted
from exvae.experiments.fitting.fits import read_checkpoint
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import fitting, starting
from exvae.experiments.lda.starting import (
    SETTLING_STEPS,
    TopicTrainer,
    least_step_size,
    steps_alone,
    told_of_encoder,
)
from exvae.guides.lda import LDAGuide

TRAINING = TrainingConfig(2, 8, 5e-3, seed=3, device="cpu")


def trainer_of(corpus: Corpus, folder: Path | None = None, **options) -> TopicTrainer:
    """Set up a training of three topics."""
    config = fitting.LDAConfig(3, options=options)
    return fitting.set_up(corpus, config, TRAINING, folder=folder, progress=False)[0]


def guide_of(trainer: TopicTrainer) -> LDAGuide:
    """Guide that a trainer trains."""
    return trainer.modules["guide"]


@pytest.mark.parametrize("options", [{"warm_up": 0}, {"learn": False}, {"warm_up": 7}])
def test_topics_take_their_steps_before_the_encoder_does(corpus: Corpus, options: dict) -> None:
    trainer = trainer_of(corpus, **options)
    taken: list[int] = []
    trainer.data.minibatch = lambda positions, own=trainer.data.minibatch: (
        taken.append(int(guide_of(trainer).topics.steps)) or own(positions)
    )
    trainer.train()
    alone = 7 + SETTLING_STEPS if options == {"warm_up": 7} else 0
    with_encoder = TRAINING.epochs * -(-len(trainer.data) // TRAINING.batch_size)
    assert len(taken) == alone + with_encoder
    wanted = range(alone + with_encoder) if options.get("learn", True) else [0] * with_encoder
    assert taken == [*wanted]


def test_the_encoder_first_meets_topics_that_are_apart() -> None:
    trainer = trainer_of(simulate_corpus(200, 3, 60, 40, seed=1).corpus)
    first: list[torch.Tensor] = []
    guide = guide_of(trainer)
    guide.encode = lambda *given, own=guide.encode: first.append(guide.topics.mean()) or own(*given)
    trainer.train()
    # Behind those of the dry run and of the registration of parameters.
    topics = first[2]
    distances = torch.cdist(topics, topics, 1)[~torch.eye(3, dtype=torch.bool)]
    assert distances.min() > 0.5


@pytest.mark.parametrize(("rate", "told"), [(5.0, True), (5e-3, False)])
def test_an_encoder_that_has_not_learned_is_told(
    rate: float, told: bool, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    corpus = simulate_corpus(60, 4, 100, 20, seed=3).corpus
    training = TrainingConfig(20, 8, rate, device="cpu")
    fitting.fit(corpus, fitting.LDAConfig(3), training, tmp_path / "fit")
    texts = [str(warning.message) for warning in recwarn]
    assert any("the learning rate is too high" in text for text in texts) == told


@pytest.mark.parametrize(
    ("first", "last", "epochs", "told"),
    [
        (60.0, 55.0, 5, True),
        (60.0, 55.0, 4, False),  # too early to tell
        (60.0, 53.0, 5, False),  # it learns
        (30.0, 29.0, 5, False),  # as good as refined
    ],
)
def test_what_is_told_of_the_encoder(first: float, last: float, epochs: int, told: bool) -> None:
    alone = np.linspace(first, last, epochs)
    rows = [{"perplexity": 20.0, "perplexity_amortised": float(value)} for value in alone]
    assert bool(told_of_encoder(rows)) == told
    assert not told_of_encoder([])
    assert not told_of_encoder([{"loss_per_token": 3.0}] * epochs)


def test_a_killed_training_has_saved_these_steps(
    corpus: Corpus, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(starting, "SECONDS_BETWEEN_SAVES", 0.0)
    trainer = trainer_of(corpus, tmp_path)
    own = guide_of(trainer).learn_from

    def learn_from(*given, **options) -> None:
        if int(guide_of(trainer).topics.steps) == 60:
            raise KeyboardInterrupt
        own(*given, **options)

    guide_of(trainer).learn_from = learn_from
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    resumed = trainer_of(corpus, tmp_path)
    resumed.load_state(read_checkpoint(tmp_path))
    assert int(guide_of(resumed).topics.steps) == 60


@pytest.mark.parametrize(
    ("batches", "epochs", "steps"),
    [
        (1, 100, 300),  # the fewest
        (13, 10, 390),  # 30 passes
        (13, 8, 312),  # three for each epoch
        (60, 20, 1800),
        (91, 10, 2000),  # the most
    ],
)
def test_the_number_of_steps_alone(batches: int, epochs: int, steps: int) -> None:
    assert steps_alone(batches, epochs, warm_up=100) == steps


def test_the_progress_bar_shows_a_few_of_these_steps(corpus: Corpus) -> None:
    class Bar:
        shown: ClassVar[list[str]] = []

        def set_description(self, text: str) -> None:
            self.shown.append(text)

    trainer = trainer_of(corpus)
    trainer._learn_topics(guide_of(trainer).train(), lambda: 0, Bar())
    assert Bar.shown[0] == "topics alone, step 1/300"
    assert len(Bar.shown) == 20


def test_steps_are_large_and_then_fall_to_a_part_of_the_share() -> None:
    assert least_step_size(0.0, 0.01) == least_step_size(0.5, 0.01) == starting.LARGE_STEP
    assert least_step_size(1.0, 0.01) == pytest.approx(0.005)
    assert least_step_size(0.75, 0.01) == pytest.approx((0.2 * 0.005) ** 0.5)
    assert least_step_size(1.0, 1.0) == pytest.approx(0.1)  # few documents, all in a minibatch


@pytest.mark.parametrize("step", [1, 60, 150])
def test_an_interrupt_among_these_steps_changes_nothing(
    corpus: Corpus, tmp_path: Path, step: int
) -> None:
    whole = trainer_of(corpus)
    whole.train()
    trainer = trainer_of(corpus, tmp_path)
    own = guide_of(trainer).learn_from

    def learn_from(*given, **options) -> None:
        own(*given, **options)
        if int(guide_of(trainer).topics.steps) == step:
            signal.raise_signal(signal.SIGINT)

    guide_of(trainer).learn_from = learn_from
    with pytest.raises(TrainingInterrupted, match="batch 0"):
        trainer.train()
    resumed = trainer_of(corpus, tmp_path)
    own = guide_of(resumed).learn_from
    taken: list[int] = []
    guide_of(resumed).learn_from = lambda *given, **options: (
        taken.append(int(guide_of(resumed).topics.steps)) or own(*given, **options)
    )
    resumed.train(resume=True)
    assert taken[0] == step
    for name, value in guide_of(whole).state_dict().items():
        assert torch.equal(guide_of(resumed).state_dict()[name], value), name
