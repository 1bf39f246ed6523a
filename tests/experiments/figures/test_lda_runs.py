"""How figures score documents by a topic model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from exvae.experiments.figures import lda_gradients, lda_likelihood, lda_runs
from exvae.experiments.figures.lda_runs import EXCHANGEABLE, SIMULATED
from exvae.experiments.figures.workshop import Workshop


@pytest.fixture(scope="module")
def workshop(tmp_path_factory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"), quick=True)


@pytest.mark.parametrize("concentration", [(0.8, 1.3), (1.2, 0.5)])
def test_the_bound_on_the_likelihood_is_tight(concentration: tuple[float, float]) -> None:
    topic_words = torch.tensor([[0.6, 0.3, 0.1], [0.05, 0.15, 0.8]])
    documents = [[0, 0, 2], [1], [2, 2, 1, 0, 2]]
    words = torch.tensor(sum(documents, []))
    offsets = torch.tensor([0, 3, 4, 9])
    exact = 0.0
    for document in documents:

        def joint(theta: float, document: list[int] = document) -> float:
            mixed = theta * topic_words[0].double() + (1 - theta) * topic_words[1].double()
            return float(mixed[document].prod()) * stats.beta(0.7, 0.4).pdf(theta)

        exact += np.log(integrate.quad(joint, 0, 1, points=[1e-4, 0.5, 1 - 1e-4])[0])
    torch.manual_seed(0)
    bound = lda_runs.log_likelihood_bound(
        torch.tensor(concentration).repeat(3, 1),
        torch.tensor([0.7, 0.4]),
        topic_words,
        words,
        offsets,
        num_samples=5000,
    )
    assert bound == pytest.approx(exact, abs=0.06)


def test_documents_of_all_lengths_have_the_same_topics(workshop: Workshop) -> None:
    short, long = (lda_runs.simulated(workshop, length) for length in (20, 500))
    np.testing.assert_array_equal(short.topic_words, long.topic_words)
    np.testing.assert_array_equal(short.document_topics, long.document_topics)
    training, test = lda_runs.corpus_of(workshop, SIMULATED)
    assert (training.num_documents, test.num_documents) == (60, 12)
    np.testing.assert_array_equal(np.concatenate([training.words, test.words]), short.corpus.words)


def test_a_run_is_measured_after_each_epoch_and_made_once(workshop: Workshop) -> None:
    first, again = (lda_runs.run(workshop, SIMULATED, EXCHANGEABLE, 0) for _ in range(2))
    assert first is again
    assert first.history["steps"].tolist() == [4, 8]
    assert (first.history[["held_out_loss", "perplexity", "seconds"]] > 0).all(axis=None)
    assert not first.fit.guide.training


def test_no_model_is_likelier_than_the_true_one(workshop: Workshop) -> None:
    truth = lda_likelihood.loss_of_the_truth(workshop)
    training, test = lda_runs.corpus_of(workshop, SIMULATED)
    assert truth < lda_runs.unigram_loss(training, test)
    guide = lda_runs.run(workshop, SIMULATED, EXCHANGEABLE, 0).fit.guide
    assert truth < lda_runs.negative_log_likelihood(guide, test, steps=5, num_samples=20)


def test_all_estimators_estimate_the_same_gradient(workshop: Workshop) -> None:
    guide = lda_runs.run(workshop, SIMULATED, EXCHANGEABLE, 0).fit.guide
    # One topic of a document weighs little on its own.
    guide.model.document_concentration.fill_(1.0)
    _, test = lda_runs.corpus_of(workshop, SIMULATED)
    batch = test.batch(np.arange(4))
    names = (lda_gradients.PATHWISE, lda_gradients.SCORE, lda_gradients.BASELINE)
    draws = {
        name: torch.stack([lda_gradients.gradient(guide, batch, name) for _ in range(400)])
        for name in names
    }
    last_layer = slice(-guide.model.num_topics - 1, None)
    reference = draws[names[0]][:, last_layer]
    for name in names[1:]:
        other = draws[name][:, last_layer]
        error = ((reference.var(0) + other.var(0)) / len(other)).sqrt()
        z_scores = (reference.mean(0) - other.mean(0)) / error
        assert z_scores.abs().max() < 4
    variance = {name: float(each.var(0).sum()) for name, each in draws.items()}
    assert variance[names[0]] < variance[names[2]] < variance[names[1]]


def test_the_workshop_keeps_fits_in_its_folder(workshop: Workshop) -> None:
    lda_runs.run(workshop, SIMULATED, EXCHANGEABLE, 0)
    assert any(Path(workshop.folder).iterdir())
