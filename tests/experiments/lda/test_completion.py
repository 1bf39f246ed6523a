"""Document completion and its monitor: blocks, pairing of halves, and what is scored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from exvae.data.corpora import Corpus, halve, select_split
from exvae.experiments.fitting import fits
from exvae.experiments.lda import completion
from exvae.experiments.lda.completion import completion_perplexity, infer, perplexity
from exvae.experiments.lda.evaluation import loss_per_token
from exvae.experiments.lda.fitting import LDAFit

BLOCK_SIZES = [1, 3, 16]


def perplexity_word_by_word(theta: np.ndarray, phi: np.ndarray, held_out: Corpus) -> float:
    total = 0.0
    for number, own in enumerate(theta):
        for word in held_out.words[held_out.offsets[number] : held_out.offsets[number + 1]]:
            total += np.log(own @ phi[:, word])
    return float(np.exp(-total / held_out.num_tokens))


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("steps", [0, 4])
def test_topics_are_inferred_block_by_block(
    corpus: Corpus, expressive_fit: LDAFit, block_size: int, steps: int
) -> None:
    whole = infer(expressive_fit.guide, corpus, steps=steps)
    assert whole.std(0).min() > 0.05
    torch.testing.assert_close(whole.sum(-1), torch.ones(40))
    words, offsets, *_ = corpus.batch(range(40))
    concentration = expressive_fit.guide.infer(words, offsets, steps=steps)
    torch.testing.assert_close(whole, concentration / concentration.sum(-1, keepdim=True))
    parts = infer(expressive_fit.guide, corpus, steps=steps, block_size=block_size)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("steps", [0, 4])
def test_halves_are_paired_block_by_block(
    corpus: Corpus, expressive_fit: LDAFit, block_size: int, steps: int
) -> None:
    guide = expressive_fit.guide
    observed, held_out = halve(corpus)
    theta = infer(guide, observed, steps=steps)
    phi = guide.topics.mean()
    expected = perplexity_word_by_word(theta.double().numpy(), phi.double().numpy(), held_out)
    found = completion_perplexity(guide, observed, held_out, steps=steps, block_size=block_size)
    assert found == pytest.approx(expected, rel=1e-5)
    assert perplexity(theta, phi, held_out, block_size=block_size) == pytest.approx(expected)
    # Topics of other documents are worth something else.
    other = perplexity(theta.roll(1, 0), phi, held_out)
    assert abs(other - expected) > 0.01 * expected


@pytest.mark.parametrize("block_size", [*BLOCK_SIZES, 1024])
def test_the_loss_is_the_bound_on_all_documents(
    corpus: Corpus, expressive_fit: LDAFit, block_size: int
) -> None:
    """Of posteriors so narrow that no draw matters, the topics' share spread over training."""
    guide = expressive_fit.guide.double()
    model = guide.model.double()
    model.document_concentration.mul_(1e5)
    guide.topics.concentration.mul_(1e6)
    words, offsets, *_ = corpus.batch(range(40))
    with torch.no_grad():
        topics, documents = guide.topics.distribution(), guide.document_topics(words, offsets)
        kl = torch.distributions.kl_divergence
        of_topics = kl(topics, model.topic_words_prior()).sum()
        of_documents = kl(documents, model.document_topics_prior()).sum()
        owners = torch.arange(40).repeat_interleave(offsets.diff())
        likely = (documents.mean[owners] * topics.mean.T[words]).sum(-1).log().sum()
        expected = (of_topics * 40 / 100 + of_documents - likely) / corpus.num_tokens
    found = loss_per_token(expressive_fit, corpus, 0, block_size=block_size)
    assert found == pytest.approx(expected.item(), rel=2e-4)


def test_the_loss_has_draws_of_its_seed(corpus: Corpus, expressive_fit: LDAFit) -> None:
    losses = []
    for seed in (1, 1, 2):
        torch.rand(3)
        losses.append(loss_per_token(expressive_fit, corpus, seed))
    assert losses[0] == losses[1] != losses[2]


# The monitor


@pytest.mark.parametrize(("patience", "split"), [(0, "test"), (9, "val")])
def test_documents_held_out_are_scored_after_each_epoch(
    corpus: Corpus,
    fit_topics: Callable[..., LDAFit],
    tmp_path: Path,
    patience: int,
    split: str,
) -> None:
    """In evaluation mode, after five steps of the fixed point and after none."""
    guide = fit_topics(training={"patience": patience, "learning_rate": 0.05}).guide
    last = fits.read_metrics(tmp_path / "fit").iloc[-1]
    halves = halve(select_split(corpus, split))
    for column, steps in (("perplexity", 5), ("perplexity_amortised", 0)):
        expected = completion_perplexity(guide, *halves, steps=steps)
        assert last[column] == pytest.approx(expected, rel=1e-6)
        for other in (1, 4, 6):
            differs = completion_perplexity(guide, *halves, steps=other)
            assert abs(differs - expected) > 1e-5 * expected


def test_of_many_documents_held_out_some_are_scored(
    corpus: Corpus, expressive_fit: LDAFit, monkeypatch
) -> None:
    guide = expressive_fit.guide
    whole = completion.Monitor(guide, corpus, "test", 0)()
    assert whole == completion.Monitor(guide, corpus, "test", 1)()
    monkeypatch.setattr(completion, "MONITORED_DOCUMENTS", 4)
    found = [completion.Monitor(guide, corpus, "test", seed)() for seed in (0, 0, 1, 2, 3)]
    assert found[0] == found[1]
    # Another seed takes other documents, and not the first.
    assert len({row["perplexity"] for row in found}) == 4
    monkeypatch.setattr(completion, "MONITORED_DOCUMENTS", 10)
    again = completion.Monitor(guide, corpus, "test", 0)()
    assert again["perplexity"] == pytest.approx(whole["perplexity"], rel=1e-6)


def test_nothing_is_scored_where_nothing_is_held_out(
    corpus: Corpus, expressive_fit: LDAFit
) -> None:
    alone = corpus.select(corpus.splits == "train")
    assert completion.Monitor(expressive_fit.guide, alone, "test", 0)() == {}
    # Documents of one word have no halves.
    short = corpus.select(corpus.lengths == 1)
    assert set(short.splits) & {"test", "val", "train"}
    for split in set(short.splits):
        assert completion.Monitor(expressive_fit.guide, short, split, 0)() == {}


def test_the_monitor_leaves_training_as_it_is(
    fit_topics: Callable[..., LDAFit], monkeypatch, tmp_path: Path
) -> None:
    watched = fit_topics("watched").guide.state_dict()
    monkeypatch.setattr(completion.Monitor, "__call__", lambda self: {"perplexity": 1.0})
    alone = fit_topics("alone").guide.state_dict()
    assert fits.read_metrics(tmp_path / "alone")["perplexity"].tolist() == [1.0, 1.0]
    assert all(torch.equal(value, alone[name]) for name, value in watched.items())
