"""The commands ``exvae lda ...``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ...data.files import require_folder, unchanged
from . import panels
from .corpora import (
    CorpusPath,
    DropUnknown,
    Id,
    KeepEmpty,
    Label,
    MaxDf,
    MinDf,
    Ngrams,
    StopWords,
    Text,
    Tokens,
    Vocabulary,
    found_columns,
    read_for,
    vocabulary_options,
)
from .options import (
    Device,
    Fit,
    Json,
    LearningRate,
    NewFit,
    Pooling,
    Resume,
    Seed,
    Set,
    Trust,
    parse_settings,
)
from .reports import report, report_fit, tell

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    help="Topic models of documents.\n\n$ exvae lda fit corpus.tsv --topics 20 --out TOPICS",
    no_args_is_help=True,
)

Refine = Annotated[int, panels.advanced(min=0, metavar="STEPS", help="Number of refinement steps.")]


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The corpus to write.")],
    documents: Annotated[int, panels.common(min=1, help="Number of documents.")] = 2000,
    topics: Annotated[int, panels.common(min=1, help="Number of topics.")] = 10,
    vocabulary: Annotated[int, panels.common(min=1, help="Number of words.")] = 1000,
    mean_length: Annotated[float, panels.common(min=1, help="Mean words per document.")] = 100.0,
    lengths: Annotated[
        Literal["fixed", "poisson", "heavy-tailed"],
        panels.model(help="Distribution of the number of words per document."),
    ] = "poisson",
    length_dispersion: Annotated[
        float | None,
        panels.model(help="Standard deviation of the log of heavy-tailed lengths. [default: 1]"),
    ] = None,
    document_concentration: Annotated[
        float, panels.model(help="Dirichlet concentration of topic proportions.")
    ] = 0.1,
    topic_concentration: Annotated[
        float, panels.model(help="Dirichlet concentration of topics.")
    ] = 0.05,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Simulate a corpus; arrays true_topic_words and true_document_topics hold the truth.

    $ exvae lda simulate corpus.npz --documents 1000 --topics 5
    """
    from ...data.simulators.documents import CorpusSimulator

    try:
        simulator = CorpusSimulator(
            documents,
            topics,
            vocabulary,
            mean_length,
            lengths=lengths,
            length_dispersion=length_dispersion,
            document_concentration=document_concentration,
            topic_concentration=topic_concentration,
            seed=seed,
        )
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error
    tokens = simulator.write(out)
    report({"corpus": str(out), "documents": documents, "tokens": tokens}, as_json=json)


