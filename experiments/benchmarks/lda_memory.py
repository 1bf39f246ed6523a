"""Measure memory and time of simulating and fitting ever larger corpora.

    python experiments/benchmarks/lda_memory.py --documents 250000 500000 1000000
    python experiments/benchmarks/lda_memory.py --documents 100000 1000000 --only-simulate

Documents have 100 words on average from a vocabulary of 5000. Each corpus takes one run of ``exvae
lda simulate`` and, for one epoch, of ``exvae lda fit``, in processes of their own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from processes import Cost, run_python

# This process stays small: Linux counts the memory before exec as part of a child's peak.

TOPICS = 20
VOCABULARY = 5000
MEAN_LENGTH = 100

COLUMNS = (
    ("documents", "documents", "{:.0f}"),
    ("simulation_seconds", "seconds to simulate", "{:.1f}"),
    ("simulation_memory_mib", "its peak memory (MiB)", "{:.0f}"),
    ("tokens", "tokens trained on", "{:.0f}"),
    ("seconds_per_epoch", "seconds per epoch", "{:.3f}"),
    ("tokens_per_second", "tokens per second", "{:.0f}"),
    ("peak_memory_mib", "peak memory (MiB)", "{:.0f}"),
    ("words_mib", "including mapped words (MiB)", "{:.0f}"),
)


def run(arguments: list[str], threads: int) -> Cost:
    """Run the command ``exvae lda`` in a process of its own, on so many threads."""
    policy = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
    environment = {"OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(threads)}
    return run_python(["-m", "exvae", "lda", *arguments], environment)


def simulate(documents: int, path: Path, threads: int) -> dict[str, float]:
    """Write a simulated corpus.

    Returns
    -------
    dict
        ``simulation_seconds`` and ``simulation_memory_mib``, the peak.
    """
    sizes = {"documents": documents, "topics": TOPICS, "vocabulary": VOCABULARY}
    options = [str(part) for name, size in sizes.items() for part in (f"--{name}", size)]
    used = run(["simulate", str(path), *options, "--mean-length", str(MEAN_LENGTH)], threads)
    return {"simulation_seconds": used.seconds, "simulation_memory_mib": used.memory_mib}


def fit(corpus: Path, folder: Path, batch_size: int, threads: int) -> dict[str, float]:
    """Fit one epoch.

    Returns
    -------
    dict
        ``tokens`` of the training, ``seconds_per_epoch``, ``tokens_per_second``,
        ``peak_memory_mib`` and ``words_mib``, its part of words mapped from the file.
    """
    options = ["--topics", str(TOPICS), "--epochs", "1", "--batch-size", str(batch_size)]
    arguments = ["fit", str(corpus), "--out", str(folder), *options, "--device", "cpu"]
    used = run(arguments, threads)
    with (folder / "metrics.csv").open() as file:
        epoch = next(csv.DictReader(file))
    seconds = float(epoch["seconds"])
    data = json.loads((folder / "config.json").read_text())["data"]
    # The corpus has no splits, so the fit has held out documents at random.
    tokens = data["tokens"] * data["training_documents"] / data["documents"]
    return {
        "tokens": tokens,
        "seconds_per_epoch": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_memory_mib": used.memory_mib,
        "words_mib": data["tokens"] * 4 / 2**20,
    }


def report(rows: list[dict[str, float]]) -> None:
    """Print the table, and how time and memory grow from the smallest to the largest corpus."""
    columns = [column for column in COLUMNS if column[0] in rows[0]]
    widths = [max(len(heading), 10) for _, heading, _ in columns]
    headings = [heading for _, heading, _ in columns]
    print("  ".join(cell.rjust(width) for cell, width in zip(headings, widths, strict=True)))
    for row in rows:
        cells = [form.format(row[key]) for key, _, form in columns]
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
    first, last = (choose(rows, key=lambda row: row["documents"]) for choose in (min, max))
    if last["documents"] > first["documents"]:
        report_growth(first, last)


def report_growth(first: dict[str, float], last: dict[str, float]) -> None:
    """Print how time and memory grow from the smallest to the largest corpus."""
    more = last["documents"] - first["documents"]

    def per_document(key: str) -> float:
        return (last[key] - first[key]) * 2**20 / more

    grown = per_document("simulation_memory_mib")
    print(f"\nmemory of simulation grows by {grown:.1f} bytes per document")
    if "tokens" not in first:
        return
    ratio = last["tokens_per_second"] / first["tokens_per_second"]
    # The warm-up has a fixed number of slow steps, so a larger corpus may well be faster per token.
    verdict = "time is linear or better" if ratio > 0.9 else "time grows FASTER than linearly"
    print(
        f"{verdict}: the largest corpus is trained at {ratio:.2f} times the tokens per second of "
        "the smallest"
    )
    grown, mapped = per_document("peak_memory_mib"), per_document("words_mib")
    print(
        f"memory of the fit grows by {grown:.0f} bytes per document, {mapped:.0f} of them words "
        "mapped from the file"
    )


def main() -> None:
    """Simulate, fit and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder in which to keep the corpora")
    parser.add_argument("--only-simulate", action="store_true", help="fit nothing")
    arguments = parser.parse_args()
    keep = nullcontext(arguments.out) if arguments.out else TemporaryDirectory()
    rows = []
    with keep as kept:
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        for documents in arguments.documents:
            corpus = folder / f"documents_{documents}.npz"
            row = {"documents": documents, **simulate(documents, corpus, arguments.threads)}
            if not arguments.only_simulate:
                with TemporaryDirectory() as fitted:
                    row |= fit(corpus, Path(fitted), arguments.batch_size, arguments.threads)
            rows.append(row)
            if not arguments.out:
                corpus.unlink()
    report(rows)


if __name__ == "__main__":
    main()
