"""Topics of several fits: matched with each other, and numbers of topics compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from ...data.errors import DataError
from .fitting import LDAFit


def match_topics(topics: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Match topics one to one, with the largest sum of cosines.

    Parameters
    ----------
    topics, others
        Word probabilities, shape (topics, vocabulary), the same number of topics.

    Returns
    -------
    matched, cosines
        For each topic the number of the other topic, and the cosine of both; shape (topics,).

    Examples
    --------
    >>> match_topics(np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]]))
    (array([1, 0]), array([1., 1.]))
    """
    left, right = (own / np.linalg.norm(own, axis=-1, keepdims=True) for own in (topics, others))
    cosine = left @ right.T
    matched = linear_sum_assignment(cosine, maximize=True)
    return matched[1], cosine[matched]


def stability(fit: LDAFit, others: Sequence[LDAFit], *, top: int = 10) -> pd.DataFrame:
    """Compare the topics of a fit with the matched topics of other fits of the same vocabulary.

    Parameters
    ----------
    fit
        The fit.
    others
        One or more fits with the same number of topics.
    top
        Number of top words for the overlap.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``topic``: ``cosine`` of word probabilities and ``overlap`` (share of the top
        words in common), means over the other fits.

    Raises
    ------
    DataError
        If there is no other fit, or one of another vocabulary or number of topics.
    """
    if not others:
        raise DataError("there is no other model to compare with; give one or more")
    own = fit.guide.topics.mean().cpu().numpy()
    cosines, overlaps = [], []
    for other in others:
        topics = other.guide.topics.mean().cpu().numpy()
        if topics.shape != own.shape or not np.array_equal(fit.vocabulary, other.vocabulary):
            raise DataError(
                "the models have different vocabularies or numbers of topics; compare fits of one "
                "corpus with the same number of topics"
            )
        matched, cosine = match_topics(own, topics)
        cosines.append(cosine)
        overlaps.append(
            [
                len(set(one) & set(another)) / len(one)
                for one, another in zip(
                    top_indices(own, top), top_indices(topics[matched], top), strict=True
                )
            ]
        )
    columns = {"cosine": np.mean(cosines, axis=0), "overlap": np.mean(overlaps, axis=0)}
    return pd.DataFrame(columns, pd.RangeIndex(len(own), name="topic"))


def top_indices(topics: np.ndarray, top: int) -> np.ndarray:
    """Numbers of the ``top`` most probable words, shape (topics, top), from (topics, words)."""
    return np.argsort(-topics, axis=1, kind="stable")[:, :top]
