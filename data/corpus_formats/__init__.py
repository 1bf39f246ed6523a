"""Readers of corpora: text, bags of words, lda-c, folders, our ``.npz``, and ``.h5ad``."""

from .reading import read_corpus

__all__ = ["read_corpus"]
