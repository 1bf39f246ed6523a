"""Topic models from corpus to fit, and from fit to perplexity, topics and proportions."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pyro.infer import TraceMeanField_ELBO

from ...data.corpora import (
    Corpus,
    CorpusTensors,
    DocumentBatch,
    halve,
    select_split,
    split_corpus,
)
from ...data.errors import DataError
from ...guides.lda import ExchangeableGuide, FixedLengthGuide, LDAGuide
from ...models.lda import LDA
from ..fitting import fits
from ..fitting.training import Trainer, TrainingConfig, TrainingResult, choose_device
from .completion import INFERENCE_BATCH, Monitor, batches, infer, perplexity

GUIDES = ("exchangeable", "fixed-length")


@dataclass(frozen=True)
class LDAConfig:
    """Which topic model and which guide; what the fields mean stands with their classes.

    Attributes
    ----------
    num_topics, topic_concentration
        Of :class:`~exvae.models.lda.LDA`.
    guide
        ``exchangeable`` or ``fixed-length``.
    pooling
        Of :class:`~exvae.guides.lda.ExchangeableGuide`.
    length
        Of :class:`~exvae.guides.lda.FixedLengthGuide`.
    learn_document_concentration, learn_topic_concentration
        Of :class:`~exvae.guides.lda.LDAGuide`.
    """

    num_topics: int
    guide: str = "exchangeable"
    pooling: str = "mean"
    length: int = 100
    topic_concentration: float = 0.1
    learn_document_concentration: str = "asymmetric"
    learn_topic_concentration: bool = False


@dataclass(frozen=True)
class SplitConfig:
    """How a corpus without splits is split: by seed, into fractions."""

    seed: int = 0
    test_fraction: float = 0.15
    val_fraction: float = 0.15


@dataclass(frozen=True)
class LDAFit:
    """A fitted topic model, its guide in evaluation mode."""

    guide: LDAGuide
    vocabulary: np.ndarray
    config: dict[str, Any]
    device: torch.device


class Documents:
    """The documents of a corpus that are trained on, gathered on their device.

    Parameters
    ----------
    tensors
        The whole corpus; it is not copied.
    positions
        Which of its documents to train on, shape (documents,).
    """

    unit = "documents"
    element = "token"

    def __init__(self, tensors: CorpusTensors, positions: np.ndarray) -> None:
        self.tensors = tensors
        self.positions = positions
        self.lengths = tensors.offsets.diff().cpu().numpy()[positions]

    def __len__(self) -> int:
        """Count the documents."""
        return len(self.positions)

    def batch(self, positions: np.ndarray) -> DocumentBatch:
        """Gather the arguments of model and guide for the documents at these positions."""
        batch = self.tensors.batch(self.positions[positions], len(self))
        return batch._replace(indices=torch.as_tensor(positions, device=batch.words.device))

    def size(self, positions: np.ndarray) -> int:
        """Count the tokens of the documents at these positions."""
        return int(self.lengths[positions].sum())


def build(config: LDAConfig, vocabulary_size: int) -> tuple[LDA, LDAGuide]:
    """Build model and guide.

    Raises
    ------
    DataError
        If the configuration names a guide, a pooling or a way to learn that does not exist.
    """
    if config.guide not in GUIDES:
        raise DataError(f"--guide is {config.guide!r}; choose one of {', '.join(GUIDES)}")
    if config.num_topics < 1:
        raise DataError(f"--topics is {config.num_topics}; give at least 1")
    model = LDA(vocabulary_size, config.num_topics, topic_concentration=config.topic_concentration)
    learning = {
        "learn_document_concentration": config.learn_document_concentration,
        "learn_topic_concentration": config.learn_topic_concentration,
    }
    try:
        if config.guide == "exchangeable":
            return model, ExchangeableGuide(model, pooling=config.pooling, **learning)
        return model, FixedLengthGuide(model, length=config.length, **learning)
    except ValueError as error:
        raise DataError(str(error)) from error


def fit(
    corpus: Corpus,
    config: LDAConfig,
    training: TrainingConfig,
    folder: Path,
    *,
    split: SplitConfig = SplitConfig(),  # noqa: B008  (frozen)
    resume: bool = False,
) -> TrainingResult:
    """Fit a topic model and keep it in a folder.

    Trains on all documents but those of the split ``test``, whose perplexity is only recorded
    after each epoch. With ``training.patience`` the split ``val`` is held out too, and decides when
    to stop.

    Raises
    ------
    DataError
        If the folder holds another fit or the corpus has nothing to train on.
    """
    device = choose_device(training.device)
    torch.manual_seed(training.seed)
    model, guide = build(config, corpus.vocabulary_size)
    corpus = split_corpus(corpus, **asdict(split))
    held_out = "val" if training.patience else "test"
    training_splits = ["train"] if training.patience else ["train", "val"]
    trained_on = np.flatnonzero(np.isin(corpus.splits, training_splits))
    if not len(trained_on):
        raise DataError(
            f"{corpus.source}: no document is in {' or '.join(training_splits)}; "
            "there must be some to train on"
        )
    description = {
        "kind": "lda",
        "model": asdict(config),
        "training": asdict(training),
        "split": asdict(split),
        "data": {
            "source": corpus.source,
            "fingerprint": corpus.fingerprint,
            "documents": corpus.num_documents,
            "training_documents": len(trained_on),
            "tokens": corpus.num_tokens,
            "vocabulary_size": corpus.vocabulary_size,
        },
        "versions": fits.versions(),
    }
    fits.create_folder(folder, resume=resume)
    if resume:
        _check_same_fit(folder, description)
    fits.write_config(folder, description)
    fits.write_vocabulary(folder, corpus.vocabulary.tolist())
    trainer = Trainer(
        model.to(device),
        guide.to(device),
        Documents(corpus.tensors(device), trained_on),
        training,
        folder,
        monitor=Monitor(guide, corpus, held_out, training.seed),
        score="perplexity" if training.patience else None,
    )
    return trainer.train(resume=resume)


def _check_same_fit(folder: Path, description: dict[str, Any]) -> None:
    """Require that what is resumed is what was begun; only epochs and device may change."""
    begun = fits.read_config(folder, "lda")
    for part in ("model", "training", "split", "data"):
        for key, value in description[part].items():
            if key not in ("epochs", "device", "source") and begun[part][key] != value:
                raise DataError(
                    f"{folder}: was begun with {key} {begun[part][key]}, not {value}; "
                    "resume with the same corpus and options"
                )


def load(folder: Path, device: str = "auto") -> LDAFit:
    """Load a fit into freshly built objects on any device.

    Raises
    ------
    DataError
        If the folder holds no fit of a topic model, or a damaged one.
    """
    chosen = choose_device(device)
    config = fits.read_config(folder, "lda")
    vocabulary = np.array(fits.read_vocabulary(folder))
    model, guide = build(LDAConfig(**config["model"]), len(vocabulary))
    state = fits.read_checkpoint(folder, chosen)
    try:
        model.to(chosen).load_state_dict(state["model"])
        guide.to(chosen).load_state_dict(state["guide"])
    except (RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"{folder}: checkpoint and config disagree ({reason}); fit again"
        ) from error
    model.eval()
    guide.eval()
    return LDAFit(guide, vocabulary, config, chosen)


def chosen_documents(fit: LDAFit, corpus: Corpus, split: str) -> Corpus:
    """Documents of a split as the fit saw it; ``all`` takes every document.

    Raises
    ------
    DataError
        If the corpus has no splits and is not the one that the fit has split.
    """
    if split == "all":
        return corpus
    if corpus.splits is None:
        if corpus.fingerprint != fit.config["data"]["fingerprint"]:
            raise DataError(
                f"{corpus.source}: has no splits and is not the corpus of the fit; use --split all"
            )
        corpus = split_corpus(corpus, **fit.config["split"])
    return select_split(corpus, split)


def loss_per_token(
    fit: LDAFit, corpus: Corpus, seed: int, *, block_size: int = INFERENCE_BATCH
) -> float:
    """Negative ELBO in nats per token, one sample of the latents for each block of documents.

    The topics' share is spread over the training corpus, as in the loss of the training.
    """
    torch.manual_seed(seed)
    loss = TraceMeanField_ELBO().loss
    total = 0.0
    with torch.no_grad():
        for batch in batches(corpus, fit.device, block_size=block_size):
            scaled = batch._replace(num_documents=fit.config["data"]["training_documents"])
            share = len(batch.indices) / scaled.num_documents
            total += loss(fit.guide.model, fit.guide, *scaled) * share
    return total / corpus.num_tokens


def evaluate(
    fit: LDAFit, corpus: Corpus, *, split: str = "test", steps: int = 5, seed: int = 0
) -> dict[str, float | int]:
    """Measure a fit on documents that it has not seen.

    Parameters
    ----------
    fit
        The fit.
    corpus
        In the vocabulary of the fit.
    split
        ``train``, ``val``, ``test`` or ``all``.
    steps
        Refinement steps behind ``perplexity``.
    seed
        Of the halving and of the samples behind the loss.

    Returns
    -------
    dict
        ``perplexity`` and ``perplexity_amortised`` by document completion, ``loss_per_token``
        (nats), ``documents`` and ``tokens`` of the split, ``inference_seconds`` (refined, all
        documents' first halves).
    """
    corpus = chosen_documents(fit, corpus, split)
    observed, held_out = halve(corpus, seed)
    topic_words = fit.guide.topics.mean().cpu()
    amortised = infer(fit.guide, observed, steps=0)
    started = time.perf_counter()
    refined = infer(fit.guide, observed, steps=steps)
    seconds = time.perf_counter() - started
    return {
        "perplexity": perplexity(refined, topic_words, held_out),
        "perplexity_amortised": perplexity(amortised, topic_words, held_out),
        "loss_per_token": loss_per_token(fit, corpus, seed),
        "documents": corpus.num_documents,
        "tokens": corpus.num_tokens,
        "inference_seconds": seconds,
    }


def top_words(fit: LDAFit, count: int) -> pd.DataFrame:
    """Most probable words of each topic, most used topic first.

    Returns
    -------
    pandas.DataFrame
        Columns ``topic``, ``weight`` (share of the expected words), ``rank`` (from 1), ``word``,
        ``probability``.
    """
    concentration = fit.guide.topics.concentration.cpu()
    weight = concentration.sum(-1) / concentration.sum()
    probability, word = fit.guide.topics.mean().cpu().topk(min(count, len(fit.vocabulary)))
    rows = [
        (topic, float(weight[topic]), rank + 1, fit.vocabulary[word[topic, rank]], float(value))
        for topic in weight.argsort(descending=True).tolist()
        for rank, value in enumerate(probability[topic])
    ]
    return pd.DataFrame(rows, columns=["topic", "weight", "rank", "word", "probability"])


def topic_table(fit: LDAFit, corpus: Corpus, *, steps: int) -> pd.DataFrame:
    """Posterior mean topic proportions, one row a document, indexed by its name or number."""
    proportions = infer(fit.guide, corpus, steps=steps)
    names = corpus.names if corpus.names is not None else np.arange(corpus.num_documents)
    columns = [f"topic_{topic}" for topic in range(proportions.shape[1])]
    return pd.DataFrame(
        proportions.numpy(), index=pd.Index(names, name="document"), columns=columns
    )
