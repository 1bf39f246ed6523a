"""Topic models in notebooks: train, transform, compare, save, load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import exvae as package
from exvae.data.corpora import Corpus, write_corpus
from exvae.data.errors import DataError, DataWarning
from exvae.data.tokenizer import Tokenizer
from exvae.experiments.fitting import fits
from exvae.experiments.fitting.training import Trainer
from exvae.experiments.lda import evaluation, fitting
from exvae.experiments.topic_model import TopicModel
from exvae.guides.sets import MaxPooling

from ..small_data import draw_texts

SHORT = {"max_epochs": 2, "batch_size": 8, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Forty texts on the weather and on sport."""
    return draw_texts()


@pytest.fixture
def corpus(table: pd.DataFrame) -> Corpus:
    return Corpus.from_dataframe(table, text="text", label="label", id="id")


@pytest.fixture(scope="module")
def model(table: pd.DataFrame) -> TopicModel:
    """Train two topics until they tell the labels apart; tests leave it as it is."""
    corpus = Corpus.from_dataframe(table, text="text", label="label", id="id")
    own = TopicModel(corpus, topics=2)
    return own.train(max_epochs=25, batch_size=8, progress=False, device="cpu")


def topics_of(model: TopicModel) -> torch.Tensor:
    return model.fitted.guide.topics.concentration


def test_the_package_has_its_names() -> None:
    assert package.TopicModel is TopicModel
    assert package.Corpus is Corpus
    assert callable(package.read_corpus)
    assert {"Corpus", "TopicModel", "read_corpus"} <= set(dir(package))


def test_topics_tell_the_labels_apart(model: TopicModel, table: pd.DataFrame) -> None:
    found = model.transform()
    assert found.index.tolist() == table["id"].tolist()
    assert found["label"].tolist() == table["label"].tolist()
    agreement = found.groupby("label")["dominant_topic"].agg(lambda own: own.value_counts().max())
    assert (agreement >= 18).all()
    assert found.groupby("label")["dominant_topic"].agg(pd.Series.mode).nunique() == 2
    means = model.prevalence()
    assert means["documents"].tolist() == [20, 20]
    assert means[["topic_0", "topic_1"]].max(axis=1).min() > 0.8


def test_new_texts_are_split_as_the_corpus_was(model: TopicModel, table: pd.DataFrame) -> None:
    texts = table["text"].tolist()
    expected = model.transform().drop(columns="label").reset_index(drop=True)
    found = model.transform([text.upper() + " The UNKNOWN!" for text in texts])
    assert found.index.tolist() == list(range(40))
    pd.testing.assert_frame_equal(found, expected, check_names=False, rtol=1e-4)
    series = table.set_index("id")["text"].iloc[5:8]
    assert model.transform(series).index.tolist() == series.index.tolist()
    refined = model.transform(texts, refine=0)
    assert not np.allclose(refined["topic_0"], expected["topic_0"])


def test_texts_without_a_known_word_get_the_prior_mean(model: TopicModel) -> None:
    with pytest.warns(DataWarning, match="2 of 2 documents have no known word") as told:
        found = model.transform(["Quantum mechanics", "the"])
    assert len(told) == 1
    alpha = model.fitted.guide.model.document_concentration
    prior = (alpha / alpha.sum()).expand(2, 2)
    np.testing.assert_allclose(found[["topic_0", "topic_1"]], prior, rtol=1e-6)


def test_a_corpus_of_another_vocabulary_is_mapped(model: TopicModel, corpus: Corpus) -> None:
    reversed_words = Corpus(
        corpus.vocabulary_size - 1 - corpus.words, corpus.offsets, corpus.vocabulary[::-1]
    )
    found = model.transform(reversed_words)
    np.testing.assert_allclose(found["topic_0"], model.transform()["topic_0"], rtol=1e-5)


