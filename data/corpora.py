"""A corpus of documents, each a set of words.

Documents have different lengths, so they are stored one after another: `words` holds the words
of all documents, and `offsets` the beginning and end of each. Nothing is padded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .document_batches import CorpusTensors, DocumentBatch
from .errors import DataError
from .npz import ArrayParts, write_npz
from .tokenizer import LETTERS, Tokenizer

if TYPE_CHECKING:
    import pandas as pd

SPLITS = ("train", "val", "test")

# Bounds the memory that a fingerprint takes for words mapped from a file larger than memory.
_FINGERPRINT_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents, each a set of words (order carries no meaning, a word may occur many times).

    Attributes
    ----------
    words
        Shape (tokens,), int32: vocabulary indices of all documents, one document after another;
        possibly mapped from a file.
    offsets
        Shape (documents + 1,), int64: document d is ``words[offsets[d]:offsets[d + 1]]``.
    vocabulary
        Shape (vocabulary_size,), fixed-width strings, distinct.
    names, splits, labels
        Shape (documents,), strings, or None: the name of each document (perhaps a number), which
        of "train", "val" and "test" it belongs to, and its class (empty if unknown).
    source
        Origin of the corpus, for messages.
    tokenizer
        How its texts were split into words; None for a corpus of counts.
    columns
        Columns of its file that were named or found by usual names, by ``text``, ``label`` and
        ``id``, and the ``kind`` of table; None if there are none.

    Examples
    --------
    >>> exvae.Corpus.from_texts(["A cat and a dog.", "The dog barked at dogs."])
    Corpus of 2 documents, 5 words in all, a vocabulary of 4
    """

    words: np.ndarray
    offsets: np.ndarray
    vocabulary: np.ndarray
    names: np.ndarray | None = None
    splits: np.ndarray | None = None
    labels: np.ndarray | None = None
    source: str = "the corpus"
    tokenizer: Tokenizer | None = None
    columns: Mapping[str, str] | None = None

    @classmethod
    def from_texts(
        cls,
        texts: Iterable[str | Sequence[str]],
        labels: Sequence[Any] | None = None,
        ids: Sequence[Any] | None = None,
        *,
        vocabulary: Sequence[str] | None = None,
        min_df: int | float = 1,
        max_df: int | float = 1.0,
        max_features: int | None = None,
        lowercase: bool = True,
        stop_words: str | Sequence[str] | None = "english",
        ngram_range: tuple[int, int] = (1, 1),
        token_pattern: str = LETTERS,
    ) -> Corpus:
        """Make a corpus of texts.

        Parameters
        ----------
        texts
            Strings, or lists of words, which are taken as they are.
        labels, ids
            Class and name of each document, shape (documents,).
        vocabulary
            Words to keep, shape (vocabulary_size,); by default all within the limits below.
        min_df, max_df, max_features
            Limits of :func:`~exvae.data.corpus_formats.vocabularies.limit_vocabulary`.
        lowercase, stop_words, ngram_range, token_pattern
            Attributes of :class:`~exvae.data.tokenizer.Tokenizer`.

        Examples
        --------
        >>> texts = ["A cat and a dog.", "The dog barked at dogs."]
        >>> corpus = exvae.Corpus.from_texts(texts, labels=["pets", "noise"], min_df=2)
        >>> corpus.vocabulary.tolist()
        ['dog']
        """
        from .corpus_formats.vocabularies import limit_vocabulary, map_words, require_words
        from .texts import corpus_of_texts

        tokenizer = Tokenizer(lowercase, stop_words, ngram_range, token_pattern)
        corpus = corpus_of_texts(texts, tokenizer, names=ids, labels=labels)
        if vocabulary is not None:
            return map_words(corpus, vocabulary, drop_unknown=True)
        require_words(corpus)
        return limit_vocabulary(corpus, min_df=min_df, max_df=max_df, max_features=max_features)

    @classmethod
    def from_counts(
        cls,
        matrix: Any,
        vocabulary: Sequence[str] | None = None,
        labels: Sequence[Any] | None = None,
        ids: Sequence[Any] | None = None,
    ) -> Corpus:
        """Make a corpus of counts of words.

        Parameters
        ----------
        matrix
            Whole counts, shape (documents, vocabulary_size): an array, a sparse matrix or a
            DataFrame with words as columns and documents as rows.
        vocabulary
            Shape (vocabulary_size,), distinct words; the columns of a DataFrame by default.
        labels, ids
            Class and name of each document, shape (documents,).

        Examples
        --------
        >>> exvae.Corpus.from_counts([[2, 0], [1, 3]], ["cat", "dog"])
        Corpus of 2 documents, 6 words in all, a vocabulary of 2
        """
        from .corpus_formats.counts import corpus_of_matrix

        return corpus_of_matrix(matrix, vocabulary, labels, ids)

    @classmethod
    def from_dataframe(
        cls,
        table: pd.DataFrame,
        text: str = "text",
        label: str | None = None,
        id: str | None = None,
        *,
        split: str | None = None,
        **options: Any,
    ) -> Corpus:
        """Make a corpus of the texts in a column of a table, a document in each row.

        Parameters
        ----------
        table
            The table; without ``id`` its index names the documents.
        text, label, id
            Columns of the texts, classes and names of the documents.
        split
            Column of the splits, ``train``, ``val`` or ``test``; without it training splits at
            random.
        **options
            Options of :meth:`from_texts`.

        Examples
        --------
        >>> table = pd.DataFrame({"body": ["Cats purr.", "Dogs bark."], "kind": ["cat", "dog"]})
        >>> corpus = exvae.Corpus.from_dataframe(table, text="body", label="kind")
        >>> corpus.labels.tolist()
        ['cat', 'dog']
        """
        from .texts import columns_of, with_splits

        corpus = cls.from_texts(**columns_of(table, text, label, id), **options)
        return corpus if split is None else with_splits(corpus, table, split)

    def __repr__(self) -> str:
        labels = "" if self.labels is None else f", {len(np.unique(self.labels))} labels"
        return (
            f"Corpus of {self.num_documents} documents, {self.num_tokens} words in all, a "
            f"vocabulary of {self.vocabulary_size}{labels}"
        )

    @property
    def num_documents(self) -> int:
        """Number of documents."""
        return len(self.offsets) - 1

    @property
    def num_tokens(self) -> int:
        """Number of words in all documents together, each occurrence counted."""
        return len(self.words)

    @property
    def vocabulary_size(self) -> int:
        """Number of words in the vocabulary, whether they occur or not."""
        return len(self.vocabulary)

    @property
    def lengths(self) -> np.ndarray:
        """Number of words in each document, shape (documents,), int64."""
        return np.diff(self.offsets)

    @cached_property
    def fingerprint(self) -> str:
        """Hexadecimal SHA-256 of words, offsets and vocabulary."""
        digest = hashlib.sha256(f"{self.num_documents} {self.num_tokens}\n".encode())
        for array, dtype in ((self.words, "<i4"), (self.offsets, "<i8")):
            for start in range(0, len(array), _FINGERPRINT_CHUNK):
                digest.update(array[start : start + _FINGERPRINT_CHUNK].astype(dtype).tobytes())
        digest.update("\n".join(self.vocabulary.tolist()).encode())
        return digest.hexdigest()

    def tensors(self, device: torch.device | str = "cpu") -> CorpusTensors:
        """Put words and offsets on `device`; on the CPU they share memory with the corpus."""
        # A tensor cannot be read-only, so torch warns about arrays that are; those are copied.
        arrays = (
            np.require(array, requirements=["C", "W"]) for array in (self.words, self.offsets)
        )
        return CorpusTensors(*(torch.from_numpy(array).to(device) for array in arrays))

    def batch(
        self,
        indices: Tensor | np.ndarray | Sequence[int],
        num_documents: int | None = None,
        device: torch.device | str = "cpu",
    ) -> DocumentBatch:
        """Gather the documents `indices`, shape (documents,), and put the batch on `device`.

        To draw many batches on an accelerator, call `tensors` once and its `batch` each time.
        `num_documents` is the size of the full corpus, by default of this one.
        """
        batch = self.tensors().batch(torch.as_tensor(indices).cpu(), num_documents)
        words = batch.words.to(device)
        return batch._replace(
            words=words,
            offsets=batch.offsets.to(device),
            indices=batch.indices.to(device),
            obs=words,
        )

    def select(self, indices: np.ndarray | Sequence[int]) -> Corpus:
        """Corpus of the documents `indices`, shape (documents,): positions or a boolean mask."""
        indices = np.arange(self.num_documents)[indices]
        words, offsets = self.tensors().gather(torch.from_numpy(indices))
        names, splits, labels = (
            None if array is None else array[indices]
            for array in (self.names, self.splits, self.labels)
        )
        return replace(
            self,
            words=words.numpy(),
            offsets=offsets.numpy(),
            names=names,
            splits=splits,
            labels=labels,
        )


