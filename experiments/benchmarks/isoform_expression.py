"""Differential expression of ``exvae isoforms de`` beside common tests, with known truth.

Every group of cells is compared with all others. The truth of an isoform is the log2 ratio of the
groups' mean expected expression, each cell normalised to one depth. A difference is real if its
absolute value exceeds the threshold (0.25), and null if it is below 0.1; isoforms that both groups
have, in truth, fewer than 0.02 reads of in a cell of mean depth count as never expressed and are
left out. Printed for each method: the area under the ROC curve (real against null) of its ranking
of isoforms and groups; and of its findings at a nominal false discovery rate of 5 %, their number,
the share of null ones among real and null ones, and the share of those below the threshold. The
latter is the claim of exvae and SCVI, but not of tests of a difference of exactly zero.

With ``--cells-per-group`` the methods see so many cells of each group, drawn at random, and the
truth is still of all. With ``--shuffled`` the cells of every group are split in two halves at
random: each finding is false, and their number is printed. With ``--spiked SHARE`` such halves
differ in a share of the genes, whose reads in one half are those of cells of another group. The
truth is then the difference between these groups, and exactly zero for the other genes.

    python experiments/benchmarks/isoform_expression.py CELLS.h5ad --truth TRUTH.npz

Without ``--truth`` the file holds it, as ``exvae isoforms simulate`` writes it.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.stats import false_discovery_control, mannwhitneyu, rankdata, ttest_ind
from sklearn.metrics import roc_auc_score

from exvae.data.cells import Cells, summarise
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import read_truth
from exvae.experiments.figures import scvi_tools
from exvae.experiments.isoforms.differences import differential_expression
from exvae.experiments.isoforms.groups import Grouping, comparisons
from exvae.experiments.isoforms.settings import EXPRESSION_THRESHOLD, LIBRARY_SIZE

NOMINAL = 0.05
NULL = 0.1
LEAST_READS = 0.02
PERMUTATIONS = 30


class Ranking(NamedTuple):
    """What a method says of each group and isoform, each of shape (groups, isoforms).

    Attributes
    ----------
    score
        Larger for surer differences.
    found
        Whether it is a finding at the nominal false discovery rate.
    """

    score: np.ndarray
    found: np.ndarray


class Data(NamedTuple):
    """Cells, the group of each, (cells,), and the truth that :func:`true_changes` gives."""

    cells: Cells
    groups: np.ndarray
    truth: tuple[np.ndarray, np.ndarray]


def exvae(cells: Cells, groups: np.ndarray) -> Ranking:
    """Rank by the probability of a difference beyond the threshold."""
    labelled = replace(cells, obs=cells.obs.assign(_group=groups))
    table = differential_expression(labelled, Grouping("_group"))
    names = [pair.group for pair in comparisons(groups, None)]
    wide = [
        table.pivot(index="group", columns="isoform", values=value).reindex(
            index=names, columns=cells.isoforms
        )
        for value in ("probability", "expected_fdr")
    ]
    return Ranking(wide[0].fillna(0).to_numpy(), (wide[1] <= NOMINAL).to_numpy())


def welch(cells: Cells, groups: np.ndarray) -> Ranking:
    """Welch's t-tests of the logarithms of normalised estimates."""
    values = np.log1p(normalised(cells.counts.toarray()))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of isoforms that no cell has
        tests = [
            ttest_ind(values[pair.own], values[pair.other], equal_var=False).pvalue
            for pair in comparisons(groups, None)
        ]
    return of_pvalues(np.stack(tests))


def wilcoxon(cells: Cells, groups: np.ndarray) -> Ranking:
    """Wilcoxon's rank tests of normalised estimates."""
    values = normalised(cells.counts.toarray())
    tests = [
        mannwhitneyu(values[pair.own], values[pair.other]).pvalue
        for pair in comparisons(groups, None)
    ]
    return of_pvalues(np.stack(tests))


def swish(cells: Cells, groups: np.ndarray) -> Ranking:
    """Test as fishpond's swish (Zhu et al., Nucleic Acids Research 47, 2019), written anew.

    The rank sum statistic, averaged over bootstraps, each normalised; its null distribution are the
    statistics of all isoforms under permuted groups. False discovery rates are q-values.
    """
    rng = np.random.default_rng(1)
    pairs = list(comparisons(groups, None))
    labels = [np.stack([pair.own, *_permuted(pair.own, pair.other, rng)]) for pair in pairs]
    sums = [0.0] * len(pairs)
    for bootstrap in cells.bootstraps:
        values = normalised(bootstrap.toarray())
        for number, pair in enumerate(pairs):
            both = pair.own | pair.other
            ranks = np.zeros_like(values)
            ranks[both] = rankdata(values[both], axis=0)
            sizes = pair.own.sum(), pair.other.sum()
            centre = sizes[0] * (sum(sizes) + 1) / 2
            sums[number] = sums[number] + labels[number].astype(float) @ ranks - centre
    statistics = [np.abs(own / len(cells.bootstraps)) for own in sums]
    score = np.stack([own[0] / own[1:].std() for own in statistics])
    found = []
    for own in statistics:
        null = np.sort(own[1:].ravel())
        above = null.size - np.searchsorted(null, own[0])
        found.append(q_values((above + 1) / (null.size + 1)) <= NOMINAL)
    return Ranking(score, np.stack(found))


