"""Further learning of a fitted topic model from new documents."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...data.corpora import Corpus
from ...data.errors import DataError
from .fitting import LDAFit


@torch.no_grad()
def update(
    fit: LDAFit, corpus: Corpus, *, batch_size: int = 128, passes: int = 1, seed: int = 0
) -> LDAFit:
    """Take natural-gradient steps on the topics with new documents; the encoder stays.

    A step counts the new documents as a sample of all documents, old and new, so the topics move
    less the more documents they were learned from.

    Parameters
    ----------
    fit
        The fit, whose guide changes.
    corpus
        New documents in the vocabulary of the fit; documents without words are left out.
    batch_size
        Documents in a minibatch.
    passes
        Passes over the new documents.
    seed
        Seed of the order of the documents.

    Returns
    -------
    LDAFit
        The same guide; its configuration counts the new documents as ``added_documents``.

    Raises
    ------
    DataError
        If no document has a word.
    """
    positions = np.flatnonzero(corpus.lengths)
    if not len(positions):
        raise DataError(f"{corpus.source}: no document has a known word; give other documents")
    data = fit.config["data"]
    added = data.get("added_documents", 0) + len(positions)
    total = data["training_documents"] + added
    tensors = corpus.tensors(fit.device)
    generator = np.random.default_rng(seed)
    for _ in range(passes):
        order = generator.permutation(positions)
        for start in range(0, len(order), batch_size):
            batch = tensors.batch(order[start : start + batch_size], total)
            concentration = fit.guide.infer_concentration(batch.words, batch.offsets)
            fit.guide.learn_from(batch.words, batch.offsets, total, concentration)
    return replace(fit, config={**fit.config, "data": {**data, "added_documents": added}})