def split_corpus(
    corpus: Corpus, seed: int, test_fraction: float = 0.15, val_fraction: float = 0.15
) -> Corpus:
    """Assign documents to train, val and test at random; a corpus that has splits keeps them."""
    if corpus.splits is not None:
        return corpus
    if min(test_fraction, val_fraction) < 0 or test_fraction + val_fraction >= 1:
        raise DataError(
            f"test_fraction {test_fraction:g} and val_fraction {val_fraction:g} leave nothing to "
            "train on; give positive numbers whose sum is less than 1"
        )
    order = np.random.default_rng(seed).permutation(corpus.num_documents)
    num_test = round(test_fraction * corpus.num_documents)
    num_val = round(val_fraction * corpus.num_documents)
    splits = np.full(corpus.num_documents, "train")
    splits[order[:num_test]] = "test"
    splits[order[num_test : num_test + num_val]] = "val"
    return replace(corpus, splits=splits)


def select_split(corpus: Corpus, *names: str) -> Corpus:
    """Corpus of the documents in the splits `names`; DataError if there are none."""
    wanted = " or ".join(names)
    if corpus.splits is None:
        raise DataError(
            f"{corpus.source}: has no splits, so none of its documents is in {wanted}; "
            "add a split to each document or use all documents"
        )
    mask = np.isin(corpus.splits, names)
    if not mask.any():
        present = ", ".join(np.unique(corpus.splits))
        raise DataError(
            f"{corpus.source}: no document is in {wanted}; choose among its splits: {present}"
        )
    return corpus.select(mask)


