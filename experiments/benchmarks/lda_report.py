"""Tables and the picture of the benchmark of topic models."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from exvae.experiments.drawing.saving import save
from exvae.experiments.drawing.style import BLUE, GREEN, GREY, ORANGE
from exvae.experiments.fitting.fits import write_atomically

REFERENCE = "scikit-learn online"
PACKAGES = ("exvae", "torch", "scikit-learn", "gensim", "tomotopy", "scvi-tools")

SETTINGS = (
    "Priors: exvae learns alpha and has beta 0.1; scikit-learn has 1 / topics for both; gensim "
    "learns both; tomotopy learns alpha and has eta 0.01 unless said. tomotopy's theta is a "
    "single state of its sampler and no average over states, which costs it perplexity."
)

# The other colours of Okabe & Ito, and a marker each for print in grey.
STYLES = {
    "exvae refined": (BLUE, "o"),
    "exvae amortised": ("#56B4E9", "v"),
    "scikit-learn online": (ORANGE, "s"),
    "scikit-learn batch": ("#D55E00", "D"),
    "gensim": (GREEN, "^"),
    "tomotopy": ("#CC79A7", "P"),
    "tomotopy, eta 0.1": ("#000000", "X"),
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
    ("memory_above_baseline_mib", "of it above imports (MiB)", 0),
)
RATIOS = (
    ("training_seconds", "training time"),
    ("seconds_to_reference", "time to its perplexity"),
    ("documents_per_second", "inference speed"),
    ("peak_memory_mib", "peak memory"),
    ("memory_above_baseline_mib", "memory above imports"),
)


def write_report(
    rows: list[dict[str, Any]], curves: list[dict[str, Any]], about: dict[str, Any], folder: Path
) -> str:
    """Write tables and picture into a folder and return the tables as text.

    Parameters
    ----------
    rows, curves
        What the methods have given.
    about
        What the corpus is and how the methods ran.
    folder
        Made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curve = pd.DataFrame(curves)
    table = pd.DataFrame(rows)
    table.insert(4, "seconds_to_reference", _seconds_to_reference(table, curve))
    text = _report(table, about)
    for name, frame in (("lda_benchmark", table), ("lda_benchmark_curves", curve)):
        write_atomically(folder / f"{name}.csv", lambda path, f=frame: f.to_csv(path, index=False))
    write_atomically(folder / "lda_benchmark.md", lambda path: path.write_text(text + "\n"))
    _draw(table, curve, about, folder / "lda_benchmark.png")
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
        f"Training time leaves evaluation out; to reference is the part of it until {REFERENCE}'s "
        "final perplexity is first met.",
        "Inference is timed on the whole training corpus and on the first halves of the test "
        "documents. Peak memory holds what every process here imports, torch among it; the last "
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


def _draw(table: pd.DataFrame, curves: pd.DataFrame, about: dict[str, Any], path: Path) -> None:
    """Draw perplexity against training time, and inference speed."""
    methods = _by_method(table)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11.5, 4.6), gridspec_kw={"width_ratios": [1.5, 1.0]}
    )
    for name, group in methods:
        colour, marker = STYLES[name]
        for seed in group["seed"]:
            curve = curves[(curves["method"] == name) & (curves["seed"] == seed)]
            left.plot(curve["seconds"], curve["perplexity"], color=colour, linewidth=1.2, alpha=0.8)
        ends = curves[curves["method"] == name].groupby("seed").last()
        left.plot(
            *(ends["seconds"], ends["perplexity"]), marker, color=colour, markersize=7, label=name
        )
    left.set_xscale("log")
    finals = curves.groupby(["method", "seed"])["perplexity"].last()
    # The first steps of a curve are far above, where no method stays.
    levels = [finals.min(), finals.max(), about["unigram_perplexity"]]
    left.set_ylim(min(levels) * 0.96, max(levels) * 1.04)
    left.axhline(about["unigram_perplexity"], color="black", linestyle=":", linewidth=1.0)
    left.annotate(
        "unigram model",
        (0.01, about["unigram_perplexity"]),
        xycoords=("axes fraction", "data"),
        xytext=(0, -3),
        textcoords="offset points",
        va="top",
        fontsize=8,
    )
    left.xaxis.set_major_formatter("{x:g}")
    left.set_xlabel("training time without evaluation (seconds)")
    left.set_ylabel("perplexity of held-out words")
    left.legend(frameon=False, fontsize=8)
    left.set_title(
        f"{about['corpus']}: {about['training_documents']} documents, {about['topics']} topics",
        fontsize=10,
    )
    for position, (name, group) in enumerate(methods):
        speed = group["documents_per_second"]
        median = speed.median()
        right.barh(
            position,
            median,
            color=STYLES[name][0],
            xerr=[[median - speed.min()], [speed.max() - median]],
            error_kw={"capsize": 3, "linewidth": 1.0},
        )
        right.text(speed.max() * 1.15, position, f"{median:,.0f}", va="center", fontsize=8)
    right.set_yticks(range(len(methods)), [name for name, _ in methods])
    right.invert_yaxis()
    right.set_xscale("log")
    lowest, highest = table["documents_per_second"].agg(["min", "max"])
    right.set_xlim(lowest / 3, highest * 6)
    right.xaxis.set_major_formatter("{x:,.0f}")
    right.set_xlabel("inference (documents per second)")
    right.set_title("Topics of the training documents", fontsize=10)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.3, axis="both" if axis is left else "x")
        axis.set_axisbelow(True)
    figure.tight_layout()
    save(figure, path)
