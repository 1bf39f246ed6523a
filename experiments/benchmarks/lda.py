"""Compare topic models: perplexity, training time, inference speed and memory.

    python experiments/benchmarks/lda.py [CORPUS] --topics 20 --seeds 0 1 2 --out results

Every method trains on the splits train and val and completes the documents of the split test: it
infers theta from the first half of each document's words and is scored by the perplexity of the
second half (see ``exvae.data.corpora.halve``). Methods and seeds run one after another, each in a
fresh process on the same number of threads, so that memory is each method's own. Neither imports
nor evaluation during training are timed. Inference is timed after a warm-up, on data in memory in
each library's own input format: the median of five runs, or of as many as fit into a minute.
"""

from __future__ import annotations

import os

# Before torch is loaded, as the commands do: spinning threads of two processes on the same cores
# slow each other tenfold.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import argparse  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from tempfile import TemporaryDirectory  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from lda_methods import METHODS, Method, Task  # noqa: E402
from processes import bounding_threads  # noqa: E402

from exvae.data.corpora import Corpus, halve, select_split, split_corpus, write_corpus
from exvae.data.corpus_formats import read_corpus  # noqa: E402
from exvae.data.errors import DataError  # noqa: E402
from exvae.data.simulators.documents import simulate_corpus  # noqa: E402
from exvae.experiments.lda.completion import perplexity  # noqa: E402

REPEATS = 5
INFERENCE_BUDGET = 60.0  # seconds for all repeats
# Test documents behind the curves; the final perplexity uses all.
CURVE_DOCUMENTS = 2000
CORPORA = ("train", "observed", "held_out")


class Stopwatch:
    """Adds up the seconds between each start and stop."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Go on."""
        self._started = time.perf_counter()

    def stop(self) -> None:
        """Pause."""
        self.seconds += time.perf_counter() - self._started


