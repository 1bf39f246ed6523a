"""The topic models that the benchmark compares, each behind the same few functions.

A method is made for a task, trained on documents in its library's own input format, and then gives
phi and theta. Peers run with their usual settings; a default that costs time and does not change
the result is switched off in favour of the peer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse
import torch

from exvae.data.corpora import Corpus
from exvae.experiments.fitting.datasets import Subset
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.lda import completion, fitting
from exvae.experiments.lda.settings import schedule_of
from exvae.experiments.lda.starting import TopicTrainer

EXVAE_LEARNING_RATE = 5e-3
# Points of the curve of exvae for each epoch.
EXVAE_POINTS = 4
SKLEARN_ONLINE_PASSES = 10
SKLEARN_BATCH_ITERATIONS = 50
GENSIM_PASSES = 20
TOMOTOPY_ITERATIONS = 500
TOMOTOPY_INFERENCE_ITERATIONS = 100
TOMOTOPY_SLICE = 10
# Probability of a word that never occurs in training, where the library knows no such word.
UNSEEN = 1e-12


@dataclass(frozen=True)
class Task:
    """The task of a method.

    Attributes
    ----------
    vocabulary
        The words, shape (vocabulary_size,).
    num_topics
        K.
    seed
        Seed of all random draws.
    threads
        Threads that a method may use.
    epochs, scvi_epochs
        Epochs of exvae and of scvi-tools.
    device
        Device of exvae: ``cpu`` or ``cuda``.
    """

    vocabulary: np.ndarray
    num_topics: int
    seed: int
    threads: int
    epochs: int | None
    scvi_epochs: int
    device: str


def _as_they_are(inputs: Any) -> Any:
    return inputs


@dataclass(frozen=True)
class Method:
    """A topic model made for a task.

    Attributes
    ----------
    convert
        Turns a corpus into the library's own input.
    train
        Trains on such an input; its second argument is to be called whenever the model may be
        evaluated, the last time when training is done, or never.
    topic_words
        Point estimate of phi, shape (topics, vocabulary).
    infer
        Point estimates of theta, shape (documents, topics), from such an input, by the name under
        which the figures are reported.
    documents
        Turns an input into what ``infer`` takes; called anew, and not timed, before each ``infer``.
    """

    convert: Callable[[Corpus], Any]
    train: Callable[[Any, Callable[[], None]], None]
    topic_words: Callable[[], np.ndarray]
    infer: dict[str, Callable[[Any], np.ndarray]]
    documents: Callable[[Any], Any] = _as_they_are


class _WatchedDocuments(Subset):
    """Training documents that let the model be evaluated every few minibatches."""

    def __init__(self, documents: Subset, *, every: int, checkpoint: Callable[[], None]) -> None:
        vars(self).update(vars(documents))
        self.every = every
        self.checkpoint = checkpoint
        self.batches = 0

    def minibatch(self, positions: np.ndarray) -> tuple:
        """Gather a minibatch."""
        if self.batches % self.every == 0 and self.batches:
            self.checkpoint()
        self.batches += 1
        return super().minibatch(positions)


def make_exvae(task: Task) -> Method:
    """Make the package's own exchangeable guide, refined by five steps and amortised alone."""
    torch.manual_seed(task.seed)
    config = fitting.LDAConfig(num_topics=task.num_topics)
    device = torch.device(task.device)
    model, guide = (module.to(device) for module in fitting.build(config, len(task.vocabulary)))

    def train(corpus: Corpus, checkpoint: Callable[[], None]) -> None:
        def monitor() -> dict[str, float]:
            checkpoint()
            return {}

        size, epochs = schedule_of(corpus.num_documents, epochs=task.epochs)
        batches = -(-corpus.num_documents // size)
        documents = _WatchedDocuments(
            fitting.subset(corpus, np.arange(corpus.num_documents), device),
            every=max(1, round(batches / EXVAE_POINTS)),
            checkpoint=checkpoint,
        )
        training = TrainingConfig(epochs, size, EXVAE_LEARNING_RATE, task.seed, task.device)
        TopicTrainer(model, guide, documents, training, monitor=monitor).train()

    def infer(corpus: Corpus, steps: int) -> np.ndarray:
        return completion.infer(guide, corpus, steps=steps).numpy()

    return Method(
        convert=_as_they_are,
        train=train,
        topic_words=lambda: guide.topics.mean().cpu().numpy(),
        infer={
            "exvae refined": partial(infer, steps=5),
            "exvae amortised": partial(infer, steps=0),
        },
    )


def count_matrix(corpus: Corpus, dtype: type = np.float64) -> scipy.sparse.csr_matrix:
    """Count the words of each document, shape (documents, vocabulary_size)."""
    matrix = scipy.sparse.csr_matrix(
        (np.ones(corpus.num_tokens, dtype), np.array(corpus.words), corpus.offsets),
        shape=(corpus.num_documents, corpus.vocabulary_size),
    )
    matrix.sum_duplicates()
    return matrix


def make_sklearn_online(task: Task) -> Method:
    """Make scikit-learn's stochastic variational inference.

    ``partial_fit`` takes the very steps of ``fit``, but for the pass over all documents with which
    ``fit`` ends.
    """
    from sklearn.decomposition import LatentDirichletAllocation

    model = LatentDirichletAllocation(
        task.num_topics, learning_method="online", batch_size=128, random_state=task.seed
    )

    def train(counts: scipy.sparse.csr_matrix, checkpoint: Callable[[], None]) -> None:
        model.set_params(total_samples=counts.shape[0])
        for _ in range(SKLEARN_ONLINE_PASSES):
            model.partial_fit(counts)
            checkpoint()

    return _sklearn_method("scikit-learn online", model, train)


def make_sklearn_batch(task: Task) -> Method:
    """Make scikit-learn's coordinate ascent on the whole corpus."""
    from sklearn.decomposition import LatentDirichletAllocation

    model = LatentDirichletAllocation(
        task.num_topics,
        learning_method="batch",
        max_iter=SKLEARN_BATCH_ITERATIONS,
        random_state=task.seed,
    )

    def train(counts: scipy.sparse.csr_matrix, checkpoint: Callable[[], None]) -> None:
        model.fit(counts)

    return _sklearn_method("scikit-learn batch", model, train)


def _sklearn_method(name: str, model: Any, train: Callable) -> Method:
    return Method(
        convert=count_matrix,
        train=train,
        topic_words=lambda: model.components_ / model.components_.sum(1, keepdims=True),
        infer={name: model.transform},
    )


def make_gensim(task: Task) -> Method:
    """Make gensim's online variational inference with both priors learned."""
    from gensim.models import LdaModel
    from gensim.models.callbacks import Metric

    class Checkpoint(Metric):
        """Calls back after each pass; inference draws random numbers, which are given back."""

        logger = "none"
        title = "checkpoint"

        def get_value(self, **_: Any) -> float:
            """Evaluate."""
            state = model.random_state.get_state()
            self.checkpoint()
            model.random_state.set_state(state)
            return 0.0

    callback = Checkpoint()
    model = LdaModel(
        id2word=dict(enumerate(task.vocabulary.tolist())),
        num_topics=task.num_topics,
        passes=GENSIM_PASSES,
        alpha="auto",
        eta="auto",
        eval_every=None,  # by default it scores documents after each pass, for its log alone
        random_state=task.seed,
        callbacks=[callback],
    )

    def bags(corpus: Corpus) -> list[list[tuple[int, int]]]:
        counts = count_matrix(corpus, np.int64)
        rows = np.split(np.stack([counts.indices, counts.data], -1), counts.indptr[1:-1])
        return [[(word, count) for word, count in row.tolist()] for row in rows]

    def train(documents: list, checkpoint: Callable[[], None]) -> None:
        callback.checkpoint = checkpoint
        model.update(documents)

    def infer(documents: list) -> np.ndarray:
        concentration, _ = model.inference(documents)
        return concentration / concentration.sum(1, keepdims=True)

    return Method(bags, train, model.get_topics, {"gensim": infer})


def make_tomotopy(task: Task, eta: float = 0.01, name: str = "tomotopy") -> Method:
    """Make tomotopy's collapsed Gibbs sampling, alpha optimised every ten iterations."""
    import tomotopy

    model = tomotopy.LDAModel(k=task.num_topics, alpha=0.1, eta=eta, min_cf=0, seed=task.seed)

    def tokens(corpus: Corpus) -> list[list[str]]:
        words = np.split(corpus.vocabulary[corpus.words], corpus.offsets[1:-1])
        return [document.tolist() for document in words]

    def train(documents: list[list[str]], checkpoint: Callable[[], None]) -> None:
        for document in documents:
            model.add_doc(document)
        for done in range(TOMOTOPY_SLICE, TOMOTOPY_ITERATIONS + 1, TOMOTOPY_SLICE):
            model.train(TOMOTOPY_SLICE, workers=task.threads)
            # The curve is flat behind its first part.
            if done <= 100 or done % 50 == 0:
                checkpoint()

    def topic_words() -> np.ndarray:
        position = {word: index for index, word in enumerate(task.vocabulary.tolist())}
        probabilities = np.full((task.num_topics, len(position)), UNSEEN)
        used = [position[word] for word in model.used_vocabs]
        for topic in range(task.num_topics):
            probabilities[topic, used] = model.get_topic_word_dist(topic)
        return probabilities

    def infer(documents: list) -> np.ndarray:
        proportions, _ = model.infer(
            documents, iterations=TOMOTOPY_INFERENCE_ITERATIONS, workers=task.threads
        )
        proportions = np.array(proportions, np.float64)
        # A document none of whose words occurs in training is left to the prior.
        prior = np.asarray(model.alpha, np.float64)
        proportions[~np.isfinite(proportions).all(1)] = prior / prior.sum()
        return proportions

    return Method(
        tokens,
        train,
        topic_words,
        {name: infer},
        documents=lambda documents: [model.make_doc(document) for document in documents],
    )


def make_scvi(task: Task) -> Method:
    """Make scvi-tools' amortised topic model, trained on all documents that it is given."""
    import anndata
    import pandas as pd
    import scvi

    scvi.settings.seed = task.seed
    scvi.settings.num_threads = task.threads
    # Both are hints at data loaders and cards that this machine may not have.
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", module="scvi")
    trained: dict[str, Any] = {}

    def table(corpus: Corpus) -> anndata.AnnData:
        return anndata.AnnData(
            count_matrix(corpus, np.float32),
            obs=pd.DataFrame(index=[str(index) for index in range(corpus.num_documents)]),
            var=pd.DataFrame(index=corpus.vocabulary),
        )

    def train(documents: anndata.AnnData, checkpoint: Callable[[], None]) -> None:
        scvi.model.AmortizedLDA.setup_anndata(documents)
        model = scvi.model.AmortizedLDA(documents, n_topics=task.num_topics)
        trained["model"] = model
        model.train(max_epochs=task.scvi_epochs, train_size=1.0, accelerator="cpu")

    def topic_words() -> np.ndarray:
        probabilities = trained["model"].get_feature_by_topic().to_numpy(np.float64).T
        return probabilities / probabilities.sum(1, keepdims=True)

    def infer(documents: anndata.AnnData) -> np.ndarray:
        return trained["model"].get_latent_representation(documents).to_numpy(np.float64)

    return Method(table, train, topic_words, {"scvi-tools": infer})


# torch.optim imports torch._dynamo, a second and 80 MiB, at its first step, and numba imports the
# rest of itself at its first call.
METHODS: dict[str, tuple[tuple[str, ...], Callable[[Task], Method]]] = {
    "exvae": (("pyro", "torch._dynamo", "numba.np.arraymath"), make_exvae),
    "sklearn-online": (("sklearn.decomposition",), make_sklearn_online),
    "sklearn-batch": (("sklearn.decomposition",), make_sklearn_batch),
    "gensim": (("gensim.models",), make_gensim),
    "tomotopy": (("tomotopy",), make_tomotopy),
    # With exvae's beta, so that the prior of the topics makes no difference.
    "tomotopy-eta-0.1": (
        ("tomotopy",),
        partial(make_tomotopy, eta=0.1, name="tomotopy, eta 0.1"),
    ),
    "scvi": (("scvi", "torch._dynamo"), make_scvi),
}
"""Modules to import, and constructor, of each method by its name on the command line."""