def test_tables_of_topics(model: TopicModel) -> None:
    wide = model.topics(3)
    assert wide.columns.tolist() == ["weight", 1, 2, 3]
    assert wide["weight"].is_monotonic_decreasing
    tidy = model.topics(3, tidy=True)
    for topic, own in tidy.groupby("topic"):
        assert wide.loc[topic, [1, 2, 3]].tolist() == own["word"].tolist()
        assert (own["weight"] == wide.loc[topic, "weight"]).all()
    best = model.top_documents(2)
    proportions = model.transform()
    for _, row in best.iterrows():
        own = proportions[f"topic_{row['topic']}"]
        assert row["proportion"] == own[row["document"]] == own.nlargest(2).iloc[row["rank"] - 1]


def test_training_is_that_of_the_command(corpus: Corpus, tmp_path: Path) -> None:
    config = fitting.LDAConfig(3, options={"topic_concentration": 0.2})
    training = fitting.TrainingConfig(2, 8, 5e-3, seed=4, device="cpu")
    split = fitting.SplitConfig(4, 0.2, 0.1)
    fitting.fit(corpus, config, training, tmp_path / "fit", split=split)
    model = TopicModel(corpus, 3, topic_concentration=0.2)
    assert model.train(**SHORT, seed=4, test_fraction=0.2, val_fraction=0.1) is model
    model.save(tmp_path / "saved")
    assert torch.equal(topics_of(model), fitting.load(tmp_path / "fit").guide.topics.concentration)
    for name in ("config.json", "vocabulary.txt"):
        assert (tmp_path / "saved" / name).read_text() == (tmp_path / "fit" / name).read_text()
    metrics = fits.read_metrics(tmp_path / "saved")
    assert list(metrics) == list(fits.read_metrics(tmp_path / "fit"))
    pd.testing.assert_frame_equal(metrics, model.history)


def test_training_goes_on_as_if_it_had_not_ended(corpus: Corpus, tmp_path: Path) -> None:
    straight = TopicModel(corpus, 2).train(**{**SHORT, "max_epochs": 4})
    parts = TopicModel(corpus, 2).train(**SHORT)
    parts.save(tmp_path / "fit")
    torch.rand(3)  # draws of others change nothing
    loaded = TopicModel.load(tmp_path / "fit", corpus, device="cpu").train(**SHORT)
    parts.train(**SHORT)
    for model in (parts, loaded):
        assert len(model.history) == 4
        assert torch.equal(topics_of(model), topics_of(straight))
        for one, other in zip(
            model.fitted.guide.parameters(), straight.fitted.guide.parameters(), strict=True
        ):
            assert torch.equal(one, other)
    with pytest.raises(DataError, match="was begun with learning_rate"):
        parts.train(**SHORT, learning_rate=0.1)


def test_an_interrupt_leaves_a_model_that_goes_on(corpus: Corpus, monkeypatch) -> None:
    straight = TopicModel(corpus, 2).train(**{**SHORT, "max_epochs": 3})
    step, steps = Trainer._step, []

    def press(self: Trainer, positions: np.ndarray) -> float:
        steps.append(positions)
        if len(steps) == 7:
            raise_signal()
        return step(self, positions)

    def raise_signal() -> None:
        import signal

        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Trainer, "_step", press)
    model = TopicModel(corpus, 2)
    with pytest.warns(UserWarning, match="interrupted in epoch 2, batch 2 of 5; .* usable"):
        model.train(**{**SHORT, "max_epochs": 3})
    assert len(model.history) == 1
    assert not model.fitted.guide.training
    assert len(model.transform()) == 40
    model.train(**SHORT)
    assert torch.equal(topics_of(model), topics_of(straight))


def test_a_model_survives_its_folder(model: TopicModel, corpus: Corpus, tmp_path: Path) -> None:
    model.save(tmp_path / "fit")
    loaded = TopicModel.load(tmp_path / "fit", corpus)
    assert repr(loaded) == repr(model)
    pd.testing.assert_frame_equal(loaded.transform(), model.transform())
    pd.testing.assert_frame_equal(loaded.history, model.history)
    assert loaded.perplexity() == model.perplexity()
    assert loaded.fitted.tokenizer == Tokenizer()
    bare = TopicModel.load(tmp_path / "fit")
    texts = ["Rain.", "A goal!"]
    pd.testing.assert_frame_equal(bare.transform(texts), model.transform(texts))
    with pytest.raises(DataError, match="without its corpus"):
        bare.transform()
    with pytest.raises(DataError, match="holds a fit already"):
        model.save(tmp_path / "fit")