def memory_mib() -> tuple[float, float]:
    """Resident memory of this process now and at its peak, in MiB."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        # Unlike ru_maxrss, VmHWM does not count the memory of the process before exec.
        return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    except OSError:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        return peak, peak


def median_seconds(run: Callable[[Any], Any], prepare: Callable[[], Any]) -> float:
    """Time ``run(prepare())`` without the preparation, in seconds."""
    run(prepare())
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < INFERENCE_BUDGET:
        documents = prepare()
        started = time.perf_counter()
        run(documents)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def checked_perplexity(proportions: np.ndarray, topic_words: np.ndarray, held_out: Corpus) -> float:
    """Perplexity of held-out words, given theta (documents, topics) and phi (topics, words)."""
    assert proportions.shape == (held_out.num_documents, len(topic_words))
    assert topic_words.shape[1] == held_out.vocabulary_size
    for probabilities in (proportions, topic_words):
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(1), 1.0, atol=1e-4)
    return perplexity(torch.from_numpy(proportions), torch.from_numpy(topic_words), held_out)


def prepare(corpus: Path | None, documents: int, topics: int, folder: Path) -> dict[str, Any]:
    """Read or simulate the corpus, split and halve it, and write the parts that all methods read.

    Returns
    -------
    dict
        Description of the corpus, and the perplexity of the unigram model on it.
    """
    if corpus is None:
        whole = simulate_corpus(documents, topics, 2000, 100).corpus
    else:
        whole = read_corpus(corpus)
    whole = split_corpus(whole, seed=0)
    train = select_split(whole, "train", "val")
    observed, held_out = halve(select_split(whole, "test"), seed=0)
    for name, part in zip(CORPORA, (train, observed, held_out), strict=True):
        write_corpus(part, folder / f"{name}.npz")
    counts = np.bincount(train.words, minlength=train.vocabulary_size) + 0.01
    everywhere = np.ones((held_out.num_documents, 1))
    return {
        "corpus": "simulated" if corpus is None else "/".join(corpus.parts[-2:]),
        "training_documents": train.num_documents,
        "training_tokens": train.num_tokens,
        "test_documents": held_out.num_documents,
        "vocabulary_size": train.vocabulary_size,
        "unigram_perplexity": checked_perplexity(everywhere, counts[None] / counts.sum(), held_out),
    }


def measure(name: str, options: dict[str, Any], seed: int, folder: Path) -> dict[str, list[dict]]:
    """Train and time one method in this process.

    Parameters
    ----------
    name
        A key of :data:`~lda_methods.METHODS`.
    options
        The other fields of :class:`~lda_methods.Task`.
    seed
        Of the method.
    folder
        Of :func:`prepare`.

    Returns
    -------
    dict
        ``rows``, one for each way to infer, and ``curves``, perplexity against training seconds.
    """
    modules, make = METHODS[name]
    torch.set_num_threads(options["threads"])
    for module in modules:
        importlib.import_module(module)
    baseline, _ = memory_mib()
    train, observed, held_out = (read_corpus(folder / f"{part}.npz") for part in CORPORA)
    method = make(Task(vocabulary=train.vocabulary, seed=seed, **options))
    training_inputs, observed_inputs = method.convert(train), method.convert(observed)
    seconds, curves = train_method(method, training_inputs, observed, held_out)
    topic_words = method.topic_words()
    rows = []
    for label, infer in method.infer.items():
        proportions = infer(method.documents(observed_inputs))
        row = {
            "method": label,
            "seed": seed,
            "perplexity": checked_perplexity(proportions, topic_words, held_out),
            "training_seconds": seconds,
        }
        for column, inputs, count in (
            ("documents_per_second", training_inputs, train.num_documents),
            ("documents_per_second_halves", observed_inputs, observed.num_documents),
        ):
            row[column] = count / median_seconds(infer, lambda i=inputs: method.documents(i))
        rows.append(row)
    _, peak = memory_mib()
    memory = {
        "peak_memory_mib": peak,
        "baseline_mib": baseline,
        "memory_above_baseline_mib": peak - baseline,
    }
    points = [{"method": label, "seed": seed, **point} for label, point in curves]
    return {"rows": [row | memory for row in rows], "curves": points}


def train_method(
    method: Method, training_inputs: Any, observed: Corpus, held_out: Corpus
) -> tuple[float, list[tuple[str, dict[str, float]]]]:
    """Train, and evaluate on some test documents while the watch stands still.

    Returns
    -------
    seconds
        Of the training.
    curves
        For each evaluation and each way to infer its name, ``seconds`` and ``perplexity``.
    """
    if observed.num_documents > CURVE_DOCUMENTS:
        order = np.random.default_rng(0).permutation(observed.num_documents)
        chosen = np.sort(order[:CURVE_DOCUMENTS])
        observed, held_out = observed.select(chosen), held_out.select(chosen)
    inputs = method.convert(observed)
    watch = Stopwatch()
    curves: list[tuple[str, dict[str, float]]] = []

    def evaluate() -> None:
        topic_words = method.topic_words()
        for label, infer in method.infer.items():
            proportions = infer(method.documents(inputs))
            value = checked_perplexity(proportions, topic_words, held_out)
            curves.append((label, {"seconds": watch.seconds, "perplexity": value}))

    def checkpoint() -> None:
        watch.stop()
        evaluate()
        watch.start()

    watch.start()
    method.train(training_inputs, checkpoint)
    watch.stop()
    if not curves:
        evaluate()
    return watch.seconds, curves


def run_child(arguments: list[str], threads: int, folder: Path) -> dict[str, Any]:
    """Run this script in a fresh process and return its result.

    Raises
    ------
    DataError
        If it fails; its last words are the message.
    """
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    child = subprocess.run(
        [sys.executable, __file__, *arguments, "--folder", str(folder)],
        env=os.environ | bounding_threads(threads),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if child.returncode or not result.is_file():
        lines = child.stderr.strip().splitlines() or [f"exit status {child.returncode}"]
        raise DataError(lines[-1])
    return json.loads(result.read_text())


def is_installed(name: str) -> bool:
    """Tell whether a method's library can be imported, without importing it."""
    modules, _ = METHODS[name]
    return all(importlib.util.find_spec(module.split(".")[0]) for module in modules)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", type=Path, help="any format; simulated by default")
    parser.add_argument("--documents", type=int, default=2000, help="of the simulated corpus")
    parser.add_argument("--topics", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument(
        "--quick", action="store_true", help="without scvi-tools, which takes far longer"
    )
    parser.add_argument("--threads", type=int, default=2, help="for every method")
    parser.add_argument("--epochs", type=int, help="of exvae; by default its own")
    parser.add_argument("--scvi-epochs", type=int, default=100, help="of scvi-tools")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of exvae")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder to write")
    for hidden in ("--folder", "--measure", "--prepare"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Run the benchmark, or one step of it in a child; give the exit status."""
    arguments = parse_arguments()
    try:
        if arguments.folder is not None:
            run_step(arguments)
            return 0
        return benchmark(arguments)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2


def run_step(arguments: argparse.Namespace) -> None:
    """Do what :func:`run_child` has asked for and write the result."""
    folder = Path(arguments.folder)
    if arguments.prepare is not None:
        result = prepare(arguments.corpus, arguments.documents, arguments.topics, folder)
    else:
        options = {
            "num_topics": arguments.topics,
            "threads": arguments.threads,
            "epochs": arguments.epochs,
            "scvi_epochs": arguments.scvi_epochs,
            "device": arguments.device,
        }
        result = measure(arguments.measure, options, arguments.seeds[0], folder)
    (folder / "result.json").write_text(json.dumps(result))


def benchmark(arguments: argparse.Namespace) -> int:
    """Run every method and seed, and report; 1 if a method has failed."""
    passed_on = [
        *("--topics", str(arguments.topics), "--threads", str(arguments.threads)),
        *([] if arguments.epochs is None else ["--epochs", str(arguments.epochs)]),
        *("--scvi-epochs", str(arguments.scvi_epochs)),
        *("--device", arguments.device, "--documents", str(arguments.documents)),
    ]
    methods = [name for name in arguments.methods if not (arguments.quick and name == "scvi")]
    for name in [name for name in methods if not is_installed(name)]:
        print(f"{name}: is not installed; pip install '.[peers]'", file=sys.stderr)
        methods.remove(name)
    rows: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    failures = 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        corpus = [str(arguments.corpus)] if arguments.corpus else []
        about = run_child([*corpus, *passed_on, "--prepare", "yes"], arguments.threads, folder)
        about |= {"topics": arguments.topics, "threads": arguments.threads}
        # Seed by seed, so that a machine that slows down does so for all methods.
        for seed in arguments.seeds:
            for name in methods:
                if name == "scvi" and seed != arguments.seeds[0]:
                    continue
                step = [*passed_on, "--measure", name, "--seeds", str(seed)]
                try:
                    result = run_child(step, arguments.threads, folder)
                except DataError as error:
                    print(f"{name}, seed {seed}: failed: {error}", file=sys.stderr)
                    failures += 1
                    continue
                rows += result["rows"]
                curves += result["curves"]
                last = result["rows"][0]
                print(
                    f"{name}, seed {seed}: perplexity {last['perplexity']:.1f}, "
                    f"{last['training_seconds']:.1f} s of training",
                    file=sys.stderr,
                )
    if not rows:
        raise DataError("no method has given a result")
    from lda_report import write_report  # draws, which children need not load

    print(write_report(rows, curves, about, arguments.out))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
