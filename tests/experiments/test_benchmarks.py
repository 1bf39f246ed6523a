"""Every benchmark script runs as a command line, with tiny sizes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from exvae.data.corpora import write_corpus
from exvae.data.corpus_formats import read_corpus
from exvae.data.simulators.documents import simulate_corpus
from exvae.experiments.commands import simulate_isoforms as isoform_simulate_command
from exvae.experiments.demo import simulate_isoforms

SCRIPTS = Path(__file__).resolve().parents[2] / "experiments" / "benchmarks"
COMMANDS = {
    "bench.py": ["--tiny", "--repeats", "1"],
    "lda.py": ["--documents", "200", "--topics", "3", "--seeds", "0", "--epochs", "2"],
    "lda_memory.py": ["--documents", "300", "600"],
    "bootstrap_likelihood.py": ["--cells", "4", "--isoforms", "60", "--repeats", "1"],
    "isoform_cost.py": [
        *("--cells", "30", "--isoforms", "400", "--bootstraps", "4", "--layers", "2"),
        *("--min-cells", "2", "--export-cells", "2"),
    ],
    "isoform_check.py": [],
    "isoform_export.py": ["--epochs", "1"],
    "cells_from_disk.py": ["--cells", "256", "--in-memory", "256", "--steps", "3"],
    "gpu.py": [
        *("--device", "cpu", "--cells", "30", "--isoforms", "30", "--batch", "10"),
        *("--exported", "3", "--repeats", "1"),
    ],
    "profile_commands.py": ["--epochs", "1", "--cells", "8"],
    "distributed.py": [
        *("--repeats", "1", "--epochs", "2", "--cells", "30", "--isoforms", "30", "--batch", "8"),
        *("--documents", "60", "--topics", "3", "--vocabulary", "50", "--words", "20"),
    ],
    "isoform_import.py": ["--cells", "6", "--repeats", "1"],
    "isoform_training.py": [
        *("--cells", "6", "--isoforms", "40", "--bootstraps", "4", "--read", "2", "--steps", "1")
    ],
    "likelihood_stress.py": ["--points", "2", "--gradients", "1"],
    "reads_accuracy.py": ["--numbers", "20", "40", "--seeds", "0", "1", "--epochs", "2"],
    "reads_completion.py": ["--epochs", "2"],
    "reads_cost.py": [
        *("--reads", "100", "--classes", "60", "--isoforms", "30", "--cells", "10"),
        *("--repeats", "1"),
    ],
    "report.py": ["--cells", "30"],
    "reliability.py": ["--kills", "3", "--others", "1"],
    "symsim.py": ["--cells", "40", "--genes", "30"],
    "isoform_simulation.py": ["--cells", "10", "--isoforms", "30", "--bootstraps", "2"],
    "isoform_usage.py": ["--methods", "exvae", "reads", "t-test", "chi-squared"],
    "isoform_expression.py": ["--methods", "exvae", "swish", "wilcoxon", "t-test"],
    "isoform_groups.py": ["--cells-per-group", "8", "--epochs", "3", "--fit-drawn"],
    "scvi_agreement.py": [
        *("--cells", "30", "--isoforms", "24", "--epochs", "1", "--long", "1"),
        *("--samples", "2", "--seeds", "0"),
    ],
    "isoform_batches.py": ["--cells", "40", "--isoforms", "40", "--seeds", "0"],
    "topic_coherence.py": ["--topics", "3", "--seeds", "0", "1", "--epochs", "2"],
    "topic_uncertainty.py": [
        *("--lengths", "20", "--seeds", "0", "1", "--topics", "3", "--documents", "150"),
        *("--held-out", "40", "--epochs", "2", "--samples", "20"),
    ],
    "isoform_states.py": ["--seeds", "0", "--epochs", "1", "--scvi-epochs", "1"],
}


def run(script: str, *options: str) -> str:
    finished = subprocess.run(
        [sys.executable, SCRIPTS / script, *COMMANDS[script], *options],
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_no_script_escapes() -> None:
    runnable = {path.name for path in SCRIPTS.glob("*.py") if "__main__" in path.read_text()}
    assert runnable == set(COMMANDS)


@pytest.mark.slow
def test_nothing_is_lost_whatever_ends_a_command() -> None:
    printed = run("reliability.py")
    assert printed.count("| `kill -9` at a random moment | 3 | 3 |") == 2 * 7  # told and repeated
    assert re.search(r"missing file takes \d\.\d s", printed)


@pytest.mark.slow
def test_the_comparison_of_topic_models(tmp_path: Path) -> None:
    printed = run("lda.py", "--methods", "exvae", "--out", str(tmp_path))
    assert "exvae refined" in printed
    table = pd.read_csv(tmp_path / "lda_benchmark.csv")
    assert (table["perplexity"] > 1).all()
    assert (tmp_path / "lda_benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.peers
def test_the_comparison_with_peers(tmp_path: Path) -> None:
    pytest.importorskip("tomotopy", reason='needs the extra "peers"')
    methods = ["exvae", "sklearn-online", "sklearn-batch", "gensim", "tomotopy", "scvi"]
    run("lda.py", "--methods", *methods, "--scvi-epochs", "1", "--out", str(tmp_path))
    table = pd.read_csv(tmp_path / "lda_benchmark.csv")
    assert len(table) >= len(methods)
    assert (table["perplexity"] > 1).all()


@pytest.mark.slow
def test_memory_and_time_as_the_corpus_grows(tmp_path: Path) -> None:
    printed = run("lda_memory.py", "--out", str(tmp_path))
    rows = [line.split() for line in printed.splitlines()[1:3]]
    corpora = [read_corpus(tmp_path / f"documents_{number}.npz") for number in (300, 600)]
    assert [int(row[0]) for row in rows] == [corpus.num_documents for corpus in corpora]
    # The fit holds 15 % of the documents out.
    trained = [0.85 * corpus.num_tokens for corpus in corpora]
    assert [int(row[3]) for row in rows] == pytest.approx(trained, rel=1e-3)
    assert all(float(value) > 0 for row in rows for value in row[:-1])
    # Words are mapped from the file at four bytes each.
    grown = 4 * (corpora[1].num_tokens - corpora[0].num_tokens) / 300
    assert f"{grown:.0f} of them words mapped from the file" in printed


def test_memory_of_simulation() -> None:
    printed = run("lda_memory.py", "--only-simulate")
    assert "memory of simulation grows" in printed
    assert "fit" not in printed


@pytest.mark.slow
def test_the_import_as_cells_grow() -> None:
    printed = run("isoform_import.py")
    assert "6 cells" in printed
    assert "ten times the cells" in printed


@pytest.mark.slow
def test_the_cost_of_an_experiment(tmp_path: Path) -> None:
    printed = run("isoform_cost.py", "--folder", str(tmp_path))
    assert "30 cells x 400 isoforms x 4 bootstraps, 2 in the file" in printed
    for command in ("make", "filter", "read", "fit", "export"):
        assert re.search(rf"^{command}.*: \d+ s .* GiB at the peak", printed, re.MULTILINE)
    kept = anndata.read_h5ad(tmp_path / "filtered.h5ad")
    assert f"{kept.n_vars} isoforms left" in printed
    assert sum(name.startswith("infRep") for name in kept.layers) == 2


@pytest.mark.slow
def test_the_cost_of_a_report(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    simulate_isoforms(path, 24, 12, 4, num_types=2, depth=240.0, seed=0)
    printed = run("report.py", str(path))
    assert "30 cells of 12 isoforms, a page of 2." in printed
    assert re.search(r"report: \d+ s of computing, of which draws take \d+ s", printed)


@pytest.mark.slow
def test_the_cost_of_an_export(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    simulate_isoforms(path, 24, 12, 4, num_types=2, depth=240.0, seed=0)
    printed = run("isoform_export.py", str(path))
    assert "export of 24 cells" in printed
    assert re.search(r"^export / fit of \d+ epochs .*: \d+\.\d+$", printed, re.MULTILINE)
    assert re.search(r"^draws, moments, quantiles +\d+\.\d+ s$", printed, re.MULTILINE)


@pytest.mark.slow
def test_the_cost_of_cells_on_disk() -> None:
    printed = run("cells_from_disk.py")
    assert "256 cells, " in printed
    for where in ("disk", "memory"):
        assert re.search(
            rf"^  {where}: peak after .* cells per second [1-9]", printed, re.MULTILINE
        )


@pytest.mark.slow
def test_the_cost_of_a_check(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    simulate_isoforms(path, 24, 12, 4, num_types=2, depth=240.0, seed=0)
    printed = run("isoform_check.py", str(path), "--", "--epochs", "1")
    seconds = [
        float(re.search(rf"^{name}: (\d+\.\d) s", printed, re.MULTILINE)[1])
        for name in ("check", "fit")
    ]
    ratio = float(re.search(r"^check / fit: (\d+\.\d+)$", printed, re.MULTILINE)[1])
    assert ratio == pytest.approx(seconds[0] / seconds[1], abs=0.1)
    assert "cells: 24; replicates: 20" in printed


@pytest.mark.slow
def test_the_cost_of_the_likelihood() -> None:
    printed = run("bootstrap_likelihood.py")
    assert "100 against 2" in printed
    assert "paper's grid" in printed


def test_errors_of_the_likelihood() -> None:
    rows = [line.split() for line in run("likelihood_stress.py").splitlines()[2:]]
    assert len(rows) == 4
    assert all(float(row[1]) < 1e-2 for row in rows), rows
    assert all(row[-1] == "0" for row in rows), rows


@pytest.mark.slow
def test_the_cost_of_a_training_step() -> None:
    printed = run("isoform_training.py")
    for name in ("effective reads", "paper's model", "our SCVI"):
        found = re.search(rf"^{name} +(\d+\.\d+) s per step", printed, re.MULTILINE)
        assert float(found.group(1)) > 0


@pytest.mark.slow
def test_the_time_of_several_processes() -> None:
    found = re.findall(
        r"^(.*), \d+ .*: (\d+\.\d+) s \S+ \S+ in 1 process, (\d+\.\d+) s in 2; (\d+\.\d+) x",
        run("distributed.py"),
        re.MULTILINE,
    )
    assert len(found) == 2
    assert all(float(ratio) > 0 for *_, ratio in found)


def test_the_cost_of_simulated_cells() -> None:
    printed = run("symsim.py")
    assert "40 cells x 30 genes" in printed
    assert "MiB at the peak" in printed


def test_the_simulation_as_cells_grow() -> None:
    printed = run("isoform_simulation.py")
    assert "equivalence classes" in printed
    assert "10 cells x 30 isoforms x 2 bootstraps, 300 reads per cell" in printed


def test_the_comparison_of_differential_usage(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    isoform_simulate_command.simulate(
        path, cells=80, isoforms=80, bootstraps=3, expression="simple", reads=True
    )
    printed = run("isoform_usage.py", "--", str(path))
    assert "genes with several isoforms" in printed
    assert printed.count("AUC") == 4
    printed = run("isoform_usage.py", "--shuffled", "--replicates", "4", "--", str(path))
    assert ", 0 switch" in printed
    found = re.findall(r"at 5%: (\d+) genes, (\d+\.\d)% false", printed)
    assert len(found) == 4
    assert all(share == ("100.0" if int(number) else "0.0") for number, share in found)


@pytest.mark.slow
def test_the_comparison_of_differential_expression(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    isoform_simulate_command.simulate(
        path, cells=80, isoforms=80, bootstraps=3, expression="simple"
    )
    printed = run("isoform_expression.py", "--cells-per-group", "12", "--", str(path))
    assert "60 cells in 5 groups" in printed
    areas = [float(area) for area in re.findall(r"AUC (\d\.\d+)", printed)]
    assert len(areas) == 4
    assert min(areas) > 0.6
    printed = run("isoform_expression.py", "--spiked", "0.3", "--", str(path))
    real, null = map(int, re.search(r"(\d+) real, (\d+) null", printed).groups())
    assert null > real > 0
    printed = run("isoform_expression.py", "--shuffled", "--", str(path))
    assert printed.count("false findings among 400 isoforms") == 4


@pytest.fixture(scope="module")
def cells_with_reads(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    isoform_simulate_command.simulate(
        path, cells=40, isoforms=40, bootstraps=3, expression="simple", reads=True
    )
    return str(path)


def test_the_cost_of_sweeps() -> None:
    printed = run("reads_cost.py")
    times = re.findall(r"^\| (\w+) \| (\d+) \| (\d+\.\d+) \| (\d+\.\d+) \|$", printed, re.M)
    varied = [name for name, *_ in times]
    assert {name: varied.count(name) for name in varied} == dict.fromkeys(
        ("reads", "classes", "isoforms", "cells"), 5
    )
    assert all(float(sweep) > 0 < float(division) for *_, sweep, division in times)
    assert len(re.findall(r"^\| \w+ \| -?\d\.\d\d \| -?\d\.\d\d \|$", printed, re.M)) == 4


@pytest.mark.slow
def test_completion_by_all_models(cells_with_reads: str) -> None:
    printed = run("reads_completion.py", cells_with_reads, "--truth", cells_with_reads)
    number = r"(-?\d+\.\d+) ± \d+\.\d+"
    rows = re.findall(rf" {number} +{number}$", printed, re.MULTILINE)
    scores, gaps = np.array(rows, float).T
    assert len(scores) == 6 + 3
    assert scores.argmax() == 8, "the truth predicts best"
    np.testing.assert_allclose(gaps, scores[0] - scores, atol=2e-4)


@pytest.mark.slow
def test_accuracy_by_ambiguity_and_cells(cells_with_reads: str, tmp_path: Path) -> None:
    printed = run("reads_accuracy.py", cells_with_reads, "--out", str(tmp_path / "reads.png"))
    by_number, by_ambiguity = printed.split("\n\n")[:2]
    rows = [line.rsplit(maxsplit=10) for line in by_number.splitlines()[1:]]
    assert [int(row[1]) for row in rows] == 2 * [20, 20, 40, 40]
    assert [int(row[2]) for row in rows] == 4 * [0] + 4 * [1]
    assert len(by_ambiguity.strip().splitlines()) == 1 + 2 * 5
    for _, _, _, _, error, coverage, width, error_of_all, intervals, of_all, types in rows:
        assert float(error) > 0 < float(width)
        assert float(error_of_all) > 0
        assert float(types) <= 1
        # The share of 80 % intervals, as a share and in the middle of three in percent.
        shares = [float(share) / 100 for share in intervals.split("/")]
        assert shares[1] == pytest.approx(float(coverage), abs=1e-3)
        for low, middle, high in (shares, [float(share) / 100 for share in of_all.split("/")]):
            assert 0.1 < low < middle < high <= 1
    assert (tmp_path / "reads.png").read_bytes().startswith(b"\x89PNG")


def test_intervals_of_group_means(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    simulate_isoforms(path, 40, 24, 4, num_types=2, depth=240.0, seed=0)
    printed = run("isoform_groups.py", str(path))
    shares = re.findall(r"16 cells, (isoform|gene)s: (\d+\.\d)% of \d+ intervals", printed)
    assert [level for level, _ in shares] == ["isoform", "gene"]
    assert min(float(share) for _, share in shares) > 70


@pytest.mark.slow
def test_the_comparison_of_cell_states(tmp_path: Path) -> None:
    path = tmp_path / "cells.h5ad"
    simulate_isoforms(path, 24, 12, 4, num_types=2, depth=240.0, seed=0)
    printed = run("isoform_states.py", str(path))
    assert "exvae" in printed
    assert "ARI" in printed


@pytest.mark.slow
@pytest.mark.peers
def test_the_correction_of_batches() -> None:
    pytest.importorskip("harmonypy", reason='needs the extra "peers"')
    pytest.importorskip("scvi", reason='needs the extra "peers"')
    printed = run("isoform_batches.py")
    assert printed.count("mixing") == 5


@pytest.mark.slow
def test_the_agreement_of_two_scvi(tmp_path: Path) -> None:
    printed = run("scvi_agreement.py", "--out", str(tmp_path / "losses.csv"))
    assert "ours: defaults" in printed
    losses = pd.read_csv(tmp_path / "losses.csv")
    assert (losses["held_out"] > 0).all()


@pytest.mark.slow
def test_the_coverage_of_topic_proportions() -> None:
    """A row for each seed and way to infer, then the means of both seeds."""
    printed = run("topic_uncertainty.py")
    header, *lines = printed.split("each seed\n")[1].split("\n\n")[0].splitlines()
    assert header.split()[:4] == ["words", "alpha", "seed", "found"]
    rows = [[float(part) for part in re.findall(r"\d+\.\d+", line)] for line in lines]
    assert len(rows) == 6
    means = [
        [float(part) for part in re.findall(r"\d+\.\d+", line)]
        for line in printed.split("means over seeds\n")[1].splitlines()[1:4]
    ]
    for number, mean in enumerate(means):
        covered = [rows[number][2:8], rows[number + 3][2:8]]
        for one, other, expected in zip(*covered, mean[3:9], strict=True):
            assert (one + other) / 2 == pytest.approx(expected, abs=0.011)
            assert 0 <= expected <= 100
    # Draws given the true topics and concentration have the right coverage, whatever the fit.
    assert all(row[2:5] == pytest.approx([50, 80, 95], abs=12) for row in rows[2::3])


@pytest.mark.slow
@pytest.mark.peers
def test_the_coherence_of_topic_models(tmp_path: Path) -> None:
    pytest.importorskip("gensim", reason='needs the extra "peers"')
    corpus = tmp_path / "corpus.npz"
    write_corpus(simulate_corpus(200, 3, 100, 30).corpus, corpus)
    printed = run("topic_coherence.py", str(corpus), "--methods", "exvae", "sklearn-online")
    lines = printed.split("medians over seeds\n")[1].splitlines()[1:3]
    assert [line.split()[0] for line in lines] == ["exvae", "sklearn-online"]
    for line in lines:
        perplexity, *coherences = [float(part) for part in line.split()[1:]]
        assert 1 < perplexity < 100
        assert len(coherences) == 4
        assert all(-1 <= value <= 1 for value in coherences)
