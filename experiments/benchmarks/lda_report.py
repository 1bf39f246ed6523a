"""Tables and picture of the benchmark of topic models."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from exvae.data.files import written_atomically
from exvae.experiments.drawing.saving import save, save_table
from exvae.experiments.drawing.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    logarithmic,
)

REFERENCE = "scikit-learn online"
PACKAGES = ("exvae", "torch", "scikit-learn", "gensim", "tomotopy", "scvi-tools")

SETTINGS = (
    "Priors: exvae learns alpha and has beta 0.1; scikit-learn has 1 / topics for both; gensim "
    "learns both; tomotopy learns alpha and has eta 0.01 unless said. tomotopy's theta is a "
    "single state of its sampler and no average over states, which costs it perplexity."
)

# A colour and, for print in grey, a marker for each method.
STYLES = {
    "exvae refined": (BLUE, "o"),
    "exvae amortised": (SKY, "v"),
    "scikit-learn online": (ORANGE, "s"),
    "scikit-learn batch": (VERMILION, "D"),
    "gensim": (GREEN, "^"),
    "tomotopy": (PURPLE, "P"),
    "tomotopy, eta 0.1": (BLACK, "X"),
    "scvi-tools": (GREY, "X"),
}

# Column, heading, decimals.
FIGURES = (
    ("perplexity", "perplexity", 1),
    ("training_seconds", "training (s)", 1),
    ("seconds_to_reference", "to reference (s)", 1),
    ("documents_per_second", "inference (documents/s)", 0),
    ("documents_per_second_halves", "inference, test halves (documents/s)", 0),
    ("peak_memory_mib", "peak memory (MiB)", 0),
    ("memory_above_baseline_mib", "without imports (MiB)", 0),
)
RATIOS = (
    ("training_seconds", "training time"),
    ("seconds_to_reference", "time to its perplexity"),
    ("documents_per_second", "inference speed"),
    ("peak_memory_mib", "peak memory"),
    ("memory_above_baseline_mib", "memory without imports"),
)


def write_report(
    rows: list[dict[str, Any]], curves: list[dict[str, Any]], about: dict[str, Any], folder: Path
) -> str:
    """Write tables and picture into a folder and return the tables as text.

    Parameters
    ----------
    rows, curves
        Results of the methods: measurements, and points of the perplexity during training.
    about
        Description of the corpus and of the runs.
    folder
        Folder to write to; made if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curve = pd.DataFrame(curves)
    table = pd.DataFrame(rows)
    table.insert(4, "seconds_to_reference", _seconds_to_reference(table, curve))
    text = _report(table, about)
    save_table(table, folder / "lda_benchmark.csv")
    save_table(curve, folder / "lda_benchmark_curves.csv")
    with written_atomically(folder / "lda_benchmark.md") as path:
        path.write_text(text + "\n")
    save(draw_benchmark(table, curve, about), folder / "lda_benchmark.png")
    return text


def _seconds_to_reference(table: pd.DataFrame, curves: pd.DataFrame) -> list[float]:
    """Training seconds until the reference's final perplexity is first met, seed by seed."""
    reference = curves[curves["method"] == REFERENCE].groupby("seed")["perplexity"].last()
    seconds = []
    for _, row in table.iterrows():
        target = reference.get(row["seed"], float("nan"))
        mine = curves[(curves["method"] == row["method"]) & (curves["seed"] == row["seed"])]
        seconds.append(mine.loc[mine["perplexity"] <= target, "seconds"].min())
    return seconds


def _report(table: pd.DataFrame, about: dict[str, Any]) -> str:
    lines = [
        "# Topic models compared",
        "",
        f"Corpus {about['corpus']}: {about['training_documents']} training and "
        f"{about['test_documents']} test documents, {about['training_tokens']} training tokens, "
        f"{about['vocabulary_size']} words. {about['topics']} topics, "
        f"{about['threads']} threads of {os.cpu_count()}, {platform.machine()}, "
        f"Python {platform.python_version()}, {_versions()}.",
        f"The unigram model has a perplexity of {about['unigram_perplexity']:.1f}. "
        "Median (least–largest) over seeds.",
        f"Training time excludes evaluation; time to reference ends when {REFERENCE}'s final "
        "perplexity is first met.",
        "Inference is timed on the whole training corpus and on the first halves of the test "
        "documents. Peak memory includes the imports of every process, torch among them; the last "
        "column does not.",
        SETTINGS,
        "",
    ]
    headings = ["method", "seeds", *(heading for _, heading, _ in FIGURES)]
    lines += _markdown(headings, [_row(name, group) for name, group in _by_method(table)])
    medians = table.groupby("method").median(numeric_only=True)
    if REFERENCE in medians.index:
        reference = medians.loc[REFERENCE]
        lines += ["", f"Ratio to {REFERENCE}, of the medians:", ""]
        ratios = [
            [name, *(f"{medians.at[name, key] / reference[key]:.2f} ×" for key, _ in RATIOS)]
            for name, _ in _by_method(table)
        ]
        headings = ["method", *(heading for _, heading in RATIOS)]
        lines += [line.replace("nan ×", "—") for line in _markdown(headings, ratios)]
    return "\n".join(lines)