def test_classes_may_be_given_and_are_saved_by_name(corpus: Corpus, tmp_path: Path) -> None:
    model = TopicModel(corpus, 2, pooling=MaxPooling).train(**SHORT)
    model.save(tmp_path / "fit")
    assert fits.read_config(tmp_path / "fit")["model"]["pooling"] == (
        "exvae.guides.sets:MaxPooling"
    )
    loaded = TopicModel.load(tmp_path / "fit", corpus)
    pd.testing.assert_frame_equal(loaded.transform(), model.transform())


def test_a_model_is_loaded_with_the_file_of_its_corpus(corpus: Corpus, tmp_path: Path) -> None:
    model = TopicModel(corpus, 2).train(**SHORT)
    model.save(tmp_path / "fit")
    write_corpus(corpus, tmp_path / "corpus.npz")
    loaded = TopicModel.load(tmp_path / "fit", tmp_path / "corpus.npz")
    np.testing.assert_allclose(loaded.transform().iloc[:, :2], model.transform().iloc[:, :2])


def test_perplexity_is_of_held_out_documents(model: TopicModel, corpus: Corpus) -> None:
    last = model.history["perplexity"].iloc[-1]
    assert model.perplexity() == pytest.approx(last)
    assert model.perplexity(corpus) == pytest.approx(last)
    others = corpus.select(range(10))
    expected = evaluation.evaluate(model.fitted, others, split="all", steps=5)["perplexity"]
    assert model.perplexity(others) == pytest.approx(expected)
    whole = evaluation.evaluate(model.fitted, corpus, split="all", steps=0, seed=3)["perplexity"]
    assert model.perplexity(split="all", refine=0, seed=3) == pytest.approx(whole)


def test_coherence_is_of_the_top_words(model: TopicModel, corpus: Corpus) -> None:
    scores = model.coherence(4, per_topic=True)
    assert scores.index.tolist() == [0, 1]
    assert model.coherence(4) == pytest.approx(scores.mean())
    assert model.coherence(4, "npmi_documents", corpus.select(range(20))) != pytest.approx(
        model.coherence(4, "npmi_documents")
    )


def test_stability_trains_models_that_differ_in_the_seed_alone(model: TopicModel) -> None:
    table = model.stability([5], top=4, progress=False)
    assert (table["cosine"] > 0.9).all()
    (other,) = [model._trained_again(5)]
    assert other.fitted.config["training"]["seed"] == 5
    assert other.fitted.config["split"] == model.fitted.config["split"]
    assert len(other.history) == len(model.history)
    pd.testing.assert_frame_equal(model.stability([other], top=4), table)


def test_numbers_of_topics_are_compared(corpus: Corpus, capsys) -> None:
    table = TopicModel.choose_topics(
        corpus, [2, 3], seeds=[0, 1], measure="npmi_documents", pooling="max", **SHORT
    )
    assert table["topics"].tolist() == [2, 2, 3, 3]
    assert table["seed"].tolist() == [0, 1, 0, 1]
    assert capsys.readouterr().err == ""
    from exvae.data.corpora import split_corpus

    own = TopicModel(split_corpus(corpus, 0), 3, pooling="max").train(**SHORT, seed=1)
    assert table["perplexity"].iloc[3] == pytest.approx(own.perplexity())
    assert table["coherence"].iloc[3] == pytest.approx(own.coherence(measure="npmi_documents"))
    shown = {**SHORT, "progress": True}
    TopicModel.choose_topics(corpus, [2], measure="npmi_documents", **shown)
    assert "1/1" in capsys.readouterr().err


