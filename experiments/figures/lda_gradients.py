"""Variance of the gradient that trains the encoder: pathwise against score-function estimates.

The estimates are of the gradient of E_q[log p(words | theta)] of a minibatch with respect to the
parameters of the encoder, from one sample of theta per document. The pathwise estimate
differentiates through the sample (Jankowiak & Obermeyer, 2018). The score-function estimate weighs
the gradient of log q by each document's own log-likelihood. Subtracting the log-likelihood of a
second, independent sample keeps the mean and removes most of the variance (a leave-one-out
baseline; Kool, van Hoof & Welling, 2019).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyro
import torch
from matplotlib.figure import Figure
from pyro.infer import SVI, TraceMeanField_ELBO
from torch import Tensor

from ...data.document_batches import DocumentBatch
from ...guides.lda import LDAGuide
from ...models.distributions.word_sets import WordSets
from ..drawing.bands import draw_bands
from ..drawing.style import label, new_figure, show_legends
from ..lda import fitting
from . import lda_runs
from .lda_runs import SIMULATED
from .workshop import Workshop

PATHWISE, SCORE, BASELINE = "pathwise", "score function", "score function, baseline"
_ESTIMATORS = (PATHWISE, SCORE, BASELINE)


def measure(workshop: Workshop) -> pd.DataFrame:
    """Measure; columns ``seed``, ``steps``, ``estimator``, ``variance``, ``squared_mean``.

    ``variance`` is the trace of the covariance of the gradient, ``squared_mean`` the squared norm
    of its mean, both (nats per token) squared.
    """
    sizes = lda_runs.sizes_of(workshop)
    draws = workshop.choose(100, 8)
    epochs = workshop.choose((0, 1, 3, 10, 20), (0, 1))
    training, test = lda_runs.corpus_of(workshop, SIMULATED)
    batch = test.batch(np.arange(min(sizes.batch_size, test.num_documents)))
    documents = training.tensors()
    rows = []
    for seed in workshop.seeds:
        with pyro.get_param_store().scope():
            pyro.set_rng_seed(seed)
            config = fitting.LDAConfig(num_topics=sizes.num_topics)
            model, guide = fitting.build(config, training.vocabulary_size)
            optimizer = pyro.optim.ClippedAdam({"lr": sizes.learning_rate})
            svi = SVI(model, guide, optimizer, TraceMeanField_ELBO())
            steps = 0
            for epoch in range(max(epochs) + 1):
                if epoch in epochs:
                    rows += [
                        (seed, steps, name, *_moments(guide, batch, name, draws))
                        for name in _ESTIMATORS
                    ]
                for indices in torch.randperm(training.num_documents).split(sizes.batch_size):
                    svi.step(*documents.batch(indices))
                    steps += 1
    columns = ["seed", "steps", "estimator", "variance", "squared_mean"]
    return pd.DataFrame(rows, columns=columns)


def _moments(
    guide: LDAGuide, batch: DocumentBatch, estimator: str, draws: int
) -> tuple[float, float]:
    """Trace of the covariance, and squared norm of the mean without its sampling error."""
    drawn = torch.stack([gradient(guide, batch, estimator).double() for _ in range(draws)])
    variance = float(drawn.var(0).sum())
    return variance, float(drawn.mean(0).square().sum()) - variance / draws


def gradient(guide: LDAGuide, batch: DocumentBatch, estimator: str) -> Tensor:
    """Estimate the gradient (nats per token) of all parameters, shape (parameters,)."""
    parameters = list(guide.parameters())
    posterior = guide.document_topics(batch.words, batch.offsets)
    if estimator == PATHWISE:
        objective = _log_likelihoods(guide, batch, posterior.rsample()).sum()
    else:
        sample = posterior.sample()
        weight = _log_likelihoods(guide, batch, sample)
        if estimator == BASELINE:
            other = posterior.sample()
            difference = weight - _log_likelihoods(guide, batch, other)
            score = posterior.log_prob(sample) - posterior.log_prob(other)
            objective = 0.5 * (difference * score).sum()
        else:
            objective = (weight * posterior.log_prob(sample)).sum()
    gradients = torch.autograd.grad(objective / len(batch.words), parameters)
    return torch.cat([each.flatten() for each in gradients])


def _log_likelihoods(guide: LDAGuide, batch: DocumentBatch, theta: Tensor) -> Tensor:
    """Log probability of each document's words (nats), shape (documents,).

    ``theta`` has shape (documents, topics).
    """
    words = WordSets(theta, guide.topics.mean(), batch.offsets, validate_args=False)
    return words.log_prob(batch.words)


def draw(table: pd.DataFrame) -> Figure:
    """Draw the variance, and the standard deviation relative to the length of the gradient."""
    figure, axes = new_figure(1, 2)
    signal = table["squared_mean"].clip(lower=1e-30)
    table = table.assign(noise=np.sqrt(table["variance"] / signal))
    titles = {
        "variance": ("variance of one estimate", "trace of the covariance (nats² per token²)"),
        "noise": ("noise of one estimate", "standard deviation / length of the gradient"),
    }
    for axis, (column, (title, y)) in zip(axes[0], titles.items(), strict=True):
        shown = table[table["squared_mean"] > 0] if column == "noise" else table
        draw_bands(axis, shown, "steps", column, "estimator", _ESTIMATORS)
        label(axis, title, "training steps", y)
        axis.set_yscale("log")
    return show_legends(figure)


def summarise(table: pd.DataFrame) -> dict[str, float]:
    """Ratios of the variance to the variance of pathwise gradients, medians over seeds."""
    wide = table.pivot(index=["steps", "seed"], columns="estimator", values="variance")
    found = {}
    for name in (SCORE, BASELINE):
        ratio = (wide[name] / wide[PATHWISE]).groupby("steps").median()
        for steps, value in ratio.items():
            found[f"variance of {name} / pathwise, after {steps} steps"] = float(value)
    return found