def halve(corpus: Corpus, seed: int = 0) -> tuple[Corpus, Corpus]:
    """Shuffle the words of each document and halve them, for document completion.

    Parameters
    ----------
    corpus
        The documents; documents of fewer than two words cannot be halved and are left out.
    seed
        Seed of the shuffle; the same corpus and seed give the same halves.

    Returns
    -------
    observed, held_out
        Two corpora of the same documents: of n words the first holds floor(n / 2), the second
        the others.

    Raises
    ------
    DataError
        If no document has two words.
    """
    long_enough = corpus.lengths >= 2
    if not long_enough.any():
        raise DataError(
            f"{corpus.source}: no document has two words, so none can be halved; "
            "use longer documents"
        )
    if not long_enough.all():
        corpus = corpus.select(long_enough)
    lengths, starts = corpus.lengths, corpus.offsets[:-1]
    documents = np.repeat(np.arange(corpus.num_documents), lengths)
    # One integer to sort by, the document above 32 random bits, is far faster than two keys.
    keys = documents << 32 | np.random.default_rng(seed).integers(1 << 32, size=len(documents))
    shuffled = corpus.words[np.argsort(keys, kind="stable")]
    observed = np.arange(corpus.num_tokens) - starts[documents] < (lengths // 2)[documents]
    return (
        replace(corpus, words=shuffled[observed], offsets=offsets_of(lengths // 2)),
        replace(corpus, words=shuffled[~observed], offsets=offsets_of(lengths - lengths // 2)),
    )


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Offsets, shape (documents + 1,), int64, of documents with `lengths`, shape (documents,)."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def write_corpus(corpus: Corpus, path: str | os.PathLike[str], **truth: np.ndarray) -> None:
    """Write a corpus as an uncompressed `.npz`, which is read back without loading the words.

    The file appears at `path` only when it is complete; `truth` are further arrays of a simulator
    to keep in it. Raises DataError if it cannot be written.
    """
    arrays = {
        "words": np.asarray(corpus.words, np.int32),
        "offsets": np.asarray(corpus.offsets, np.int64),
        "vocabulary": np.asarray(corpus.vocabulary, np.str_),
    }
    for key in ("names", "splits", "labels"):
        values = getattr(corpus, key)
        if values is not None:
            arrays[key] = np.asarray(values, np.str_)
    if corpus.tokenizer is not None:
        arrays["tokenizer"] = np.array([json.dumps(asdict(corpus.tokenizer))])
    arrays |= truth
    write_npz(Path(path), {name: ArrayParts.of(array) for name, array in arrays.items()})