def test_arguments_for_pyldavis(model: TopicModel, table: pd.DataFrame) -> None:
    texts = ["the", *table["text"]]
    found = model.pyldavis(texts)
    assert found["topic_term_dists"].shape == (2, 20)
    assert found["doc_topic_dists"].shape == (40, 2)
    for name in ("topic_term_dists", "doc_topic_dists"):
        np.testing.assert_allclose(found[name].sum(1), 1, atol=1e-12)
    assert found["doc_lengths"].tolist() == model.corpus.lengths.tolist()
    assert found["term_frequency"].sum() == model.corpus.num_tokens
    assert found["vocab"] == model.corpus.vocabulary.tolist()
    np.testing.assert_allclose(found["doc_topic_dists"][:, 0], model.transform()["topic_0"])


def test_new_documents_move_the_topics(corpus: Corpus, tmp_path: Path) -> None:
    model = TopicModel(corpus, 2).train(**{**SHORT, "max_epochs": 25})
    before = model.fitted.guide.topics.mean()
    texts = ["Rain, rain and rain."] * 30
    assert model.partial_fit(texts, passes=3) is model
    word = corpus.vocabulary.tolist().index("rain")
    after = model.fitted.guide.topics.mean()
    assert after[:, word].max() > before[:, word].max() + 0.02
    model.save(tmp_path / "fit")
    loaded = TopicModel.load(tmp_path / "fit", corpus, device="cpu")
    assert torch.equal(topics_of(loaded), topics_of(model))
    assert len(loaded.train(**SHORT).history) == 27


def test_texts_without_a_corpus_are_enough(table: pd.DataFrame) -> None:
    model = TopicModel(table["text"].tolist(), 2)
    assert model.corpus.num_documents == 40
    assert repr(model).endswith("40 documents, a vocabulary of 20, not trained")


def test_before_training_methods_say_so(corpus: Corpus) -> None:
    for call in (TopicModel(corpus).topics, TopicModel(corpus).transform):
        with pytest.raises(DataError, match="not trained; call train"):
            call()
    assert TopicModel(corpus).history.empty


def test_few_documents_and_empty_ones_are_told(corpus: Corpus) -> None:
    few = corpus.select(range(19))
    with pytest.warns(DataWarning, match="19 documents are few .* at least 20"):
        TopicModel(few, 2).train(**SHORT)
    texts = ["the"] * 6 + ["Rain and wind."] * 30
    with pytest.warns(DataWarning, match="documents have no words and are left out") as told:
        TopicModel(texts, 2).train(**SHORT)
    left_out = int(str(told[0].message).split(": ")[1].split()[0])
    assert 1 <= left_out <= 6


def test_documents_without_words_have_no_dominant_topic() -> None:
    texts = draw_texts()
    texts.loc[:9, "text"] = ""
    corpus = Corpus.from_dataframe(texts, text="text", label="label", id="id")
    with pytest.warns(DataWarning):
        model = TopicModel(corpus, topics=2).train(max_epochs=1, progress=False)
    with pytest.warns(DataWarning):
        table = model.transform()
    assert table["dominant_topic"].isna().tolist() == [True] * 10 + [False] * 30
    with pytest.warns(DataWarning):
        assert model.prevalence()["documents"].sum() == 30


def test_counts_and_dicts_are_no_texts() -> None:
    corpus = Corpus.from_dataframe(draw_texts(), text="text")
    model = TopicModel(corpus, topics=2).train(max_epochs=1, progress=False)
    for wrong in (np.ones((3, 4)), {"film": "rain"}):
        with pytest.raises(DataError, match="from_counts"):
            model.transform(wrong)
    with pytest.raises(DataError, match="there are no documents"):
        model.transform([])
    with pytest.raises(DataError, match="no column rank"):
        package.pl.topics(model.topics())