def scvi(cells: Cells, groups: np.ndarray) -> Ranking | None:
    """Differential expression of SCVI, mode ``change``; None without scvi-tools."""
    if not scvi_tools.is_installed():
        return None
    model = scvi_tools.fit_scvi(np.rint(cells.counts.toarray()), None, 0)
    scores, found = [], []
    for pair in comparisons(groups, None):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = model.differential_expression(
                idx1=np.flatnonzero(pair.own),
                idx2=np.flatnonzero(pair.other),
                mode="change",
                delta=EXPRESSION_THRESHOLD,
                fdr_target=NOMINAL,
                silent=True,
            )
        table = table.loc[[str(number) for number in range(cells.num_isoforms)]]
        scores.append(table["proba_de"].to_numpy())
        found.append(table[f"is_de_fdr_{NOMINAL}"].to_numpy(bool))
    return Ranking(np.stack(scores), np.stack(found))


METHODS: dict[str, Callable[[Cells, np.ndarray], Ranking | None]] = {
    "exvae": exvae,
    "swish": swish,
    "wilcoxon": wilcoxon,
    "t-test": welch,
    "scvi": scvi,
}


def normalised(counts: np.ndarray) -> np.ndarray:
    """Scale cells to one sum of reads, shape (cells, isoforms)."""
    return counts * (LIBRARY_SIZE / np.maximum(counts.sum(1, keepdims=True), 1e-9))


def of_pvalues(pvalues: np.ndarray) -> Ranking:
    """Rank by p-values, (groups, isoforms); NaN are no evidence; adjusted in each group."""
    pvalues = np.where(np.isfinite(pvalues), pvalues, 1.0)
    found = np.stack([false_discovery_control(own) <= NOMINAL for own in pvalues])
    return Ranking(-pvalues, found)


def q_values(pvalues: np.ndarray) -> np.ndarray:
    """Storey's q-values, the share of null tests from p-values above one half."""
    null = min(1.0, 2 * (pvalues > 0.5).mean())
    return null * false_discovery_control(pvalues)


