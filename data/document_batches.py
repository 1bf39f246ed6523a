"""Batches of documents, the arguments of topic models, gathered on one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class DocumentBatch(NamedTuple):
    """A batch of documents: the argument list of model and guide, all tensors on one device.

    Attributes
    ----------
    words
        Shape (tokens,), int64: vocabulary indices of all documents, one document after another.
    offsets
        Shape (documents + 1,), int64: document d is ``words[offsets[d]:offsets[d + 1]]``.
    indices
        Shape (documents,), int64: positions of the documents in the training corpus.
    num_documents
        Size of the full corpus, by which the likelihood of the batch is scaled.
    obs
        The observed words, the same tensor as `words`; None to generate.
    """

    words: Tensor
    offsets: Tensor
    indices: Tensor
    num_documents: int
    obs: Tensor | None


class CorpusTensors(NamedTuple):
    """The words of a corpus on one device, from which batches are gathered on that device.

    Attributes
    ----------
    words
        Shape (tokens,), int32.
    offsets
        Shape (documents + 1,), int64.
    """

    words: Tensor
    offsets: Tensor

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Words, shape (tokens,), and offsets, shape (documents + 1,), of the documents `indices`.

        `indices` has shape (documents,), int64, in any order and with repetitions if need be.
        """
        starts = self.offsets[:-1][indices]
        lengths = self.offsets[1:][indices] - starts
        offsets = torch.zeros(len(lengths) + 1, dtype=torch.int64, device=lengths.device)
        torch.cumsum(lengths, 0, out=offsets[1:])
        # A token's old position is its new one, shifted by as much as its document has moved.
        num_tokens = int(offsets[-1])
        positions = torch.repeat_interleave(starts - offsets[:-1], lengths, output_size=num_tokens)
        positions += torch.arange(num_tokens, device=positions.device)
        return self.words[positions], offsets

    def successive(self, start: int, stop: int) -> DocumentBatch:
        """Batch of successive documents, as ``batch(range(start, stop))`` but far cheaper."""
        bounds = self.offsets[start : stop + 1]
        words = self.words[int(bounds[0]) : int(bounds[-1])].long()
        indices = torch.arange(start, stop, device=bounds.device)
        return DocumentBatch(words, bounds - bounds[0], indices, len(self.offsets) - 1, words)

    def batch(
        self, indices: Tensor | np.ndarray | Sequence[int], num_documents: int | None = None
    ) -> DocumentBatch:
        """Gather the documents `indices`, shape (documents,), on the device of the corpus.

        `num_documents` is the size of the full corpus, by default of this one.
        """
        indices = torch.as_tensor(indices, dtype=torch.int64, device=self.offsets.device)
        words, offsets = self.gather(indices)
        words = words.long()
        if num_documents is None:
            num_documents = len(self.offsets) - 1
        return DocumentBatch(words, offsets, indices, num_documents, words)