def _versions() -> str:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _by_method(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    present = set(table["method"])
    return [(name, table[table["method"] == name]) for name in STYLES if name in present]


def _row(name: str, group: pd.DataFrame) -> list[str]:
    cells = [name, str(len(group))]
    for column, _, decimals in FIGURES:
        values = group[column].dropna()
        if values.empty:
            cells.append("not met" if column == "seconds_to_reference" else "—")
            continue
        cell = f"{values.median():.{decimals}f}"
        if len(group) > 1:
            cell += f" ({values.min():.{decimals}f}–{values.max():.{decimals}f})"
        if len(values) < len(group):
            cell += f" in {len(values)} of {len(group)}"
        cells.append(cell)
    return cells


def _markdown(headings: list[str], rows: list[list[str]]) -> list[str]:
    """Lay out a table whose columns also line up as plain text."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    rule = ["-" * (widths[0]), *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [
            cell.ljust(width) if position == 0 else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in (headings, rule, *rows)
    ]
    return [f"| {' | '.join(row)} |" for row in padded]


def draw_benchmark(table: pd.DataFrame, curves: pd.DataFrame, about: dict[str, Any]) -> Figure:
    """Draw perplexity against training time, and inference speed.

    Parameters
    ----------
    table
        A row for each method and seed: ``method``, ``seed``, ``documents_per_second``.
    curves
        Points during training: ``method``, ``seed``, ``seconds``, ``perplexity``.
    about
        The corpus: ``corpus``, ``training_documents``, ``topics``, ``unigram_perplexity``.
    """
    methods = _by_method(table)
    figure = Figure(figsize=(11.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1.0])
    _draw_curves(left, methods, curves, about["unigram_perplexity"])
    left.set_title(
        f"{about['corpus']}: {about['training_documents']} documents, {about['topics']} topics",
        fontsize=10,
    )
    _draw_speed(right, methods)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3, axis="both" if axis is left else "x")
        axis.set_axisbelow(True)
    return figure


def _draw_curves(
    axis: Axes, methods: list[tuple[str, pd.DataFrame]], curves: pd.DataFrame, unigram: float
) -> None:
    """Draw perplexity against training time, and the perplexity of the unigram model."""
    for name, group in methods:
        colour, marker = STYLES[name]
        own = curves[curves["method"] == name]
        for seed in group["seed"]:
            curve = own[own["seed"] == seed]
            axis.plot(curve["seconds"], curve["perplexity"], color=colour, linewidth=1.2, alpha=0.8)
        ends = own.groupby("seed").last()
        style = {"color": colour, "markersize": 7, "label": name}
        axis.plot(ends["seconds"], ends["perplexity"], marker, **style)
    logarithmic(axis, "x")
    finals = curves.groupby(["method", "seed"])["perplexity"].last()
    # The first points of a curve lie far above, where no method stays.
    levels = [finals.min(), finals.max(), unigram]
    axis.set_ylim(min(levels) * 0.96, max(levels) * 1.04)
    axis.axhline(unigram, color="black", linestyle=":", linewidth=1.0)
    axis.annotate(
        "unigram model",
        (0.01, unigram),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=8,
    )
    axis.set_xlabel("training time without evaluation (seconds)")
    axis.set_ylabel("perplexity of held-out words")
    axis.legend(frameon=False, fontsize=8)


def _draw_speed(axis: Axes, methods: list[tuple[str, pd.DataFrame]]) -> None:
    """Draw documents per second: medians with ranges over seeds."""
    for position, (name, group) in enumerate(methods):
        speed = group["documents_per_second"]
        median = speed.median()
        axis.barh(
            position,
            median,
            color=STYLES[name][0],
            xerr=[[median - speed.min()], [speed.max() - median]],
            error_kw={"capsize": 3, "linewidth": 1.0},
        )
        axis.text(speed.max() * 1.15, position, f"{median:,.0f}", va="center", fontsize=8)
    axis.set_yticks(range(len(methods)), [name for name, _ in methods])
    axis.invert_yaxis()
    axis.set_xscale("log")
    speeds = pd.concat([group["documents_per_second"] for _, group in methods])
    axis.set_xlim(speeds.min() / 3, speeds.max() * 6)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.set_xlabel("inference (documents per second)")
    axis.set_title("topics of the training documents", fontsize=10)
