"""Content of the page of a topic model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...data.random_draws import sample_positions
from ..checks.documents import PANELS
from ..lda import tables
from .check_curves import panels_of
from .columns import columns_of
from .contents import Contents, counted, number
from .describing import curves_of, facts_of, progress_of
from .encoding import linear_codes, rounded
from .maps import map_of
from .quality import check_of_documents, coherence_of_topics, measures_of_documents
from .settings import (
    MOST_BYTES,
    MOST_CELLS,
    MOST_GROUPS,
    TOP_DOCUMENTS,
    TOP_WORDS,
    WORDS_OF_A_DOCUMENT,
)

if TYPE_CHECKING:
    from ...data.corpora import Corpus
    from ..lda.fitting import LDAFit

# Steps of refinement, as of `exvae lda infer`.
_STEPS = 5


def contents_of_topics(
    fit: LDAFit, history: pd.DataFrame, corpus: Corpus | None, replicates: int, seed: int
) -> Contents:
    """Gather the content of a page.

    Parameters
    ----------
    fit, history
        The fit, and a row for each epoch of its training.
    corpus
        Documents in the vocabulary of the fit; None if there are no data.
    replicates
        Replicates of the check; 0 leaves it out.
    seed
        Seed of all draws.
    """
    data = fit.config["data"]
    topics = counted(fit.config["model"]["num_topics"], "topic")
    sizes = f"{counted(data['documents'], 'document')} of {counted(data['tokens'], 'word')}"
    topics_alone = np.full(fit.config["model"]["num_topics"], np.nan)
    scores = topics_alone if corpus is None else coherence_of_topics(fit, corpus)
    contents = Contents(
        kind="lda",
        title="Topics of a corpus",
        summary=f"{topics}, fitted to {sizes}. {progress_of(history)}",
        facts=facts_of(fit.config, fit.options, {}),
        numbers={"training": curves_of(history), "topics": _topics(fit, scores)},
    )
    if corpus is None:
        contents.notes.append(
            "The page was made without documents. With them it also shows quality, checks and "
            "documents."
        )
        return contents
    contents.quality, contents.quality_scope = measures_of_documents(fit, corpus, scores, seed)
    contents.check = check_of_documents(fit, corpus, replicates, seed)
    table = tables.topic_table(fit, corpus, steps=_STEPS)
    most = min(MOST_CELLS, MOST_BYTES // (2 * len(scores)))
    positions = sample_positions(np.flatnonzero(corpus.lengths > 0), most, seed)
    if len(positions) < corpus.num_documents:
        contents.notes.append(
            f"The map shows {number(len(positions))} of {number(corpus.num_documents)} documents, "
            "chosen at random. All other figures are of all documents."
        )
    number_of_labels = table["label"].nunique() if "label" in table else 0
    if number_of_labels > MOST_GROUPS:
        contents.notes.append(
            f"Prevalence is shown for the {MOST_GROUPS} most frequent of {number_of_labels} labels."
        )
    contents.numbers |= {
        "check": panels_of(contents.check, PANELS),
        "documents": _documents(fit, table, corpus, positions),
        "top_documents": _top_documents(fit, table, corpus),
        "prevalence": _prevalence(fit, table),
    }
    return contents


def _topics(fit: LDAFit, scores: np.ndarray) -> list[dict[str, Any]]:
    """Words and share of each topic, and its coherence; ``scores`` has shape (topics,)."""
    words = tables.top_words(fit, TOP_WORDS)
    return [
        {
            "topic": int(topic),
            "share": rounded(own["weight"])[0],
            "coherence": rounded([scores[int(topic)]])[0],
            "words": own["word"].tolist(),
            "probabilities": rounded(own["probability"]),
        }
        for topic, own in words.groupby("topic", sort=False)
    ]


def _documents(
    fit: LDAFit, table: pd.DataFrame, corpus: Corpus, positions: np.ndarray
) -> dict[str, Any]:
    """Names, places, labels and topics of the documents of the map."""
    own = table.iloc[positions]
    proportions = own[tables.topic_columns(fit)].to_numpy(float)
    lengths = pd.Series(corpus.lengths[positions], own.index)
    known = pd.DataFrame({"words of the document": lengths})
    if "label" in own:
        known.insert(0, "label", own["label"].replace("", np.nan))
    columns = columns_of(known, None, None)
    entropy = -(proportions * np.log(np.maximum(proportions, 1e-12))).sum(1)
    encoded = columns.encoded()
    encoded["numbers"].append(
        {"name": "mixture of topics (entropy, nats)", "values": rounded(entropy), "uncertain": True}
    )
    return {
        "names": own.index.astype(str).tolist(),
        # Square roots, so that distances are Hellinger's.
        "map": map_of(np.sqrt(proportions), "the topic proportions"),
        "dominant": own["dominant_topic"].astype(int).tolist(),
        "proportions": linear_codes(proportions.T),
        **encoded,
    }


def _top_documents(fit: LDAFit, table: pd.DataFrame, corpus: Corpus) -> list[dict[str, Any]]:
    """Documents with the largest proportion of each topic, and their first words."""
    by_position = table.set_axis(np.arange(len(table)))
    found = tables.top_documents(by_position, tables.topic_columns(fit), TOP_DOCUMENTS)
    rows = []
    for row in found.itertuples():
        start, end = corpus.offsets[row.document], corpus.offsets[row.document + 1]
        words = corpus.vocabulary[corpus.words[start:end][:WORDS_OF_A_DOCUMENT]]
        more = " …" if end - start > WORDS_OF_A_DOCUMENT else ""
        rows.append(
            {
                "topic": int(row.topic),
                "document": str(table.index[row.document]),
                "proportion": rounded([row.proportion])[0],
                "label": str(getattr(row, "label", "")),
                "words": " ".join(words.tolist()) + more,
            }
        )
    return rows


def _prevalence(fit: LDAFit, table: pd.DataFrame) -> dict[str, Any] | None:
    """Mean proportions of the documents of the most frequent labels; None without labels."""
    if "label" not in table or not (table["label"] != "").any():
        return None
    columns = tables.topic_columns(fit)
    found = tables.prevalence(table, columns)
    found = found.nlargest(MOST_GROUPS, "documents").sort_index()
    return {
        "labels": found.index.astype(str).tolist(),
        "documents": found["documents"].astype(int).tolist(),
        "means": [rounded(row) for row in found[columns].to_numpy(float)],
    }