WRONG = {
    "n_components": (
        lambda own: TopicModel(own.corpus, n_components=3),
        "number of topics by topi",
    ),
    "num_topics": (lambda own: TopicModel(own.corpus, num_topics=3), "number of topics by topics"),
    "other option": (lambda own: TopicModel(own.corpus, alpha=0.1), "no option alpha; choose one"),
    "topics": (lambda own: TopicModel(own.corpus, "3"), "topics is '3'; give a whole number"),
    "no topics": (lambda own: TopicModel(own.corpus, 0), "topics is 0"),
    "guide": (lambda own: TopicModel(own.corpus, guide="x"), "guide is 'x'; choose one of"),
    "epochs": (lambda own: TopicModel(own.corpus).train(2.5), "max_epochs is 2.5"),
    "batch size": (lambda own: TopicModel(own.corpus).train(batch_size=0), "batch_size is 0"),
    "rate": (lambda own: TopicModel(own.corpus).train(learning_rate=-1), "learning_rate is -1"),
    "seed": (lambda own: TopicModel(own.corpus).train(seed=None), "seed is None"),
    "patience": (lambda own: TopicModel(own.corpus).train(patience=-1), "patience is -1"),
    "fraction": (lambda own: TopicModel(own.corpus).train(test_fraction=2), "test_fraction is 2"),
    "fractions": (
        lambda own: TopicModel(own.corpus).train(test_fraction=0.5, val_fraction=0.5),
        "sum is less than 1",
    ),
    "relevance": (lambda own: own.topics(relevance=2), "relevance is 2; .* from 0 to 1"),
    "top": (lambda own: own.topics(0), "top is 0"),
    "coherence": (lambda own: own.coherence(1), "top is 1; coherence is of pairs"),
    "documents": (lambda own: own.top_documents(-1), "count is -1"),
    "refine": (lambda own: own.transform(refine=-1), "refine is -1"),
    "number": (lambda own: own.transform(5), "are of the type int; give a list"),
    "stability": (lambda own: own.stability(1), r"others is 1; give a list, such as \[1, 2\]"),
    "seeds": (lambda own: own.stability(["a"]), "seed is 'a'"),
    "numbers": (lambda own: TopicModel.choose_topics(own.corpus, 5), r"such as \[5, 10, 20\]"),
    "no numbers": (lambda own: TopicModel.choose_topics(own.corpus, []), "is empty"),
    "one seed": (lambda own: TopicModel.choose_topics(own.corpus, [2], seeds=3), "seeds is 3"),
    "by": (lambda own: own.prevalence("section"), r"such as table\['section'\]"),
    "by number": (lambda own: own.prevalence(5), "by is 5; give a list"),
    "passes": (lambda own: own.partial_fit(["rain"], passes=0), "passes is 0"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_arguments_are_named(kind: str, model: TopicModel) -> None:
    call, message = WRONG[kind]
    with pytest.raises(DataError, match=message):
        call(model)


def test_single_models_and_names_of_the_label_are_understood(model: TopicModel) -> None:
    assert (model.stability(model, progress=False)["cosine"] > 0.999).all()
    pd.testing.assert_frame_equal(model.prevalence("label"), model.prevalence())


def test_means_lie_in_their_intervals(corpus: Corpus) -> None:
    # With the small alpha of texts that tell their labels a rare draw moves the mean out of them.
    own = TopicModel(corpus, topics=2, learn_document_concentration="fixed").train(**SHORT)
    table = own.transform(["Rain and a goal.", "Wind."], return_uncertainty=True)
    for topic in ("topic_0", "topic_1"):
        assert (table[f"{topic}_q0.025"] <= table[topic]).all()
        assert (table[topic] <= table[f"{topic}_q0.975"]).all()


@pytest.mark.parametrize(("batch_size", "epochs"), [(128, 120), (8, 24), (2, 10)])
def test_few_documents_take_more_epochs(
    corpus: Corpus, batch_size: int, epochs: int, monkeypatch
) -> None:
    """The encoder takes as many steps, whatever their number in an epoch."""
    monkeypatch.setattr(
        Trainer, "_train_epoch", lambda self, *_: setattr(self, "epoch", self.epoch + 1)
    )
    model = TopicModel(corpus, 2).train(batch_size=batch_size, progress=False)
    assert model.fitted.config["training"]["epochs"] == epochs
    model.train(batch_size=batch_size, progress=False)
    assert model.fitted.config["training"]["epochs"] == 2 * epochs
