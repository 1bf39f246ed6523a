"""The commands, as users type them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exvae.data.corpora import halve, select_split, write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.fitting.training import LossNotFinite, TrainingInterrupted
from exvae.experiments.lda import completion, fitting, tables

FIT = ("lda", "fit", "{corpus}", "--topics", 3, "--out", "{out}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Write a text corpus with splits, of 300 documents."""
    simulated = simulate_corpus(300, 4, 120, 30, seed=2).corpus
    path = tmp_path_factory.mktemp("corpus") / "corpus.tsv"
    lines = []
    for number in range(simulated.num_documents):
        own = simulated.words[simulated.offsets[number] : simulated.offsets[number + 1]]
        split = ("test", "val", "train", "train")[number % 4]
        lines.append(" ".join(simulated.vocabulary[own]) + f"\t{split}\n")
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def fit(corpus: Path, tmp_path_factory) -> Path:
    """Fit four topics for a short time."""
    folder = tmp_path_factory.mktemp("fits") / "fit"
    training = fitting.TrainingConfig(epochs=3, batch_size=32, learning_rate=5e-3, device="cpu")
    fitting.fit(read_corpus(corpus), fitting.LDAConfig(num_topics=4), training, folder)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--guide", "fixed-length", "--set", "length=20", "--set", "readout_sizes=[16]"),
        (
            *("--pooling", "moments", "--set", "learn_document_concentration=symmetric"),
            *("--set", "learn_topic_concentration=true"),
        ),
        ("--patience", 1, "--set", "learn_document_concentration=fixed"),
    ],
)
def test_fit_writes_a_fit_and_pictures(exvae, corpus: Path, tmp_path: Path, options) -> None:
    out = tmp_path / "fit"
    result = exvae(
        "lda", "fit", corpus, "--topics", 4, "--out", out, "--epochs", 2, "--json", *options
    )
    assert result.status == 0
    assert result.json["epoch"] == 2
    assert math.isfinite(result.json["loss_per_token"])
    for picture in result.json["pictures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    evaluated = exvae("lda", "evaluate", out, corpus, "--json")
    assert 1 < evaluated.json["perplexity"] < 120


def test_training_never_sees_the_test_split(corpus: Path, fit: Path, tmp_path: Path) -> None:
    config = json.loads((fit / "config.json").read_text())
    assert config["data"]["training_documents"] == 225
    changed = tmp_path / "changed.tsv"
    lines = corpus.read_text().splitlines(keepends=True)
    lines[0::4] = reversed(lines[0::4])  # the documents in test, so the vocabulary stays
    changed.write_text("".join(lines))
    training = fitting.TrainingConfig(epochs=3, batch_size=32, learning_rate=5e-3, device="cpu")
    fitting.fit(read_corpus(changed), fitting.LDAConfig(num_topics=4), training, tmp_path / "fit")
    one, other = (
        fitting.load(folder).guide.topics.concentration for folder in (fit, tmp_path / "fit")
    )
    assert one.equal(other)


def test_evaluate_agrees_with_a_loop_over_words(exvae, corpus: Path, fit: Path) -> None:
    result = exvae("lda", "evaluate", fit, corpus, "--refine", 0, "--json").json
    loaded = fitting.load(fit)
    observed, held_out = halve(select_split(read_corpus(corpus), "test"))
    theta = completion.infer(loaded.guide, observed, steps=0).double().numpy()
    phi = loaded.guide.topics.mean().double().numpy()
    total = 0.0
    for number in range(held_out.num_documents):
        for word in held_out.words[held_out.offsets[number] : held_out.offsets[number + 1]]:
            total += np.log(theta[number] @ phi[:, word])
    expected = np.exp(-total / held_out.num_tokens)
    assert result["perplexity"] == pytest.approx(expected, rel=1e-9)
    assert result["perplexity_amortised"] == result["perplexity"]
    assert result["documents"] == 75
    assert set(result) == {
        "perplexity",
        "perplexity_amortised",
        "loss_per_token",
        "documents",
        "tokens",
        "inference_seconds",
    }


def test_infer_writes_proportions(exvae, corpus: Path, fit: Path, tmp_path: Path) -> None:
    assert exvae("lda", "infer", fit, corpus, "--out", tmp_path / "topics.csv").status == 0
    table = pd.read_csv(tmp_path / "topics.csv", index_col="document")
    assert table.shape == (300, 5)
    proportions = table.drop(columns="dominant_topic").to_numpy()
    np.testing.assert_allclose(proportions.sum(axis=1), 1.0, atol=1e-5)
    assert table["dominant_topic"].tolist() == proportions.argmax(1).tolist()


def test_topics_are_listed_by_weight(exvae, fit: Path) -> None:
    listed = exvae("lda", "topics", fit, "--top", 3, "--json").json["topics"]
    assert [len(topic["words"]) for topic in listed] == [3] * 4
    weights = [topic["weight"] for topic in listed]
    assert weights == sorted(weights, reverse=True)
    assert sum(weights) == pytest.approx(1.0)
    loaded = fitting.load(fit)
    for options, chosen in (((), {}), (("--relevance", 1), {"relevance": 1.0})):
        found = exvae("lda", "topics", fit, "--top", 3, *options, "--json").json["topics"]
        expected = tables.top_words(loaded, 3, **chosen)["word"].tolist()
        assert [own["word"] for topic in found for own in topic["words"]] == expected
    head, *readable = exvae("lda", "topics", fit, "--top", 3).out.splitlines()
    assert head.split() == ["topic", "weight", "words"]
    assert len(readable) == 4
    assert readable[0].split()[2:] == [own["word"] for own in listed[0]["words"]]
    assert all(0 < own["probability"] < 1 for topic in listed for own in topic["words"])


def test_info_tells_what_was_fitted(exvae, fit: Path) -> None:
    told = exvae("info", fit, "--json").json
    assert told["kind"] == "lda"
    assert told["model"]["num_topics"] == 4
    assert told["metrics"]["epoch"] == 3
    assert told["versions"]["torch"]
    assert "num_topics" in exvae("info", fit).out


def test_simulate_writes_a_corpus_and_its_truth(exvae, tmp_path: Path) -> None:
    out = tmp_path / "corpus.npz"
    options = ["--documents", 50, "--topics", 3, "--vocabulary", 40, "--mean-length", 20]
    assert exvae("lda", "simulate", out, *options, "--json").json["documents"] == 50
    with np.load(out) as arrays:
        assert arrays["true_topic_words"].shape == (3, 40)
        assert arrays["true_document_topics"].shape == (50, 3)
    assert read_corpus(out).num_documents == 50


def test_simulated_corpora_can_be_fitted(exvae, tmp_path: Path) -> None:
    path, fit = tmp_path / "corpus.npz", tmp_path / "fit"
    shape = ["--documents", 120, "--topics", 3, "--vocabulary", 50, "--mean-length", 20]
    tail = ["--lengths", "heavy-tailed", "--length-dispersion", 0.8]
    prior = ["--document-concentration", 0.2, "--topic-concentration", 0.1]
    told = exvae("lda", "simulate", path, *shape, *tail, *prior, "--seed", 4, "--json").json
    expected = simulate_corpus(
        *(120, 3, 50, 20),
        lengths="heavy-tailed",
        length_dispersion=0.8,
        document_concentration=0.2,
        topic_concentration=0.1,
        seed=4,
    ).corpus
    assert told["tokens"] == expected.num_tokens
    assert read_corpus(path).fingerprint == expected.fingerprint
    fitted = exvae("lda", "fit", path, "--topics", 3, "--epochs", 2, "--out", fit, "--json")
    assert math.isfinite(fitted.json["loss_per_token"])


def test_a_corpus_without_splits_is_split_the_same_way_again(exvae, tmp_path: Path) -> None:
    path = tmp_path / "corpus.npz"
    write_corpus(simulate_corpus(200, 3, 50, 20).corpus, path)
    arguments = ["lda", "fit", path, "--topics", 3, "--epochs", 1, "--seed", 5]
    assert exvae(*arguments, "--out", tmp_path / "fit").status == 0
    evaluated = exvae("lda", "evaluate", tmp_path / "fit", path, "--json").json
    assert evaluated["documents"] == 30
    other = tmp_path / "other.npz"
    write_corpus(simulate_corpus(200, 3, 50, 20, seed=9).corpus, other)
    refused = exvae("lda", "evaluate", tmp_path / "fit", other)
    assert refused.status == 2
    assert "--split all" in refused.err
    everything = exvae("lda", "evaluate", tmp_path / "fit", other, "--split", "all", "--json")
    assert everything.json["documents"] == 200


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["lda", "fit", "{missing}", "--topics", 3, "--out", "{out}"], "missing.tsv"),
        (["lda", "fit", "{empty}", "--topics", 3, "--out", "{out}"], "empty.tsv"),
        (["lda", "fit", "{binary}", "--topics", 3, "--out", "{out}"], "binary.tsv"),
        (["lda", "fit", "{corpus}", "--topics", 0, "--out", "{out}"], "--topics"),
        (["lda", "fit", "{corpus}", "--topics", 3], "--out"),
        ([*FIT, "--device", "tpu"], "device"),
        (["lda", "fit", "{corpus}", "--topics", 3, "--out", "{fit}"], "holds a fit already"),
        ([*FIT, "--resume"], "resume"),
        (["lda", "evaluate", "{missing}", "{corpus}"], "is no fit"),
        (["lda", "evaluate", "{fit}", "{unknown}"], "drop_unknown"),
        (["lda", "infer", "{fit}", "{corpus}", "--out", "{missing}/topics.csv"], "folder"),
        (["lda", "topics", "{corpus}"], "is no fit"),
        (["lda", "simulate", "{out}.csv"], ".npz"),
        (["lda", "simulate", "{out}.npz", "--length-dispersion", 2], "length_dispersion"),
        (["lda", "simulate", "{out}.npz", "--lengths", "odd"], "--lengths"),
        ([*FIT, "--pooling", "x"], "pooling"),
        ([*FIT, "--set", "length"], "--set length is not of the form NAME=VALUE"),
        ([*FIT, "--set", "length=9"], "no option length; it belongs to --guide fixed-length"),
        ([*FIT, "--set", "update=odd", "--guide", "exchangeable"], "update is 'odd'"),
        ([*FIT, "--guide", "sets"], "guide is 'sets'; choose one of exchangeable, fixed-length"),
        (["lda", "nothing"], "nothing"),
        (["info", "{missing}"], "is no fit"),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    exvae, corpus: Path, fit: Path, tmp_path: Path, arguments: list, named: str
) -> None:
    (tmp_path / "empty.tsv").touch()
    (tmp_path / "binary.tsv").write_bytes(bytes(range(256)))
    (tmp_path / "unknown.tsv").write_text("word000 nonsense\ttest\nword001 word002\ttest\n")
    places = {name: tmp_path / f"{name}.tsv" for name in ("missing", "empty", "binary", "unknown")}
    places |= {"corpus": corpus, "fit": fit, "out": tmp_path / "out"}
    before = sorted(tmp_path.rglob("*"))
    result = exvae(*[str(argument).format(**places) for argument in arguments])
    assert result.status == 2
    assert result.out == ""
    assert len(result.err.splitlines()) == 1
    assert result.err.startswith("exvae: ")
    assert named in result.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_checkpoint_is_named(exvae, corpus: Path, fit: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in fit.iterdir():
        content = path.read_bytes()
        (damaged / path.name).write_bytes(
            content[: len(content) // 2] if path.suffix == ".pt" else content
        )
    result = exvae("lda", "evaluate", damaged, corpus)
    assert result.status == 2
    assert "checkpoint.pt" in result.err
    assert len(result.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (LossNotFinite("the loss became nan"), 1),
        (TrainingInterrupted("interrupted in epoch 2"), 130),
    ],
)
def test_training_that_ends_early_says_why(
    exvae, corpus: Path, tmp_path: Path, monkeypatch, error: Exception, status: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(fitting, "fit", fail)
    result = exvae("lda", "fit", corpus, "--topics", 3, "--out", tmp_path / "fit")
    assert result.status == status
    assert result.err == f"exvae: {error}\n"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError("cannot allocate 7 TiB"), 2, "out of memory (cannot allocate 7 TiB)"),
        (SystemError("error return without exception set"), 2, "out of memory (error return"),
    ],
)
def test_what_is_no_fault_of_ours_is_one_line(
    exvae, tmp_path: Path, monkeypatch, error: BaseException, status: int, message: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("exvae.data.simulators.documents.CorpusSimulator.write", fail)
    result = exvae("lda", "simulate", tmp_path / "corpus.npz")
    assert result.status == status
    assert result.err.splitlines()[-1].startswith(f"exvae: {message}")
    assert len(result.err.split()) == len(result.err.splitlines()[-1].split())


def test_unknown_words_can_be_left_out(exvae, fit: Path, tmp_path: Path) -> None:
    path = tmp_path / "unknown.tsv"
    one, two, three, four = (fit / "vocabulary.txt").read_text().split()[:4]
    path.write_text(f"{one} nonsense {two}\ttest\n{three} {four}\ttest\n")
    result = exvae("lda", "evaluate", fit, path, "--drop-unknown", "--json")
    assert result.json["tokens"] == 4


def test_the_command_line_starts_without_what_is_heavy() -> None:
    program = (
        "import sys, exvae.experiments.cli; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    started = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"torch", "pyro", "numpy", "scipy", "pandas", "anndata", "sklearn", "matplotlib"}
    assert heavy.isdisjoint(started.stdout.split())


def test_patience_of_the_command_arrives(exvae, corpus: Path, tmp_path: Path) -> None:
    options = ["--topics", 2, "--epochs", 1, "--patience", 3, "--out", tmp_path / "fit"]
    assert exvae("lda", "fit", corpus, *options).status == 0
    assert exvae("info", tmp_path / "fit", "--json").json["training"]["patience"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("isoforms fit none.h5ad --out F", "none.h5ad: no such file; give the cells as .h5ad"),
        ("isoforms fit text.h5ad --out F", "text.h5ad: not a readable .h5ad file"),
        ("isoforms evaluate none none.h5ad", "none: is no fit"),
        ("isoforms import none --out new.h5ad", "none: does not exist; give directories"),
        ("isoforms import text.h5ad --out new.h5ad", "text.h5ad: is a file; give directories"),
        ("lda fit none --topics 2 --out F", "none: no such file or folder; check the path"),
        ("lda infer none none --out t.csv", "none: is no fit"),
    ],
)
def test_missing_files_are_told_before_anything_heavy_is_loaded(
    arguments: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "text.h5ad").write_text("no cells", encoding="utf-8")
    code = (
        "import sys, atexit; from exvae.experiments.cli import main\n"
        "heavy = ('torch', 'pandas', 'pyro', 'anndata')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]))\n"
        f"sys.argv = ['exvae', *{arguments.split()!r}]; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"exvae: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout.strip() == "[]"
