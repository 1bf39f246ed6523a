"""Fits of topic models: options arrive, what is trained on, and what is measured."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import torch
from torch import Tensor

from exvae.data.corpora import Corpus, halve, offsets_of, select_split
from exvae.data.errors import DataError
from exvae.experiments.fitting import fits
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import evaluation, fitting
from exvae.experiments.lda.completion import infer, perplexity
from exvae.experiments.lda.fitting import LDAFit
from exvae.guides.lda import LEARN_DOCUMENT_CONCENTRATION
from exvae.models.lda import LDA

FitTopics = Callable[..., LDAFit]
# Of each guide, what it needs for documents as short as these.
GUIDES = {
    "exchangeable": {"guide": "exchangeable"},
    "fixed-length": {"guide": "fixed-length", "length": 3},
}
# So many steps that the warm-up of a hundred is over.
LONG = {"epochs": 7, "batch_size": 2, "learning_rate": 0.02}


def encoded(fit: LDAFit, corpus: Corpus, *documents: list[int]) -> Tensor:
    """Encode documents, shape (documents, 1 + topics)."""
    words = np.concatenate(documents).astype(np.int32)
    own = replace(corpus, words=words, offsets=offsets_of(np.array([*map(len, documents)])))
    batch = own.batch(range(len(documents)))
    return fit.guide.encode(batch.words, batch.offsets)


# Options


@pytest.mark.parametrize(
    ("guide", "learn"),
    [*(("exchangeable", learn) for learn in LEARN_DOCUMENT_CONCENTRATION)]
    + [("fixed-length", "symmetric")],
)
def test_alpha_is_learned_as_told(fit_topics: FitTopics, guide: str, learn: str) -> None:
    options = {"learn_document_concentration": learn, **GUIDES[guide]}
    model = fit_topics(**options, training=LONG).guide.model
    alpha = model.document_concentration
    assert (alpha.max() == alpha.min()) == (learn != "asymmetric")
    assert torch.allclose(alpha, torch.full((3,), 1 / 3)) == (learn == "fixed")


@pytest.mark.parametrize(
    ("guide", "learn"), [("exchangeable", False), ("exchangeable", True), ("fixed-length", True)]
)
def test_beta_starts_and_is_learned_as_told(fit_topics: FitTopics, guide: str, learn: bool) -> None:
    options = {"learn_topic_concentration": learn, **GUIDES[guide]}
    model = fit_topics(topic_concentration=0.7, training=LONG, **options).guide.model
    assert (model.topic_concentration == pytest.approx(0.7)) != learn


@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_pooling_is_the_one_asked_for(
    fit_topics: FitTopics, corpus: Corpus, pooling: str
) -> None:
    fit = fit_topics(pooling=pooling, training={"learning_rate": 0.05})
    one, other = encoded(fit, corpus, [3, 3, 8], [3, 8, 8])
    assert torch.allclose(one, other, rtol=1e-5) == (pooling == "max")


@pytest.mark.parametrize("length", [2, 4])
def test_the_length_is_the_one_asked_for(
    fit_topics: FitTopics, corpus: Corpus, length: int
) -> None:
    fit = fit_topics(guide="fixed-length", length=length)
    first, *others = encoded(fit, corpus, *([*[5] * n, *[9] * (6 - n)] for n in range(6)))
    full = encoded(fit, corpus, [5] * 6)[0]
    same = [torch.allclose(own, full) for own in (first, *others)]
    assert same == [n >= length for n in range(6)]


def test_the_number_of_topics_is_the_one_asked_for(fit_topics: FitTopics, corpus: Corpus) -> None:
    fit = fit_topics(num_topics=5)
    assert infer(fit.guide, corpus, steps=1).shape == (40, 5)


def test_the_seed_decides_where_a_fit_starts(fit_topics: FitTopics) -> None:
    starts = {}
    for name, seed, noise in (("one", 3, 0), ("same", 3, 1), ("other", 4, 0)):
        torch.manual_seed(noise)
        guide = fit_topics(name, training={"seed": seed, "epochs": 0}).guide
        starts[name] = guide.state_dict()
    for part in ("topics.concentration", "encoder.readout.0.weight"):
        assert torch.equal(starts["one"][part], starts["same"][part])
        assert not torch.equal(starts["one"][part], starts["other"][part])


@pytest.mark.parametrize(
    "change",
    [
        {"num_topics": 4},
        {"pooling": "max"},
        {"training": {"learning_rate": 0.1}},
        {"training": {"patience": 5}},
        {"split": fitting.SplitConfig(seed=7)},
    ],
)
def test_a_fit_goes_on_with_its_own_options_alone(
    fit_topics: FitTopics, corpus: Corpus, tmp_path: Path, change: dict
) -> None:
    fit_topics()
    options = {"num_topics": 3, "pooling": change.get("pooling", "mean")}
    options |= {key: change[key] for key in ("num_topics",) if key in change}
    defaults = {"epochs": 3, "batch_size": 8, "learning_rate": 5e-3, "device": "cpu"}
    training = fitting.TrainingConfig(**{**defaults, **change.get("training", {})})
    with pytest.raises(DataError, match="was begun with"):
        fitting.fit(
            corpus,
            fitting.LDAConfig(**options),
            training,
            tmp_path / "fit",
            split=change.get("split", fitting.SplitConfig()),
            resume=True,
        )


def test_a_fit_goes_on_with_its_own_documents_alone(
    fit_topics: FitTopics, corpus: Corpus, tmp_path: Path
) -> None:
    fit_topics()
    other = replace(corpus, words=corpus.words[::-1].copy())
    config = fitting.LDAConfig(num_topics=3)
    training = fitting.TrainingConfig(2, 8, 5e-3, device="cpu")
    with pytest.raises(DataError, match="begun with fingerprint"):
        fitting.fit(other, config, training, tmp_path / "fit", resume=True)


# What is trained on


@pytest.mark.parametrize(("patience", "splits"), [(0, ("train", "val")), (5, ("train",))])
def test_minibatches_are_of_the_training_documents(
    corpus: Corpus, fit_topics: FitTopics, monkeypatch, patience: int, splits: tuple[str, ...]
) -> None:
    """Each once in an epoch, with the words it has, and scaled to as many as there are."""
    seen: list[tuple] = []
    forward = LDA.forward

    def note(self: LDA, *arguments: object) -> Tensor:
        if self.training:
            seen.append(arguments)
        return forward(self, *arguments)

    monkeypatch.setattr(LDA, "forward", note)
    fit_topics(training={"patience": patience, "epochs": 1})
    chosen = np.flatnonzero(np.isin(corpus.splits, splits))
    positions = []
    for words, offsets, indices, num_documents, obs in seen:
        assert num_documents == len(chosen)
        own = corpus.select(chosen[indices.numpy()])
        assert obs.tolist() == words.tolist() == own.words.tolist()
        assert offsets.tolist() == own.offsets.tolist()
        positions += indices.tolist()
    assert sorted(positions) == list(range(len(chosen)))


def test_the_loss_is_reported_per_word_trained_on(
    corpus: Corpus, fit_topics: FitTopics, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(
        "pyro.infer.TraceMeanField_ELBO.loss_and_grads", lambda *_, **__: torch.tensor(1000.0)
    )
    fit_topics(training={"epochs": 1, "patience": 5})
    tokens = corpus.lengths[corpus.splits == "train"].sum()
    found = fits.read_metrics(tmp_path / "fit")["loss_per_token"].item()
    assert found == pytest.approx(1000.0 / tokens)


def test_patience_goes_by_the_refined_perplexity(
    fit_topics: FitTopics, tmp_path: Path, monkeypatch
) -> None:
    told = iter([3.0, 2.0, 2.5, 2.6, 0.1, 0.1])
    better = iter([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    monkeypatch.setattr(
        "exvae.experiments.lda.completion.Monitor.__call__",
        lambda self: {"perplexity": next(told), "perplexity_amortised": next(better)},
    )
    fit_topics(training={"epochs": 6, "patience": 2})
    assert len(fits.read_metrics(tmp_path / "fit")) == 4


@pytest.mark.parametrize("seed", [0, 6])
def test_a_corpus_is_split_as_told(corpus: Corpus, fit_topics: FitTopics, seed: int) -> None:
    bare = replace(corpus, splits=None)
    split = fitting.SplitConfig(seed=seed, test_fraction=0.5, val_fraction=0.1)
    fit = fit_topics(documents=bare, split=split, training={"patience": 5})
    assert fit.config["data"]["training_documents"] == 16
    own = evaluation.chosen_documents(fit, bare, "test")
    assert own.num_documents == 20
    order = np.random.default_rng(seed).permutation(40)
    assert set(own.names) == set(corpus.names[order[:20]])
    with pytest.raises(DataError, match="use split='all'"):
        evaluation.chosen_documents(fit, replace(bare, words=bare.words[::-1].copy()), "test")


# What is measured


def test_a_fit_is_loaded_as_it_ended(fit_topics: FitTopics, tmp_path: Path) -> None:
    fit = fit_topics(training=LONG)
    state = fits.read_checkpoint(tmp_path / "fit")
    for part, module in (("model", fit.guide.model), ("guide", fit.guide)):
        assert all(
            torch.equal(value, state[part][name]) for name, value in module.state_dict().items()
        )
        assert not module.training


@pytest.mark.parametrize("split", ["train", "val", "test", "all"])
@pytest.mark.parametrize("steps", [0, 2])
def test_figures_are_of_the_split_the_steps_and_the_seed(
    corpus: Corpus, expressive_fit: LDAFit, split: str, steps: int
) -> None:
    own = corpus if split == "all" else select_split(corpus, split)
    found = []
    for seed in (1, 2):
        measured = evaluation.evaluate(expressive_fit, corpus, split=split, steps=steps, seed=seed)
        observed, held_out = halve(own, seed)
        phi = expressive_fit.guide.topics.mean()
        for name, number in (("perplexity", steps), ("perplexity_amortised", 0)):
            theta = infer(expressive_fit.guide, observed, steps=number)
            assert measured[name] == pytest.approx(perplexity(theta, phi, held_out))
        loss = evaluation.loss_per_token(expressive_fit, own, seed)
        assert measured["loss_per_token"] == pytest.approx(loss)
        assert (measured["documents"], measured["tokens"]) == (own.num_documents, own.num_tokens)
        found.append(measured["perplexity_amortised"])
    assert found[0] != found[1]


@pytest.mark.parametrize(("size", "told"), [(3, False), (4, False), (7, True), (50_000, True)])
def test_a_vocabulary_that_hardly_occurs_is_told(size: int, told: bool) -> None:
    """Words that never occur take probability from the others."""
    counts = scipy.sparse.csr_matrix(np.eye(3, size).repeat(10, 0))
    corpus = Corpus.from_counts(counts, [f"w{word}" for word in range(size)])
    training = TrainingConfig(1, 8, 5e-3, device="cpu")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fitting.set_up(corpus, fitting.LDAConfig(2), training, progress=False)
    messages = [str(own.message) for own in found]
    assert any(f"only 3 of the {size} words of the vocabulary" in own for own in messages) == told


LONG_BESIDE_SHORT = {
    "words of its own": (["a"] * 1000, [["b", "c"]] * 50),
    "half of its words": (["a", "b"] * 500, [["b", "c"], ["c", "c"]] * 25),
    "all of its words": (["a"] * 1000, [["a", "b"], ["b", "c"], ["c", "a"]] * 17),
}


@pytest.mark.filterwarnings("ignore:the loss rose")  # of so few words it wanders
@pytest.mark.parametrize("batch_size", [8, 128])
@pytest.mark.parametrize("topics", [2, 5])
@pytest.mark.parametrize("kind", LONG_BESIDE_SHORT)
def test_a_long_document_beside_short_ones(kind: str, topics: int, batch_size: int) -> None:
    """Short documents hold few words of all but keep a topic, of three words that occur."""
    long, short = LONG_BESIDE_SHORT[kind]
    corpus = Corpus.from_texts([long, *short])
    training = TrainingConfig(30, batch_size, 5e-3, device="cpu")
    trainer, fit = fitting.set_up(corpus, fitting.LDAConfig(topics), training, progress=False)
    trainer.train()
    assert max(row["perplexity"] for row in trainer.metrics) < 8.0
    assert trainer.metrics[-1]["perplexity"] < 5.0
    # A third of the words of the last kind's short documents is the long one's.
    assert fit.guide.topics.mean()[:, 0].min() < 0.36
    assert fit.guide.topics.mean()[:, 0].max() > 0.45
