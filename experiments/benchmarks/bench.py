"""Run all benchmarks beside their peers, several times, and write one table and one picture.

    python experiments/benchmarks/bench.py --out docs/benchmarks.md --pictures docs/pictures

Each part runs in a process of its own, once in each round, so that a machine that slows down does
so for all parts. Ratios are of ours and the peer's figure of the same process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bench_parts import PARTS, Figure, sizes_of
from pages import digits, machine, replace_part, table
from processes import bounding_threads, run_python

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

PACKAGES = ("torch", "pyro-ppl", "scvi-tools", "scikit-learn", "gensim", "tomotopy", "pytximport")
PICTURE = "benchmarks.png"
# Ratios that the axis of the picture shows; bars beyond go to its edge.
_SHOWN = (0.02, 50.0)


def measure(options: argparse.Namespace) -> int:
    """Run parts in rounds, and write after each; gives the number of failures.

    A part that fails is told, and the others go on.
    """
    runs: dict[str, dict[tuple[str, str], list[Figure]]] = {part: {} for part in options.parts}
    failures = 0
    for repeat in range(options.repeats):
        for part in options.parts:
            started = time.perf_counter()
            try:
                found = run_part(part, repeat, options)
            except RuntimeError as error:
                print(f"{part}, round {repeat + 1}: {error}", file=sys.stderr, flush=True)
                failures += 1
                continue
            for own in found:
                runs[part].setdefault((own.name, own.peer), []).append(own)
            seconds = time.perf_counter() - started
            print(f"{part}, round {repeat + 1}: {seconds:.0f} s", file=sys.stderr, flush=True)
        figures = [own for part in options.parts for own in runs[part].values()]
        text = write(figures, repeat + 1, options)
    print(text)
    return failures


def run_part(part: str, repeat: int, options: argparse.Namespace) -> list[Figure]:
    """Run a part in a process of its own; RuntimeError if it fails."""
    step = [__file__, "--part", part, "--repeat", repeat, "--threads", options.threads]
    # As the commands have it: torch's waiting threads would keep other threads from the cores.
    environment = {"GOMP_SPINCOUNT": "10000", **bounding_threads(options.threads)}
    printed = run_python([*step, *(["--tiny"] if options.tiny else [])], environment).printed
    return [Figure(*own) for own in json.loads(printed.splitlines()[-1])]


def spread(runs: list[Figure]) -> tuple[float, float, float]:
    """Give the median ratio of a figure, the least and the largest."""
    ratios = [run.ours / run.theirs for run in runs]
    return statistics.median(ratios), min(ratios), max(ratios)


def row(runs: list[Figure]) -> tuple[str, ...]:
    """Make the row of a figure: name, ours, peer's, name of the peer, ratio with its range."""
    ours, theirs = (
        digits(statistics.median(getattr(run, own) for run in runs)) for own in ("ours", "theirs")
    )
    middle, low, high = map(digits, spread(runs))
    return runs[0].name, ours, theirs, runs[0].peer, f"{middle} ({low} to {high})"


def draw(figures: list[list[Figure]]) -> Picture:
    """Draw ratios as bars with their ranges on a logarithmic axis."""
    from exvae.experiments.drawing.style import (
        BLACK,
        BLUE,
        GREY,
        ORANGE,
        label,
        logarithmic,
        new_figure,
    )

    picture, axes = new_figure(width=9.0, height=1.2 + 0.24 * len(figures))
    axis = axes[0, 0]
    names = [f"{runs[0].name.partition(' (')[0]} / {runs[0].peer}" for runs in figures]
    for place, runs in enumerate(figures):
        middle, low, high = spread(runs)
        colour = BLUE if middle <= 1 else ORANGE
        axis.barh(place, middle - 1, left=1, color=colour, alpha=0.8, height=0.7)
        axis.plot([low, high], [place, place], color=BLACK, linewidth=1.5)
    axis.axvline(1, color=GREY, linewidth=1)
    axis.set_yticks(range(len(figures)), names)
    axis.set_ylim(len(figures) - 0.4, -0.6)
    ratios = [ratio for runs in figures for ratio in spread(runs)]
    low, high = _SHOWN
    axis.set_xlim(max(low, min(ratios) / 1.5), min(high, max(1.0, *ratios) * 1.5))
    label(axis, "ours / peer, median and range; less than 1 is better", "ratio", "")
    axis.tick_params(axis="y", labelsize=7)
    logarithmic(axis, "x")
    return picture


def write(figures: list[list[Figure]], rounds: int, options: argparse.Namespace) -> str:
    """Write table and picture of some rounds, where asked for, and give the text."""
    header = ("figure", "ours", "peer's", "peer", "ratio, median (least to most)")
    text = (
        f"{machine(PACKAGES)} {options.threads} threads. Medians of {rounds} rounds; "
        f"a ratio below 1 is in our favour.\n\n{table(header, map(row, figures))}\n"
    )
    if options.pictures is not None:
        from exvae.experiments.drawing.saving import save

        options.pictures.mkdir(parents=True, exist_ok=True)
        picture = options.pictures / PICTURE
        save(draw(figures), picture)
        folder = (options.out or picture).parent
        text += f"\n![Ratios with their ranges]({os.path.relpath(picture, folder)})\n"
    if options.out is not None:
        replace_part(options.out, "bench.py", text)
    return text


def main() -> int:
    """Run and write, or run one part and print its figures; 1 if a part has failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of every library")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--out", type=Path, help="page whose table is replaced")
    parser.add_argument("--pictures", type=Path, help="folder of the picture")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--repeat", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        with TemporaryDirectory() as folder:
            sizes = sizes_of(options.tiny, options.threads)
            figures = PARTS[options.part](sizes, options.repeat, Path(folder))
        print(json.dumps(figures, default=float))
        return 0
    return 1 if measure(options) else 0


if __name__ == "__main__":
    sys.exit(main())
