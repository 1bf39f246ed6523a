"""Corpora in memory: batches, selections, splits, halves and the file that holds them."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from exvae.data.corpora import (
    Corpus,
    halve,
    offsets_of,
    select_split,
    split_corpus,
    write_corpus,
)
from exvae.data.corpus_formats import read_corpus
from exvae.data.document_batches import DocumentBatch
from exvae.data.errors import DataError

DOCUMENTS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=12), min_size=1, max_size=8)
property_test = settings(max_examples=50, deadline=None)


def corpus_of(documents: list[list[int]], **columns: np.ndarray) -> Corpus:
    """Corpus of documents given as lists of numbers below 10."""
    words = np.array([word for document in documents for word in document], np.int32)
    vocabulary = np.array([f"word{position}" for position in range(10)])
    return Corpus(words, offsets_of(np.array([*map(len, documents)])), vocabulary, **columns)


def documents_of(corpus: Corpus | DocumentBatch) -> list[list[int]]:
    """Undo `corpus_of`, one document at a time."""
    bounds = corpus.offsets.tolist()
    words = corpus.words.tolist()
    return [words[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]


def indices_into(documents: list[list[int]]) -> st.SearchStrategy[list[int]]:
    """Positions of documents, in any order, some perhaps repeated."""
    return st.lists(st.integers(0, len(documents) - 1), max_size=10)


THREE = [[3, 1, 1], [0], [2, 4, 4, 4]]


def test_sizes() -> None:
    corpus = corpus_of(THREE)
    assert (corpus.num_documents, corpus.num_tokens, corpus.vocabulary_size) == (3, 8, 10)
    assert corpus.lengths.tolist() == [3, 1, 4]


def test_a_batch_is_the_argument_list_of_a_model() -> None:
    batch = corpus_of(THREE).batch([2, 0])
    assert batch.words.tolist() == [2, 4, 4, 4, 3, 1, 1]
    assert batch.offsets.tolist() == [0, 4, 7]
    assert batch.indices.tolist() == [2, 0]
    assert batch.num_documents == 3
    assert batch.obs is batch.words
    assert {batch.words.dtype, batch.offsets.dtype, batch.indices.dtype} == {torch.int64}


def test_a_batch_can_belong_to_a_larger_corpus() -> None:
    assert corpus_of(THREE).batch([1], num_documents=70).num_documents == 70
    assert corpus_of(THREE).tensors().batch([1], num_documents=70).num_documents == 70


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (1, 3), (2, 3), (1, 1)])
def test_successive_documents_are_the_batch_of_their_positions(start: int, stop: int) -> None:
    tensors = corpus_of(THREE).tensors()
    for found, expected in zip(
        tensors.successive(start, stop), tensors.batch(range(start, stop)), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@property_test
@given(st.data())
def test_batches_and_selections_hold_the_documents_asked_for(data: st.DataObject) -> None:
    documents = data.draw(DOCUMENTS)
    indices = data.draw(indices_into(documents))
    corpus = corpus_of(documents)
    expected = [documents[index] for index in indices]
    assert documents_of(corpus.batch(indices)) == expected
    assert (
        documents_of(corpus.tensors().batch(torch.tensor(indices, dtype=torch.int64))) == expected
    )
    assert documents_of(corpus.select(indices)) == expected
    assert corpus.select(indices).words.dtype == np.int32


def test_select_takes_columns_and_masks_along() -> None:
    columns = {"names": "abc", "splits": ["train", "val", "test"], "labels": "xyx"}
    corpus = corpus_of(THREE, **{key: np.array([*values]) for key, values in columns.items()})
    mask = np.array([True, False, True])
    for selected in (corpus.select(mask), corpus.select([0, 2]), corpus.select([0, -1])):
        assert documents_of(selected) == [THREE[0], THREE[2]]
        assert selected.names.tolist() == ["a", "c"]
        assert selected.splits.tolist() == ["train", "test"]
        assert selected.labels.tolist() == ["x", "x"]


@pytest.mark.parametrize("index", [3, -4])
def test_a_document_that_does_not_exist_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        corpus_of(THREE).batch([index])
    with pytest.raises(IndexError):
        corpus_of(THREE).select([index])


def test_tensors_share_memory_on_the_cpu() -> None:
    corpus = corpus_of(THREE)
    corpus.words[0] = 9
    assert corpus.tensors().words[0] == 9
    assert corpus.tensors().words.data_ptr() == corpus.words.ctypes.data


def test_read_only_words_are_copied() -> None:
    corpus = corpus_of(THREE)
    corpus.words.flags.writeable = False
    assert documents_of(corpus.batch([0])) == [THREE[0]]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
def test_batches_on_an_accelerator() -> None:
    corpus = corpus_of(THREE)
    for batch in (corpus.batch([2, 0], device="cuda"), corpus.tensors("cuda").batch([2, 0])):
        assert {batch.words.device.type, batch.offsets.device.type} == {"cuda"}
        assert batch.indices.device.type == "cuda"
        assert batch.obs is batch.words
        assert documents_of(batch) == [THREE[2], THREE[0]]


@property_test
@given(DOCUMENTS, st.integers(0, 3))
def test_halves_are_together_the_document(documents: list[list[int]], seed: int) -> None:
    corpus = corpus_of(documents, names=np.array([*map(str, range(len(documents)))]))
    long_enough = [document for document in documents if len(document) >= 2]
    if not long_enough:
        with pytest.raises(DataError, match="no document has two words"):
            halve(corpus, seed)
        return
    observed, held_out = halve(corpus, seed)
    again = halve(corpus, seed)
    assert documents_of(observed) == documents_of(again[0])
    assert documents_of(held_out) == documents_of(again[1])
    assert [corpus.names[i] for i in np.flatnonzero(corpus.lengths >= 2)] == observed.names.tolist()
    halves = zip(documents_of(observed), documents_of(held_out), long_enough, strict=True)
    for first, second, document in halves:
        assert len(first) == len(document) // 2
        assert len(second) == len(document) - len(document) // 2
        assert Counter(first) + Counter(second) == Counter(document)


def test_halving_shuffles_uniformly() -> None:
    # Each of the four words of a document is in the first half with probability 1/2, each pair
    # with 1/6; 6000 documents give a standard deviation of 29 for a count of 1000.
    observed, _ = halve(corpus_of([[0, 1, 2, 3]] * 6000), seed=1)
    pairs = Counter(tuple(sorted(document)) for document in documents_of(observed))
    assert len(pairs) == 6
    assert all(abs(count - 1000) < 4 * 29 for count in pairs.values())


def test_seeds_give_different_halves() -> None:
    corpus = corpus_of([[*range(10)]] * 5)
    assert documents_of(halve(corpus, 0)[0]) != documents_of(halve(corpus, 1)[0])


def test_halving_leaves_the_corpus_as_it_was() -> None:
    corpus = corpus_of(THREE)
    halve(corpus)
    assert documents_of(corpus) == THREE


def test_splits_have_the_sizes_asked_for_and_follow_the_seed() -> None:
    corpus = corpus_of([[0]] * 200)
    split = split_corpus(corpus, seed=3, test_fraction=0.2, val_fraction=0.1)
    assert Counter(split.splits.tolist()) == {"train": 140, "val": 20, "test": 40}
    same = split_corpus(corpus, seed=3, test_fraction=0.2, val_fraction=0.1)
    other = split_corpus(corpus, seed=4, test_fraction=0.2, val_fraction=0.1)
    assert (split.splits == same.splits).all()
    assert (split.splits != other.splits).any()
    assert corpus.splits is None
    assert split_corpus(split, seed=5) is split


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.1), (0.1, -0.1)])
def test_fractions_that_leave_nothing_to_train_on(fractions: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="less than 1"):
        split_corpus(corpus_of(THREE), 0, *fractions)


def test_select_split() -> None:
    corpus = corpus_of(THREE, splits=np.array(["train", "val", "train"]), source="where.tsv")
    assert documents_of(select_split(corpus, "train")) == [THREE[0], THREE[2]]
    assert documents_of(select_split(corpus, "train", "val")) == THREE
    assert documents_of(select_split(corpus, "test", "val")) == [THREE[1]]
    with pytest.raises(DataError, match="^where.tsv: .*in test; choose .*: train, val$"):
        select_split(corpus, "test")
    with pytest.raises(DataError, match="^the corpus: has no splits"):
        select_split(corpus_of(THREE), "test")


def test_fingerprint_tells_corpora_apart() -> None:
    fingerprint = corpus_of(THREE).fingerprint
    assert len(bytes.fromhex(fingerprint)) == 32
    assert corpus_of(THREE).fingerprint == fingerprint
    assert corpus_of(THREE).select([0, 1, 2]).fingerprint == fingerprint
    others = [
        corpus_of([[3, 1], [1, 0], [2, 4, 4, 4]]),  # other offsets
        corpus_of([[3, 1, 1], [0], [2, 4, 4, 5]]),  # other words
        Corpus(corpus_of(THREE).words, corpus_of(THREE).offsets, np.array([*"abcdefghij"])),
    ]
    assert len({fingerprint, *(other.fingerprint for other in others)}) == 4


def test_fingerprint_does_not_depend_on_how_it_is_chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = corpus_of(THREE).fingerprint
    monkeypatch.setattr("exvae.data.corpora._FINGERPRINT_CHUNK", 3)
    assert corpus_of(THREE).fingerprint == fingerprint


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "corpus.npz"
    write_corpus(corpus_of(THREE), path)

    def fail(*arguments: object, **arrays: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full_disk:
        full_disk.setattr("zipfile.ZipFile.open", fail)
        with pytest.raises(DataError, match="corpus.npz: cannot be written .No space left"):
            write_corpus(corpus_of([[0]]), path)
    assert os.listdir(tmp_path) == ["corpus.npz"]
    assert documents_of(read_corpus(path)) == THREE


def test_a_corpus_can_be_written_over_the_file_it_is_mapped_from(tmp_path: Path) -> None:
    path = tmp_path / "corpus.npz"
    write_corpus(corpus_of(THREE), path)
    mapped = read_corpus(path)
    write_corpus(mapped.select([2]), path)
    assert documents_of(mapped) == THREE
    assert documents_of(read_corpus(path)) == [THREE[2]]


@pytest.mark.parametrize("name", ["corpus.tsv", "absent/corpus.npz", "file/corpus.npz"])
def test_places_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match=f"^{tmp_path / name}: .*; "):
        write_corpus(corpus_of(THREE), tmp_path / name)
