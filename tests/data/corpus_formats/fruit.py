"""One small corpus in every format, the errors of one that is wrong, and a few texts."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from exvae.data.corpora import Corpus, write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.errors import DataError

DOCUMENTS = ["pear apple apple", "äpfel", "fig fig pear fig"]


VOCABULARY = ["apple", "fig", "pear", "äpfel"]


COUNTS = np.array([[2, 0, 1, 0], [0, 0, 0, 1], [0, 3, 1, 0]])


SPLITS = ["train", "val", "test"]


TEXTS = [
    "apples and pears grow on old trees in our garden",
    "plums are made into jam at the end of summer",
    "figs need warm walls and very little water to grow",
    "the garden needs water at the end of a dry summer",
]
CSV = "id,text\n" + "".join(f'{n},"{text}"\n' for n, text in enumerate(TEXTS))


def write(folder: Path, files: dict[str, str], *, packed: bool = False) -> Path:
    """Write files; give the path of the first."""
    for name, content in files.items():
        path = folder / (f"{name}.gz" if packed else name)
        data = content.encode()
        path.write_bytes(gzip.compress(data) if packed else data)
    first = next(iter(files))
    return folder / (f"{first}.gz" if packed else first)


def write_text(folder: Path) -> Path:
    path = folder / "corpus.tsv"
    path.write_text("".join(f"{document}\n" for document in DOCUMENTS), "utf-8")
    return path


def write_text_for_windows(folder: Path) -> Path:
    path = folder / "corpus.txt"
    path.write_text("\r\n".join(DOCUMENTS), "utf-8-sig", newline="")
    return path


def write_text_gz(folder: Path) -> Path:
    path = folder / "corpus.tsv.gz"
    path.write_bytes(gzip.compress("\n".join(DOCUMENTS).encode()))
    return path


def uci_text() -> str:
    rows = [f"{d + 1} {w + 1} {COUNTS[d, w]}\n" for d, w in zip(*COUNTS.nonzero(), strict=True)]
    return f"3\n4\n{len(rows)}\n{''.join(rows)}"


def write_uci(folder: Path) -> Path:
    (folder / "vocab.fruit.txt").write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    path = folder / "docword.fruit.txt"
    path.write_text(uci_text())
    return path


def write_uci_gz(folder: Path) -> Path:
    write_uci(folder).unlink()
    path = folder / "docword.fruit.txt.gz"
    path.write_bytes(gzip.compress(uci_text().encode()))
    return path


def write_uci_unordered(folder: Path) -> Path:
    path = write_uci(folder)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:3] + lines[:2:-1]))
    return path


def write_lda_c(folder: Path, vocabulary: str = "vocab.txt") -> Path:
    (folder / vocabulary).write_text("\n".join(VOCABULARY) + "\n", "utf-8")
    path = folder / "fruit.dat"
    path.write_text("2 0:2 2:1\n1 3:1\n2 1:3 2:1\n")
    return path


def write_folder(folder: Path) -> Path:
    for number, document in enumerate(DOCUMENTS):
        text = document.replace(" ", ", 12 a_").upper()
        (folder / f"{number}.txt").write_text(text, "utf-8")
    (folder / "notes.md").write_text("not a document")
    return folder


def write_npz(folder: Path) -> Path:
    path = folder / "corpus.npz"
    write_corpus(read_corpus(write_text(folder)), path)
    return path


def write_compressed_npz(folder: Path) -> Path:
    path = folder / "compressed.npz"
    corpus = read_corpus(write_text(folder))
    np.savez_compressed(
        path, words=corpus.words, offsets=corpus.offsets, vocabulary=corpus.vocabulary
    )
    return path


def write_wide_npz(folder: Path) -> Path:
    path = folder / "wide.npz"
    corpus = read_corpus(write_text(folder))
    words = corpus.words.astype(">i8")
    offsets = corpus.offsets.astype(np.uint32)
    np.savez(path, words=words, offsets=offsets, vocabulary=corpus.vocabulary)
    return path


def table_of(counts: object, **columns: list[str]) -> anndata.AnnData:
    documents = pd.DataFrame(columns, index=["one", "two", "three"])
    return anndata.AnnData(counts, obs=documents, var=pd.DataFrame(index=VOCABULARY))


def h5ad_writer(convert: Callable[[np.ndarray], object]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "corpus.h5ad"
        table_of(convert(COUNTS.astype(np.float32))).write_h5ad(path)
        return path

    return write


FORMATS: dict[str, Callable[[Path], Path]] = {
    "text": write_text,
    "text for Windows": write_text_for_windows,
    "text.gz": write_text_gz,
    "UCI": write_uci,
    "UCI.gz": write_uci_gz,
    "UCI unordered": write_uci_unordered,
    "lda-c": write_lda_c,
    "lda-c NAME.vocab": lambda folder: write_lda_c(folder, "fruit.vocab"),
    "lda-c NAME.vocab.txt": lambda folder: write_lda_c(folder, "fruit.vocab.txt"),
    "folder": write_folder,
    "npz": write_npz,
    "npz compressed": write_compressed_npz,
    "npz of other integers": write_wide_npz,
    "h5ad CSR": h5ad_writer(scipy.sparse.csr_matrix),
    "h5ad CSC": h5ad_writer(scipy.sparse.csc_matrix),
    "h5ad dense": h5ad_writer(np.asarray),
}


def bags(corpus: Corpus) -> list[Counter[str]]:
    """Documents as counts of words."""
    words = corpus.vocabulary[corpus.words]
    return [Counter(document.tolist()) for document in np.split(words, corpus.offsets[1:-1])]


def assert_error(path: Path, *parts: str, names: Path | None = None) -> None:
    """Expect one line that begins with the file and has the parts and a remedy."""
    with pytest.raises(DataError) as caught:
        read_corpus(path)
    message = str(caught.value)
    assert message.startswith(f"{names or path}: ")
    assert len(message.splitlines()) == 1
    assert "; " in message
    for part in parts:
        assert part in message