@app.command()
def fit(
    corpus: CorpusPath,
    topics: Annotated[int, panels.common(min=1, metavar="K", help="Number of topics.")],
    out: NewFit,
    guide: Annotated[
        str,
        panels.model(metavar="NAME", help="Guide: exchangeable, fixed-length or module:Class."),
    ] = "exchangeable",
    pooling: Pooling = "mean",
    set_: Set = [],  # noqa: B006  (read only)
    text: Text = None,
    label: Label = None,
    id: Id = None,
    tokens: Tokens = False,
    stop_words: StopWords = None,
    ngrams: Ngrams = 1,
    min_df: MinDf = "1",
    max_df: MaxDf = "1.0",
    vocabulary: Vocabulary = None,
    keep_empty: KeepEmpty = False,
    epochs: Annotated[
        int | None,
        panels.training(
            min=1, help="Passes over the data. [default: 10, or as many as take 120 steps]"
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        panels.training(
            min=1, help="Documents per step. [default: 128, and up to 512 in large corpora]"
        ),
    ] = None,
    learning_rate: LearningRate = 5e-3,
    patience: Annotated[
        int,
        panels.training(
            min=0,
            help="Epochs without a better perplexity of the held-out split val before training "
            "stops; 0 trains on train and val to the end.",
        ),
    ] = 0,
    test_fraction: Annotated[
        float, panels.training(min=0.0, max=0.9, help="Split test of a corpus without splits.")
    ] = 0.15,
    val_fraction: Annotated[
        float, panels.training(min=0.0, max=0.9, help="Split val of a corpus without splits.")
    ] = 0.15,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Fit a topic model; draw the topics and the training.

    $ exvae lda fit corpus.tsv --topics 20 --out TOPICS

    $ exvae lda fit news.csv --text body --topics 20 --out NEWS
    """
    from ...data.corpus_formats import read_corpus
    from ..fitting import fits
    from ..fitting.training import TrainingConfig
    from ..fitting.workers import joined
    from ..lda import fitting
    from ..lda.settings import num_training_documents, schedule_of

    config = fitting.LDAConfig(topics, guide, pooling, parse_settings(set_, ("guide", "pooling")))
    split = fitting.SplitConfig(seed, test_fraction, val_fraction)
    words = vocabulary_options(stop_words, ngrams, min_df, max_df)
    with unchanged([corpus]):
        documents = read_corpus(
            corpus,
            vocabulary_file=vocabulary,
            keep_empty=keep_empty,
            text=text or "text",
            label=label,
            id=id,
            tokens=tokens,
            **words,
        )
    tell(found_columns(documents, {"label": label, "id": id}))
    number = num_training_documents(documents, **asdict(split))
    schedule = schedule_of(number, batch_size, epochs)
    training = TrainingConfig(
        schedule.epochs, schedule.batch_size, learning_rate, seed, device, patience
    )
    with joined(out) as processes:
        result = fitting.fit(documents, config, training, out, split=split, resume=resume)
    if processes.first:
        metrics = fits.read_metrics(out)
        pictures = _draw_fit(out, metrics, device)
        report_fit(out, asdict(result), metrics, pictures, as_json=json)


def _draw_fit(fit: Path, metrics: pd.DataFrame, device: str) -> list[Path]:
    """Draw the topics and the training of a fit into its folder."""
    from ..drawing.lda import draw_topics
    from ..drawing.saving import save
    from ..drawing.training import draw_training
    from ..lda import fitting, tables

    pictures = [fit / "topics.png", fit / "training.png"]
    save(draw_topics(tables.top_words(fitting.load(fit, device, trust=True), 10)), pictures[0])
    save(draw_training(metrics), pictures[1])
    return pictures


@app.command()
def evaluate(
    fit: Fit,
    corpus: CorpusPath,
    split: Annotated[
        Literal["train", "val", "test", "all"], panels.common(help="Documents to measure.")
    ] = "test",
    text: Text = None,
    label: Label = None,
    id: Id = None,
    vocabulary: Vocabulary = None,
    drop_unknown: DropUnknown = False,
    refine: Refine = 5,
    seed: Seed = 0,
    device: Device = "auto",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Measure perplexity by document completion, and the loss per token in nats.

    $ exvae lda evaluate TOPICS corpus.tsv
    """
    from ..lda import evaluation, fitting

    loaded = fitting.load(fit, device, trust=trust)
    documents = read_for(loaded, corpus, text, label, id, vocabulary, drop_unknown=drop_unknown)
    measured = evaluation.evaluate(loaded, documents, split=split, steps=refine, seed=seed)
    report(measured, as_json=json)


@app.command()
def infer(
    fit: Fit,
    corpus: CorpusPath,
    out: Annotated[Path, panels.common(metavar="topics.csv", help="The table to write.")],
    text: Text = None,
    label: Label = None,
    id: Id = None,
    uncertainty: Annotated[
        bool,
        panels.common(
            "--uncertainty",
            help="Add standard deviations and 95 % intervals, by Gibbs sampling of each document.",
        ),
    ] = False,
    vocabulary: Vocabulary = None,
    drop_unknown: DropUnknown = False,
    refine: Refine = 5,
    seed: Seed = 0,
    device: Device = "auto",
    trust: Trust = False,
    json: Json = False,
) -> None:
    """Write the posterior mean topic proportions of each document to a table.

    $ exvae lda infer TOPICS corpus.tsv --uncertainty --out topics.csv
    """
    from ..fitting import fits
    from ..lda import fitting, tables

    loaded = fitting.load(fit, device, trust=trust)
    documents = read_for(loaded, corpus, text, label, id, vocabulary, drop_unknown=drop_unknown)
    table = tables.topic_table(loaded, documents, steps=refine)
    if uncertainty:
        from ..lda.uncertainty import with_uncertainty

        table = with_uncertainty(table, loaded, documents, seed=seed)
    require_folder(out)
    fits.write_atomically(out, lambda path: table.to_csv(path, float_format="%.6g"))
    report({"out": os.fspath(out), "documents": len(table)}, as_json=json)


@app.command()
def topics(
    fit: Fit,
    top: Annotated[int, panels.common(min=1, help="Words per topic.")] = 10,
    relevance: Annotated[
        float,
        panels.common(
            min=0.0,
            max=1.0,
            help="Weight of a word's probability against its lift; 1 lists the most probable.",
        ),
    ] = 0.6,
    trust: Trust = False,
    json: Json = False,
) -> None:
    """List the most relevant words of each topic, the most used topic first.

    $ exvae lda topics TOPICS --top 15
    """
    from ..lda import fitting, tables

    words = tables.top_words(fitting.load(fit, "cpu", trust=trust), top, relevance=relevance)
    listed = [
        {
            "topic": int(topic),
            "weight": float(group["weight"].iloc[0]),
            "words": group[["word", "probability"]].to_dict("records"),
        }
        for topic, group in words.groupby("topic", sort=False)
    ]
    if json:
        report({"topics": listed}, as_json=True)
        return
    print("topic  weight  words")
    for entry in listed:
        found = " ".join(own["word"] for own in entry["words"])
        print(f"{entry['topic']:>5}  {entry['weight']:>6.1%}  {found}")
