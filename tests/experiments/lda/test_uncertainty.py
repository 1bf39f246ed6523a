"""Uncertainty of topic proportions: moments of draws, the table, and coverage of the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from typer.testing import CliRunner

from exvae.data.corpora import Corpus, write_corpus
from exvae.data.errors import DataWarning
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments import cli
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import fitting, tables, uncertainty
from exvae.experiments.lda.fitting import LDAFit
from exvae.experiments.lda.uncertainty import topic_uncertainty, with_uncertainty
from exvae.guides.document_posterior import draw_topics


def test_statistics_are_those_of_the_draws(corpus: Corpus, expressive_fit: LDAFit) -> None:
    words, offsets, *_ = corpus.batch(range(40))
    torch.manual_seed(4)
    draws = draw_topics(expressive_fit.guide, words, offsets, 50).double().numpy()
    found = topic_uncertainty(
        expressive_fit, corpus, quantiles=(0.9, 0.1, 0.5), num_samples=50, seed=4
    )
    np.testing.assert_allclose(found.mean, draws.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.sd, draws.std(0, ddof=1), rtol=1e-3, atol=1e-6)
    expected = np.quantile(draws, [0.9, 0.1, 0.5], axis=0)
    np.testing.assert_allclose(found.quantiles, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("block_size", [1, 3, 16])
def test_blocks_of_documents_are_summarised_in_order(
    corpus: Corpus, expressive_fit: LDAFit, block_size: int
) -> None:
    """Draws differ from block size to block size, but not by more than chance."""
    whole = topic_uncertainty(expressive_fit, corpus, num_samples=4000, block_size=40)
    parts = topic_uncertainty(expressive_fit, corpus, num_samples=4000, block_size=block_size)
    assert whole.mean.std(0).min() > 0.05
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.05)


def test_the_default_block_bounds_memory(
    corpus: Corpus, expressive_fit: LDAFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10 draws, 3 topics and 150 numbers at once there are 5 documents in a block."""
    monkeypatch.setattr(uncertainty, "_DRAWN_AT_ONCE", 150)
    found = topic_uncertainty(expressive_fit, corpus, num_samples=10)
    expected = topic_uncertainty(expressive_fit, corpus, num_samples=10, block_size=5)
    other = topic_uncertainty(expressive_fit, corpus, num_samples=10, block_size=6)
    assert torch.equal(found.mean, expected.mean)
    assert not torch.equal(found.mean, other.mean)


def test_a_seed_repeats_and_leaves_other_random_numbers(
    corpus: Corpus, expressive_fit: LDAFit
) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    found = [
        topic_uncertainty(fit, corpus, num_samples=9, seed=seed).mean
        for fit, seed in ((expressive_fit, 5), (expressive_fit.guide, 5), (expressive_fit, 6))
    ]
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(found[0], found[1])
    assert (found[0] != found[2]).all()


def test_one_draw_has_no_deviation(corpus: Corpus, expressive_fit: LDAFit) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        topic_uncertainty(expressive_fit, corpus, num_samples=1)


def test_columns_follow_the_means(corpus: Corpus, expressive_fit: LDAFit) -> None:
    means = tables.topic_table(expressive_fit, corpus, steps=5)
    table = with_uncertainty(means, expressive_fit, corpus, seed=3)
    found = topic_uncertainty(expressive_fit, corpus, seed=3)
    columns = [f"topic_{topic}" for topic in range(3)]
    np.testing.assert_array_equal(table[columns], found.mean)
    assert table["dominant_topic"].tolist() == found.mean.argmax(1).tolist()
    assert table.shape == (40, len(means.columns) + 3 * 3)
    for topic in range(3):
        np.testing.assert_array_equal(table[f"topic_{topic}_sd"], found.sd[:, topic])
        low, high = (table[f"topic_{topic}_{name}"] for name in ("q0.025", "q0.975"))
        np.testing.assert_array_equal(low, found.quantiles[0, :, topic])
        np.testing.assert_array_equal(high, found.quantiles[1, :, topic])
        assert (low < found.mean[:, topic].numpy()).all()
        assert (found.mean[:, topic].numpy() < high).all()


def test_documents_without_words_keep_the_prior_mean(
    corpus: Corpus, expressive_fit: LDAFit
) -> None:
    offsets = corpus.offsets[:3].copy()
    offsets[1] = 0
    two = replace(corpus.select([0, 1]), offsets=offsets)
    with pytest.warns(DataWarning, match="1 of 2 documents"):
        means = tables.topic_table(expressive_fit, two, steps=5)
    before = means.copy()
    table = with_uncertainty(means, expressive_fit, two)
    pd.testing.assert_frame_equal(means, before)
    columns = [f"topic_{topic}" for topic in range(3)]
    pd.testing.assert_series_equal(table[columns].iloc[0], means[columns].iloc[0])
    assert table["dominant_topic"].isna().tolist() == [True, False]
    assert not np.array_equal(table[columns].iloc[1], means[columns].iloc[1])


def test_the_command_adds_the_columns(
    corpus: Corpus, fit_topics: Callable[..., LDAFit], tmp_path: Path
) -> None:
    loaded = fit_topics()
    path, out = tmp_path / "corpus.npz", tmp_path / "topics.csv"
    write_corpus(corpus, path)
    command = ["lda", "infer", str(tmp_path / "fit"), str(path), "--out", str(out)]
    for options, seed in ((["--uncertainty"], 0), (["--uncertainty", "--seed", "7"], 7)):
        result = CliRunner().invoke(cli.app, [*command, *options], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        means = tables.topic_table(loaded, corpus, steps=5)
        expected = with_uncertainty(means, loaded, corpus, seed=seed)
        found = pd.read_csv(out, index_col="document")
        pd.testing.assert_frame_equal(found, expected, rtol=1e-4, check_dtype=False)
    result = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert pd.read_csv(out, index_col="document").columns.tolist() == means.columns.tolist()


def test_intervals_hold_the_truth(tmp_path: Path) -> None:
    """In held-out documents, where those of the guide's Dirichlet do not."""
    simulated = simulate_corpus(
        1200, 5, 200, 60, document_concentration=0.2, topic_concentration=0.15, seed=2
    )
    splits = np.where(np.arange(1200) < 800, "train", "test")
    corpus = replace(simulated.corpus, splits=splits)
    training = TrainingConfig(25, 64, 5e-3, 0, "cpu")
    fitting.fit(corpus, fitting.LDAConfig(5), training, tmp_path / "fit")
    guide = fitting.load(tmp_path / "fit", "cpu").guide
    found, truth = guide.topics.mean().numpy(), simulated.topic_words
    cosines = found @ truth.T / np.linalg.norm(found, axis=1)[:, None]
    cosines /= np.linalg.norm(truth, axis=1)
    own, matched = linear_sum_assignment(-cosines)
    assert cosines[own, matched].min() > 0.98
    theta = torch.from_numpy(simulated.document_topics[800:][:, matched])
    documents = corpus.select(splits == "test")
    words, offsets, *_ = documents.batch(range(400))
    dirichlet = torch.distributions.Dirichlet(guide.infer_concentration(words, offsets, steps=5))
    for level in (0.5, 0.8, 0.95):
        bounds = (1 - level) / 2, (1 + level) / 2
        low, high = topic_uncertainty(guide, documents, quantiles=bounds).quantiles
        held = ((low <= theta) & (theta <= high)).float().mean().item()
        assert held == pytest.approx(level, abs=0.04)
        low, high = dirichlet.sample((400,)).quantile(torch.tensor(bounds), 0)
        assert ((low <= theta) & (theta <= high)).float().mean().item() < level - 0.06
