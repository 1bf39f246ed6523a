"""Measure memory and time of one epoch of ``exvae lda fit`` on ever larger simulated corpora.

    python experiments/benchmarks/lda_memory.py --documents 250000 500000 1000000

Documents have 100 words on average of a vocabulary of 5000. Simulation and fit run in processes of
their own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

# This process stays small and imports nothing large: Linux counts what a process held before exec,
# its parent's memory, as part of its peak.

TOPICS = 20
VOCABULARY = 5000
MEAN_LENGTH = 100

COLUMNS = (
    ("documents", "documents", "{:.0f}"),
    ("tokens", "tokens trained on", "{:.0f}"),
    ("seconds_per_epoch", "seconds per epoch", "{:.1f}"),
    ("tokens_per_second", "tokens per second", "{:.0f}"),
    ("peak_memory_mib", "peak memory (MiB)", "{:.0f}"),
    ("words_mib", "of it words mapped from the file (MiB)", "{:.0f}"),
)


def simulate(documents: int, path: Path) -> None:
    """Write a simulated corpus."""
    subprocess.run([sys.executable, __file__, "--simulate", str(documents), str(path)], check=True)


def simulate_here(documents: int, path: Path) -> None:
    """Write a simulated corpus from this process."""
    from exvae.data.corpora import write_corpus
    from exvae.data.lda_simulator import simulate_corpus

    write_corpus(simulate_corpus(documents, TOPICS, VOCABULARY, MEAN_LENGTH).corpus, path)


def fit(corpus: Path, folder: Path, batch_size: int, threads: int) -> dict[str, float]:
    """Fit one epoch in a process of its own.

    Returns
    -------
    dict
        ``tokens`` trained on, ``seconds_per_epoch``, ``tokens_per_second``, ``peak_memory_mib``
        and ``words_mib``, the part of it that the words take that are mapped from the file.
    """
    command = [sys.executable, "-m", "exvae", "lda", "fit", str(corpus), "--out", str(folder)]
    options = ["--topics", str(TOPICS), "--epochs", "1", "--batch-size", str(batch_size)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "OMP_NUM_THREADS": str(threads)}
    child = subprocess.Popen(
        [*command, *options, "--device", "cpu"], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    with (folder / "metrics.csv").open() as file:
        epoch = next(csv.DictReader(file))
    seconds = float(epoch["seconds"])
    unit = 2**20 if sys.platform == "darwin" else 2**10
    data = json.loads((folder / "config.json").read_text())["data"]
    # The corpus has no splits, so the fit has held out documents at random.
    tokens = data["tokens"] * data["training_documents"] / data["documents"]
    return {
        "tokens": tokens,
        "seconds_per_epoch": seconds,
        "tokens_per_second": tokens / seconds,
        "peak_memory_mib": usage.ru_maxrss / unit,
        "words_mib": data["tokens"] * 4 / 2**20,
    }


def report(rows: list[dict[str, float]]) -> None:
    """Print the table, and how time and memory grow from the smallest to the largest corpus."""
    widths = [max(len(heading), 10) for _, heading, _ in COLUMNS]
    headings = [heading for _, heading, _ in COLUMNS]
    print("  ".join(cell.rjust(width) for cell, width in zip(headings, widths, strict=True)))
    for row in rows:
        cells = [form.format(row[key]) for key, _, form in COLUMNS]
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
    first, last = (choose(rows, key=lambda row: row["documents"]) for choose in (min, max))
    more = last["documents"] - first["documents"]
    if not more:
        return
    ratio = last["tokens_per_second"] / first["tokens_per_second"]
    # The warm-up has a fixed number of slow steps, so a larger corpus may well be faster per token.
    verdict = "time is linear or better" if ratio > 0.9 else "time grows FASTER than linearly"
    print(
        f"\n{verdict}: the largest corpus is trained at {ratio:.2f} times the tokens per second of "
        "the smallest"
    )
    grown, mapped = (
        (last[key] - first[key]) * 2**20 / more for key in ("peak_memory_mib", "words_mib")
    )
    print(
        f"memory grows by {grown:.0f} bytes per document, {mapped:.0f} of them words mapped from "
        "the file"
    )


def main() -> None:
    """Simulate, fit and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder in which to keep the corpora")
    parser.add_argument("--simulate", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.simulate:
        simulate_here(int(arguments.simulate[0]), Path(arguments.simulate[1]))
        return
    keep = nullcontext(arguments.out) if arguments.out else TemporaryDirectory()
    rows = []
    with keep as kept:
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        for documents in arguments.documents:
            corpus = folder / f"documents_{documents}.npz"
            simulate(documents, corpus)
            with TemporaryDirectory() as fitted:
                measured = fit(corpus, Path(fitted), arguments.batch_size, arguments.threads)
            rows.append({"documents": documents, **measured})
            if not arguments.out:
                corpus.unlink()
    report(rows)


if __name__ == "__main__":
    main()
