"""Fits of topic models: build, train, save and load."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...data.corpora import Corpus, split_corpus
from ...data.errors import DataError, DataWarning
from ...data.tokenizer import Tokenizer
from ...guides import LDA_GUIDES
from ...guides.lda import LDAGuide
from ...guides.sets import POOLINGS, Pooling
from ...models.lda import LDA
from ..fitting import fits, workers
from ..fitting.classes import construct, distribute, find_class, name_of
from ..fitting.constructors import defaults_of, options_of
from ..fitting.datasets import Subset
from ..fitting.devices import choose_device
from ..fitting.errors import ArgumentError
from ..fitting.training import TrainingConfig, TrainingResult
from .completion import Monitor
from .starting import TopicTrainer

# Fields of LDAConfig that may be classes.
CLASSES = ("guide", "pooling")
FEWEST_DOCUMENTS = 20


@dataclass(frozen=True)
class LDAConfig:
    """Guide of a topic model by registered name or as ``module:Class``, and options of both.

    Attributes
    ----------
    num_topics
        K, the number of topics.
    guide
        Name in :data:`exvae.guides.LDA_GUIDES`.
    pooling
        Name in :data:`exvae.guides.sets.POOLINGS`, for guides that pool.
    options
        Keyword arguments of the constructors of model and guide.
    """

    num_topics: int
    guide: str = "exchangeable"
    pooling: str = "mean"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitConfig:
    """Seed and fractions by which a corpus without splits is split at random."""

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

    @property
    def tokenizer(self) -> Tokenizer | None:
        """How the texts of its corpus were split; None for counts."""
        described = self.config.get("tokenizer")
        return None if described is None else Tokenizer(**described)

    @property
    def options(self) -> dict[str, Any]:
        """Values of the options of model and guide by name, defaults included."""
        chosen = self.config["model"]
        defaults = defaults_of(type(self.guide), 1) | defaults_of(LDA, 2)
        return {**defaults, **chosen, **chosen["options"]}


def constructors(config: LDAConfig) -> tuple[type[LDAGuide], dict[str, Any], dict[str, Any]]:
    """Find the class of the guide, and the keyword arguments of the model and of the guide.

    Raises
    ------
    DataError
        If a class or an option does not exist.
    """
    if not isinstance(config.num_topics, int) or config.num_topics < 1:
        raise ArgumentError(f"topics is {config.num_topics!r}; give a whole number of at least 1")
    guide_class = find_class(config.guide, LDA_GUIDES, "guide", LDAGuide)
    pooling = find_class(config.pooling, POOLINGS, "pooling", Pooling)
    taken = options_of(guide_class, 1)
    registries = {"guide": (LDA_GUIDES, 1)}
    of_model, of_guide = distribute(config.options, [options_of(LDA, 2), taken], registries)
    if "pooling" in taken:
        of_guide["pooling"] = pooling
    return guide_class, of_model, of_guide


def build(config: LDAConfig, vocabulary_size: int) -> tuple[LDA, LDAGuide]:
    """Build model and guide; DataError if a class, an option or a value of it does not exist."""
    guide_class, of_model, of_guide = constructors(config)
    model = construct(LDA, vocabulary_size, config.num_topics, **of_model)
    return model, construct(guide_class, model, **of_guide)


def prepare(
    corpus: Corpus, config: LDAConfig, positions: np.ndarray, device: torch.device
) -> tuple[Subset, LDA, LDAGuide]:
    """Build model and guide, and gather the training documents.

    Parameters
    ----------
    corpus
        All documents.
    config
        Classes and options of model and guide.
    positions
        Positions of the training documents, shape (documents,).
    device
        Device of model, guide and minibatches.

    Raises
    ------
    DataError
        If the configuration is wrong.
    """
    model, guide = build(config, corpus.vocabulary_size)
    return subset(corpus, positions, device), model.to(device), guide.to(device)


def subset(corpus: Corpus, positions: np.ndarray, device: torch.device) -> Subset:
    """Move a corpus to a device and select documents at positions, shape (documents,)."""
    return Subset(
        corpus.tensors(device), positions, unit="documents", element="token", sizes=corpus.lengths
    )


def fit(
    corpus: Corpus,
    config: LDAConfig,
    training: TrainingConfig,
    folder: Path,
    *,
    split: SplitConfig = SplitConfig(),  # noqa: B008  (frozen)
    resume: bool = False,
) -> TrainingResult:
    """Fit a topic model and save it in a folder.

    Trains on all documents except the split ``test``, whose perplexity is recorded after each
    epoch. With ``training.patience`` the split ``val`` is held out too and decides when to stop.

    Raises
    ------
    DataError
        If the folder holds another fit or the corpus has no document to train on.
    """
    first = workers.current().first
    if first:
        fits.check_folder(folder, resume=resume)
    trainer, fitted = set_up(corpus, config, training, split=split, folder=folder)
    begun = fits.begun(folder, fitted.config, vocabularies(fitted), resume=resume)
    with begun if first else nullcontext():
        return trainer.train(resume=resume)


def set_up(
    corpus: Corpus,
    config: LDAConfig,
    training: TrainingConfig,
    *,
    split: SplitConfig = SplitConfig(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    progress: bool = True,
) -> tuple[TopicTrainer, LDAFit]:
    """Make a trainer, and the fit that it trains.

    Documents without words are left out, with a warning.

    Parameters
    ----------
    corpus, config, training, split
        As for :func:`fit`.
    folder
        Folder of the fit; None saves nothing.
    progress
        Whether to show a progress bar.

    Raises
    ------
    DataError
        If the configuration is wrong or the corpus has no document to train on.
    """
    device = choose_device(training.device)
    torch.manual_seed(training.seed)
    corpus = split_corpus(corpus, **asdict(split))
    held_out = "val" if training.patience else "test"
    trained_on = _training_documents(corpus, ["train"] if training.patience else ["train", "val"])
    documents, model, guide = prepare(corpus, config, trained_on, device)
    trainer = TopicTrainer(
        model,
        guide,
        documents,
        training,
        folder,
        monitor=Monitor(guide, corpus, held_out, training.seed),
        score="perplexity" if training.patience else None,
        progress=progress,
    )
    trainer.check(loose=False)
    description = _described(corpus, config, training, split, len(trained_on))
    return trainer, LDAFit(guide, corpus.vocabulary, description, device)


def _described(
    corpus: Corpus, config: LDAConfig, training: TrainingConfig, split: SplitConfig, trained_on: int
) -> dict[str, Any]:
    """Content of ``config.json``."""
    return {
        "kind": "lda",
        "model": {**asdict(config), **{key: name_of(getattr(config, key)) for key in CLASSES}},
        "training": asdict(training),
        "split": asdict(split),
        "data": {
            "source": corpus.source,
            "columns": corpus.columns,
            "fingerprint": corpus.fingerprint,
            "documents": corpus.num_documents,
            "training_documents": trained_on,
            "tokens": corpus.num_tokens,
            "vocabulary_size": corpus.vocabulary_size,
        },
        "tokenizer": None if corpus.tokenizer is None else asdict(corpus.tokenizer),
        "versions": fits.versions(),
    }


def _training_documents(corpus: Corpus, splits: list[str]) -> np.ndarray:
    """Positions, shape (documents,), of the documents of the splits that have words."""
    in_splits = np.isin(corpus.splits, splits)
    chosen = np.flatnonzero(in_splits & (corpus.lengths > 0))
    if not len(chosen):
        raise DataError(
            f"{corpus.source}: no document is in {' or '.join(splits)}; "
            "there must be some to train on"
        )
    empty = int(in_splits.sum()) - len(chosen)
    if empty:
        warn(
            f"{corpus.source}: {empty} of {in_splits.sum()} documents have no words and are left "
            "out of training"
        )
    occurring = len(np.unique(corpus.words))
    if 2 * occurring < corpus.vocabulary_size:
        warn(
            f"{corpus.source}: only {occurring} of the {corpus.vocabulary_size} words of the "
            "vocabulary occur, and the others take probability from them; leave out words that "
            "do not occur, or rare ones by min_df=2"
        )
    if corpus.num_documents < FEWEST_DOCUMENTS:
        warn(
            f"{corpus.source}: {corpus.num_documents} documents are few for a topic model; give at "
            f"least {FEWEST_DOCUMENTS}"
        )
    return chosen


def warn(message: str) -> None:
    """Warn of data that are used, though not as their owner may expect."""
    warnings.warn(message, DataWarning, stacklevel=3)


def vocabularies(fit: LDAFit) -> dict[str, list[str]]:
    """Lines of the text files of a fit, by file name."""
    return {fits.VOCABULARY: fit.vocabulary.tolist()}


def load(folder: Path, device: str = "auto", *, trust: bool = False) -> LDAFit:
    """Load a fit into freshly built objects on any device.

    With ``trust`` classes of other packages, which the fit names, may run.

    Raises
    ------
    DataError
        If the folder holds no fit of a topic model, or a damaged or untrusted one.
    """
    chosen = choose_device(device)
    config = fits.read_config(folder, "lda")
    vocabulary = np.array(fits.read_vocabulary(folder))
    chosen_classes = fits.config_of(LDAConfig, folder, config)
    registered = {"guide": LDA_GUIDES, "pooling": POOLINGS}
    with fits.building(folder, chosen_classes, registered, trust=trust):
        model, guide = build(chosen_classes, len(vocabulary))
    fits.load_modules(folder, chosen, {"model": model, "guide": guide})
    fit = LDAFit(guide, vocabulary, config, chosen)
    try:
        _ = fit.tokenizer
    except Exception as error:  # a pattern that is damaged may raise anything
        raise DataError(f"{folder}: its tokenizer is damaged ({error}); fit again") from error
    return fit
