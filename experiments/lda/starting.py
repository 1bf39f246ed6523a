"""Training of topic models: topics are learned alone before the encoder is trained with them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ...data.errors import DataWarning
from ..fitting.datasets import training_order
from ..fitting.errors import TrainingInterrupted
from ..fitting.training import Trainer, TrainingResult
from .settings import BATCH_SIZE

if TYPE_CHECKING:
    import numpy as np
    from tqdm import tqdm

    from ...guides.lda import LDAGuide

# Passes over the documents for each epoch with the encoder, passes and steps that suffice, and the
# fewest steps after the warm-up. Topics that have died are split in them.
PASSES_PER_EPOCH, MOST_PASSES = 3, 30
MOST_STEPS, SETTLING_STEPS = 2000, 200
# The step size after the warm-up, which falls in the second half of the steps to a part of the
# minibatch's share of the documents. Small steps separate the topics of large corpora slowly.
LARGE_STEP, LAST_PART = 0.2, 0.5
SECONDS_BETWEEN_SAVES = 60.0
TOLD_STEPS = 20  # that the progress bar shows
# By how much the perplexity of an encoder may exceed the refined one, where it fell by less than a
# tenth since the first of some epochs. Encoders that have learned stay below 1.3, also of few short
# documents.
_MOST_EXCESS, _LEAST_FALL, _FEWEST_EPOCHS = 2.0, 0.1, 5


class TopicTrainer(Trainer):
    """Trainer that first learns topics alone.

    A step on the topics alone takes a small part of the time of a step with the encoder, and the
    encoder then learns from topics that hardly change. A guide whose ``warm_up`` is 0 is left as it
    is. All else is as in :class:`~exvae.experiments.fitting.training.Trainer`.
    """

    def train(self, **options: Any) -> TrainingResult:
        """Train as :class:`Trainer` does, and warn if the encoder has not learned."""
        result = super().train(**options)
        if told := told_of_encoder(self.metrics):
            warnings.warn(told, DataWarning, stacklevel=2)
        return result

    def _train_epoch(self, interrupted: Callable[[], int], bar: tqdm) -> None:
        guide = self.modules["guide"]
        begins = self.epoch == self.batches_done == 0
        if begins and guide.learn and guide.warm_up:
            self._learn_topics(guide.train(), interrupted, bar)
        super()._train_epoch(interrupted, bar)

    @torch.no_grad()
    def _learn_topics(self, guide: LDAGuide, interrupted: Callable[[], int], bar: tqdm) -> None:
        """Take natural-gradient steps whose fixed points start at random.

        The guide counts them, so that a resumed training goes on behind the last one saved.
        """
        size, documents = max(BATCH_SIZE, self.config.batch_size), len(self.data)
        self.workers.begin_epoch(self.modules)
        first = int(guide.topics.steps)
        last = steps_alone(-(-documents // size), self.config.epochs, guide.warm_up)
        now = saved = time.perf_counter()
        for step, positions in enumerate(self._minibatches_alone(size, first, last), first + 1):
            if (step - 1) % max(1, last // TOLD_STEPS) == 0:
                bar.set_description(f"topics alone, step {step}/{last}")
            least = least_step_size(step / last, size / documents)
            with self.workers.sharing_minibatch(positions, documents) as own:
                batch = self.data.minibatch(own)
                start = guide.random_concentration(batch.offsets)
                guide.learn_from(
                    batch.words, batch.offsets, documents, start, least_step_size=least
                )
            self.workers.tell_of_signals()
            before, now = now, time.perf_counter()
            self.seconds += now - before
            if interrupted():
                self.save()
                raise TrainingInterrupted(self._where(), interrupted())
            if now - saved > SECONDS_BETWEEN_SAVES:
                self.save()
                saved = now

    def _minibatches_alone(self, size: int, first: int, last: int) -> Iterator[np.ndarray]:
        """Yield positions, shape (documents,), of minibatches ``first`` to ``last``.

        Each pass over the documents has an order of its own.
        """
        per_pass = -(-len(self.data) // size)
        for step in range(first, last):
            own, place = divmod(step, per_pass)
            if place == 0 or step == first:
                order = training_order(self.data, (self.config.seed, 0, own))
            yield order[place * size : (place + 1) * size]


def steps_alone(batches: int, epochs: int, warm_up: int) -> int:
    """Count the steps on the topics alone.

    Parameters
    ----------
    batches
        Minibatches of a pass over the documents.
    epochs
        Epochs with the encoder.
    warm_up
        First steps of the guide, in which the fixed point starts at random anyway.
    """
    passes = min(PASSES_PER_EPOCH * epochs, MOST_PASSES)
    return max(min(passes * batches, MOST_STEPS), warm_up + SETTLING_STEPS)


def least_step_size(done: float, share: float) -> float:
    """Give the smallest step size of topics that are learned alone.

    Parameters
    ----------
    done
        Part of the steps, from 0 to 1.
    share
        Share of the documents that a minibatch has.
    """
    last = LAST_PART * min(share, LARGE_STEP)
    way = max(0.0, 2.0 * done - 1.0)
    return LARGE_STEP ** (1.0 - way) * last**way


def told_of_encoder(metrics: Sequence[Mapping[str, float]]) -> str:
    """Tell that the encoder alone predicts words far worse than refined; empty if it does not.

    ``metrics`` are rows of the metrics, in the order of the epochs.
    """
    if len(metrics) < _FEWEST_EPOCHS or "perplexity_amortised" not in metrics[-1]:
        return ""
    refined, alone = (metrics[-1][name] for name in ("perplexity", "perplexity_amortised"))
    highest = (1 - _LEAST_FALL) * metrics[0].get("perplexity_amortised", alone)
    if alone <= max(_MOST_EXCESS * refined, highest):
        return ""
    return (
        f"the encoder alone has perplexity {alone:.4g} where refined inference has {refined:.4g}, "
        "and did not learn: the learning rate is too high for amortised inference"
    )
