"""Topic models for notebooks: train, look at topics, apply to new texts, save."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from ..data.arguments import listed, number_between, whole_number
from ..data.corpora import Corpus, split_corpus
from ..data.errors import DataError
from ..data.progress import with_progress
from .fitting import fits
from .fitting.errors import TrainingInterrupted
from .fitting.training import TrainingConfig
from .lda import comparison, fitting, settings
from .lda.columns import read_as
from .lda.results import Documents, TopicResults
from .lda.updating import update

# Names by which other libraries know the number of topics.
_NAMES_ELSEWHERE = frozenset(("n_components", "num_topics", "n_topics", "k", "K"))


class TopicModel(TopicResults):
    """Latent Dirichlet allocation of a corpus; nothing is written unless :meth:`save` is called.

    Parameters
    ----------
    corpus
        The documents; texts become a corpus by :meth:`~exvae.data.corpora.Corpus.from_texts`.
    topics
        Number of topics.
    guide
        A name in :data:`exvae.guides.LDA_GUIDES`, ``module:Class`` or a class.
    pooling
        A name in :data:`exvae.guides.sets.POOLINGS`, ``module:Class`` or a class.
    **options
        Keyword arguments of the constructors of model and guide.

    Examples
    --------
    >>> exvae.TopicModel(corpus, topics=2)
    TopicModel of 2 topics: 40 documents, a vocabulary of 20, not trained
    """

    def __init__(
        self,
        corpus: Documents | None,
        topics: int = 20,
        *,
        guide: str | type = "exchangeable",
        pooling: str | type = "mean",
        **options: Any,
    ) -> None:
        if corpus is not None and not isinstance(corpus, Corpus):
            corpus = Corpus.from_texts(corpus)
        super().__init__(corpus)
        for name in _NAMES_ELSEWHERE & options.keys():
            raise DataError(f"there is no option {name}; give the number of topics by topics")
        topics = whole_number("topics", topics)
        self.config = fitting.LDAConfig(topics, guide, pooling, options)
        fitting.constructors(self.config)
        self._state: dict[str, Any] = {}
        self._rows: list[dict[str, float]] = []

    def __repr__(self) -> str:
        vocabulary = self.corpus.vocabulary if self._fit is None else self._fit.vocabulary
        documents = 0 if self.corpus is None else self.corpus.num_documents
        trained = f"trained for {len(self._rows)} epochs" if self._fit else "not trained"
        return (
            f"TopicModel of {self.config.num_topics} topics: {documents} documents, a vocabulary "
            f"of {len(vocabulary)}, {trained}"
        )

    @property
    def history(self) -> pd.DataFrame:
        """Loss, held-out perplexity and seconds after each epoch.

        Examples
        --------
        >>> list(model.history)[:3]
        ['epoch', 'seconds', 'loss_per_token']
        """
        return pd.DataFrame(self._rows)

    def train(
        self,
        max_epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = 5e-3,
        *,
        seed: int = 0,
        device: str = "auto",
        patience: int = 0,
        test_fraction: float = 0.15,
        val_fraction: float = 0.15,
        progress: bool = True,
    ) -> TopicModel:
        """Train, or train further; Ctrl-C ends the training and leaves a usable model.

        The split ``test`` is never learned from; its perplexity is in :attr:`history`.

        Parameters
        ----------
        max_epochs
            Passes over the documents; by default 10, or as many as take 120 steps.
        batch_size
            Documents in a minibatch; by default 128, and up to 512 in large corpora.
        learning_rate
            Learning rate of Adam.
        seed
            Seed of all random draws, and of the splits of a corpus without splits.
        device
            ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
        patience
            Epochs without a better perplexity of the split ``val`` before training stops; 0 trains
            on ``train`` and ``val`` to the end.
        test_fraction, val_fraction
            Shares of these splits in a corpus without splits.
        progress
            Whether to show a progress bar.

        Examples
        --------
        >>> exvae.TopicModel(corpus, topics=2).train(max_epochs=3, progress=False)
        TopicModel of 2 topics: 40 documents, a vocabulary of 20, trained for 3 epochs
        """
        if batch_size is not None:
            batch_size = whole_number("batch_size", batch_size)
        if max_epochs is not None:
            max_epochs = whole_number("max_epochs", max_epochs)
        number_between("learning_rate", learning_rate, 0.0)
        whole_number("seed", seed, 0)
        whole_number("patience", patience, 0)
        number_between("test_fraction", test_fraction, 0.0, 1.0)
        number_between("val_fraction", val_fraction, 0.0, 1.0 - test_fraction)
        split = fitting.SplitConfig(seed, test_fraction, val_fraction)
        documents = settings.num_training_documents(self._own_corpus(), **asdict(split))
        size, epochs = settings.schedule_of(documents, batch_size, max_epochs)
        epochs += self._state["progress"]["epoch"] if self._state else 0
        training = TrainingConfig(epochs, size, learning_rate, seed, device, patience)
        return self._train(training, split, progress)

    def _train(
        self, training: TrainingConfig, split: fitting.SplitConfig, progress: bool
    ) -> TopicModel:
        trainer, fit = fitting.set_up(
            self._own_corpus(), self.config, training, split=split, progress=progress
        )
        if self._fit is not None:
            fits.require_same(self._fit.config, fit.config, "this model")
            trainer.metrics = self._rows
        try:
            trainer.train(state=self._current_state() or None)
        except TrainingInterrupted as interruption:
            warnings.warn(f"{interruption}; the model is usable, and train() goes on", stacklevel=3)
        for module in trainer.modules.values():
            module.eval()
        self._fit, self._state, self._rows = fit, trainer.last_state, trainer.metrics
        return self

    def _current_state(self) -> dict[str, Any]:
        """State of the training with the model and guide as they are now; empty before it."""
        if self._fit is None:
            return {}
        guide = self._fit.guide
        return {**self._state, "model": guide.model.state_dict(), "guide": guide.state_dict()}

    def partial_fit(
        self, documents: Documents, *, batch_size: int = 128, passes: int = 1, seed: int = 0
    ) -> TopicModel:
        """Move the topics by natural-gradient steps on new documents; the vocabulary stays.

        Parameters
        ----------
        documents
            New documents; words outside the vocabulary are left out.
        batch_size, passes, seed
            Documents in a minibatch, passes over the documents, and the seed of their order.

        Examples
        --------
        >>> other = exvae.TopicModel(corpus, topics=2).train(max_epochs=3, progress=False)
        >>> other.partial_fit(["Rain and more rain.", "A penalty goal."])
        TopicModel of 2 topics: 40 documents, a vocabulary of 20, trained for 3 epochs
        """
        whole_number("batch_size", batch_size)
        whole_number("passes", passes)
        self._fit = update(
            self.fitted, self._documents(documents), batch_size=batch_size, passes=passes, seed=seed
        )
        return self

    def stability(
        self, others: Sequence[TopicModel | int], *, top: int = 10, progress: bool = True
    ) -> pd.DataFrame:
        """Compare topics with the matched topics of other models, or of other seeds.

        Parameters
        ----------
        others
            Models of the same vocabulary and number of topics, or seeds of models to train as
            this one was.
        top
            Number of top words for the overlap.
        progress
            Whether to show a progress bar.

        Returns
        -------
        pandas.DataFrame
            Table of :func:`~exvae.experiments.lda.comparison.stability`.

        Examples
        --------
        >>> model.stability([1, 2], progress=False).columns.tolist()
        ['cosine', 'overlap']
        """
        others = [others] if isinstance(others, TopicModel) else others
        others = listed("others", others, "[1, 2], two seeds; or models")
        for own in others:
            if not isinstance(own, TopicModel):
                whole_number("seed", own, 0)
        whole_number("top", top)
        shown = with_progress(others, len(others), "seeds", "models", shown=progress)
        models = [own if isinstance(own, TopicModel) else self._trained_again(own) for own in shown]
        return comparison.stability(self.fitted, [model.fitted for model in models], top=top)

    def _trained_again(self, seed: int) -> TopicModel:
        """Train a new model as this one was, with another seed but the same splits."""
        described = self.fitted.config
        training = TrainingConfig(**{**described["training"], "seed": seed})
        split = fitting.SplitConfig(**described["split"])
        model = TopicModel(self._own_corpus())
        model.config = self.config
        return model._train(training, split, False)

    @classmethod
    def choose_topics(
        cls,
        corpus: Documents,
        topics: Sequence[int],
        *,
        seeds: Sequence[int] = (0,),
        measure: str = "c_npmi",
        progress: bool = True,
        **options: Any,
    ) -> pd.DataFrame:
        """Train models with several numbers of topics and measure them.

        Parameters
        ----------
        corpus
            The documents.
        topics, seeds
            Numbers of topics and seeds; all seeds share the splits of the first.
        measure
            Measure of :meth:`coherence`.
        progress
            Whether to show a progress bar.
        **options
            Arguments of the constructor and of :meth:`train`.

        Returns
        -------
        pandas.DataFrame
            Columns ``topics``, ``seed``, ``perplexity`` (of the split ``test``) and ``coherence``;
            :func:`~exvae.experiments.drawing.lda.draw_numbers_of_topics` draws it.

        Examples
        --------
        >>> table = exvae.TopicModel.choose_topics(corpus, [2, 3], max_epochs=2, progress=False)
        >>> table["topics"].tolist()
        [2, 3]
        """
        topics = listed("topics", topics, "[5, 10, 20]")
        seeds = listed("seeds", seeds, "[0, 1]")
        if not topics or not seeds:
            raise DataError("topics or seeds is empty; give one or more of each")
        corpus = corpus if isinstance(corpus, Corpus) else Corpus.from_texts(corpus)
        corpus = split_corpus(corpus, whole_number("seed", seeds[0], 0))
        names = inspect.signature(cls.train).parameters.keys() & options.keys()
        of_training = {name: options.pop(name) for name in names}
        pairs = [(number, seed) for number in topics for seed in seeds]
        rows = []
        for number, seed in with_progress(pairs, len(pairs), "topics", "models", shown=progress):
            model = cls(corpus, number, **options).train(seed=seed, progress=False, **of_training)
            measured = model.perplexity(split="test"), model.coherence(measure=measure)
            rows.append((number, seed, *measured))
        return pd.DataFrame(rows, columns=["topics", "seed", "perplexity", "coherence"])

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the fit to a folder, as ``exvae lda fit`` does.

        Parameters
        ----------
        folder
            The folder.
        overwrite
            Whether a fit in the folder is replaced.

        Examples
        --------
        >>> model.save("FIT").name
        'FIT'
        """
        folder = Path(folder)
        content = self.fitted.config, fitting.vocabularies(self.fitted), self._rows
        fits.save(folder, *content, self._current_state(), overwrite=overwrite)
        return folder

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        corpus: Documents | str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        trust: bool = False,
    ) -> TopicModel:
        """Load a fit of :meth:`save` or ``exvae lda fit``.

        Parameters
        ----------
        folder
            Folder of the fit.
        corpus
            Its documents, for methods that need them; or their file, split into words as ``fit``
            did.
        device
            ``auto`` (CUDA where there is one), ``cpu`` or ``cuda``.
        trust
            Whether classes that are not of this package, and that the fit names, may run.

        Examples
        --------
        >>> exvae.TopicModel.load("FIT")
        TopicModel of 2 topics: 0 documents, a vocabulary of 20, trained for 10 epochs
        """
        folder = Path(folder)
        fit = fitting.load(folder, device, trust=trust)
        model = cls(None)
        model.config = fits.config_of(fitting.LDAConfig, folder, fit.config)
        model._fit, model._state = fit, fits.read_checkpoint(folder)
        model._rows = fits.read_metrics(folder).to_dict("records")
        model.corpus = None if corpus is None else model._read(corpus)
        return model

    def _read(self, corpus: Documents | str | os.PathLike[str] | None) -> Corpus:
        """Documents in the vocabulary of the model, perhaps of a file; its own for None."""
        if isinstance(corpus, str | os.PathLike):
            corpus = read_as(self.fitted, corpus)
        return self._documents(corpus)