def _permuted(own: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Permute which cells are in the first group, shape (cells,), bool."""
    both = np.flatnonzero(own | other)
    for _ in range(PERMUTATIONS):
        labels = np.zeros_like(own)
        labels[rng.permutation(both)[: own.sum()]] = True
        yield labels


def true_changes(expected: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give true log2 fold changes, and the larger mean of both groups (reads).

    Both have shape (groups, isoforms).
    """
    values = expected / expected.sum(1, keepdims=True)
    changes, levels = [], []
    for pair in comparisons(groups, None):
        means = values[pair.own].mean(0), values[pair.other].mean(0)
        with np.errstate(all="ignore"):
            changes.append(np.log2(means[0] / means[1]))
        levels.append(np.maximum(*means) * expected.sum(1).mean())
    return np.stack(changes), np.stack(levels)


def selected(cells: Cells, rows: np.ndarray) -> Cells:
    """Take some cells, by position."""
    bootstraps = tuple(layer[rows] for layer in cells.bootstraps)
    return replace(
        cells,
        names=cells.names[rows],
        counts=cells.counts[rows],
        bootstraps=bootstraps,
        summary=summarise(bootstraps),
        num_bootstraps=np.full(len(rows), len(bootstraps)),
        obs=cells.obs.iloc[rows],
        batches=cells.batches[rows],
    )


def drawn(groups: np.ndarray, number: int | None, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``number`` cells of each group, or of all cells, in their order."""
    if number is None:
        return np.arange(len(groups))
    places = (np.flatnonzero(groups == name) for name in np.unique(groups))
    return np.sort(np.concatenate([rng.permutation(own)[:number] for own in places]))


def compare(sets: list[Data], methods: list[str]) -> None:
    """Run methods on sets of cells, and print how they rank and what they find in all of them."""
    changes, levels = (
        np.concatenate(part) for part in zip(*(own.truth for own in sets), strict=True)
    )
    expressed = levels > LEAST_READS
    real = expressed & (np.abs(changes) > EXPRESSION_THRESHOLD)
    null = expressed & (np.abs(changes) < NULL)
    print(f"{expressed.sum()} isoforms and groups, {real.sum()} real, {null.sum()} null")
    for name in methods:
        results = [own for data in sets for own in run(data.cells, data.groups, [name])]
        if not results:
            continue
        score, calls = (
            np.concatenate(part) for part in zip(*(own[1] for own in results), strict=True)
        )
        area = roc_auc_score(real[real | null], score[real | null])
        found = calls & expressed
        false = (found & null).sum() / max(1, (found & (null | real)).sum())
        below = (found & ~real).sum() / max(1, found.sum())
        print(
            f"{name:<10} {sum(own[2] for own in results):6.1f} s  AUC {area:.3f}  at "
            f"{NOMINAL:.0%}: {found.sum()} found, {false:.1%} of no difference, {below:.1%} below "
            "the threshold",
            flush=True,
        )


def compare_halves(
    cells: Cells, groups: np.ndarray, methods: list[str], rng: np.random.Generator
) -> None:
    """Split the cells of every group in two at random, and print how much methods find."""
    counts = dict.fromkeys(methods, 0)
    tests = 0
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        halves = np.where(rng.permutation(len(rows)) % 2, "a", "b")
        tests += cells.num_isoforms
        for method, ranking, _ in run(selected(cells, rows), halves, methods):
            counts[method] += int(ranking.found.sum())
    for method, number in counts.items():
        print(f"{method:<10} {number} false findings among {tests} isoforms")


def spiked(
    cells: Cells, expected: np.ndarray, groups: np.ndarray, share: float, rng: np.random.Generator
) -> Iterator[Data]:
    """Split each group in halves; one has a share of the genes from cells of the next group."""
    values = expected / expected.sum(1, keepdims=True)
    names = np.unique(groups)
    for name, donor in zip(names, np.roll(names, -1), strict=True):
        own, others = (rng.permutation(np.flatnonzero(groups == own)) for own in (name, donor))
        half = len(own) // 2
        kept = len(own) - half
        halves = np.repeat(["a", "b"], [kept, half])
        source = np.concatenate([own[:kept], rng.choice(others, half)])
        changed = np.isin(cells.genes, _some(np.unique(cells.genes), share, rng))
        plain, foreign = selected(cells, own), selected(cells, source)
        layers = tuple(
            _joined(a, b, changed)
            for a, b in zip(plain.bootstraps, foreign.bootstraps, strict=True)
        )
        mixed = replace(
            plain,
            counts=_joined(plain.counts, foreign.counts, changed),
            bootstraps=layers,
            summary=summarise(layers),
        )
        means = [values[groups == group].mean(0) for group in (donor, name)]
        with np.errstate(all="ignore"):
            changes = np.where(changed, np.log2(means[0] / means[1]), 0.0)
        levels = np.maximum(np.where(changed, means[0], 0.0), means[1]) * expected.sum(1).mean()
        yield Data(mixed, halves, (changes[None], levels[None]))


def _some(values: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Choose a share of the values at random."""
    return rng.permutation(values)[: round(share * len(values))]


def _joined(plain: csr_matrix, foreign: csr_matrix, changed: np.ndarray) -> csr_matrix:
    """Take the changed columns, (columns,), from the second matrix."""
    kept = diags((~changed).astype(np.float32))
    joined = csr_matrix(plain @ kept + foreign @ diags(changed.astype(np.float32)))
    joined.eliminate_zeros()
    return joined


def run(
    cells: Cells, groups: np.ndarray, methods: list[str]
) -> Iterator[tuple[str, Ranking, float]]:
    """Yield name, ranking and seconds of each method that is installed."""
    for name in methods:
        started = time.perf_counter()
        ranking = METHODS[name](cells, groups)
        if ranking is None:
            print(f"{name:<10} is not installed")
        else:
            yield name, ranking, time.perf_counter() - started


def main() -> None:
    """Run all methods and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--truth", type=Path, help="an .npz with expected")
    parser.add_argument("--groupby", default="cell_type", help="column of obs")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--cells-per-group", type=int, help="default: all cells")
    parser.add_argument("--shuffled", action="store_true", help="split groups at random")
    parser.add_argument("--spiked", type=float, help="share of genes that halves differ in")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    cells = read_cells(options.cells)
    groups = cells.obs[options.groupby].astype(str).to_numpy()
    expected = read_truth(options.truth or options.cells, cells).expected
    truth = true_changes(expected, groups)
    rows = drawn(groups, options.cells_per_group, rng)
    if len(rows) < len(groups):
        cells, groups, expected = selected(cells, rows), groups[rows], expected[rows]
    print(f"{cells.num_cells} cells in {len(np.unique(groups))} groups")
    if options.shuffled:
        compare_halves(cells, groups, options.methods, rng)
    elif options.spiked is not None:
        sets = list(spiked(cells, expected, groups, options.spiked, rng))
        compare(sets, options.methods)
    else:
        compare([Data(cells, groups, truth)], options.methods)


if __name__ == "__main__":
    main()
