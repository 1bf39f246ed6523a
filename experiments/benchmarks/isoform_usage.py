"""Differential isoform usage of ``exvae isoforms usage`` beside common tests, with known truth.

Prints for each method the area under the ROC curve of its ranking of the genes with several
isoforms, and the number of reported and the share of false genes at nominal false discovery rates.
exvae compares bootstraps, and for models of reads the reads by class. The other methods are Welch's
t-tests of usage per cell and a chi-squared test of summed counts, both of the estimated counts, and
fishpond's swish where R has it; their p-values are adjusted by Bonferroni's method within genes and
by Benjamini and Hochberg's between genes.

    python experiments/benchmarks/isoform_usage.py CELLS.h5ad --truth TRUTH.npz

Truth is ``switching_genes`` of an .npz or, without it, ``var["switching"]`` of the cells. With
``--shuffled`` cells get the groups of others at random, so that every finding is false. With
``--replicates`` the cells of each group are divided at random among replicates, which exvae takes
into account.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata
import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, false_discovery_control, ttest_ind
from sklearn.metrics import roc_auc_score

from exvae.data.cells import Cells
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.isoforms.read_usage import read_usage_differences
from exvae.experiments.isoforms.settings import USAGE_THRESHOLD
from exvae.experiments.isoforms.usage_differences import usage_differences
from exvae.experiments.isoforms.usage_evidence import weigh

LEVELS = (0.01, 0.05, 0.1, 0.2)
_SWISH = """
suppressMessages(library(fishpond)); suppressMessages(library(SummarizedExperiment))
files <- commandArgs(trailingOnly=TRUE)
folder <- files[1]; isoforms <- as.integer(files[2]); cells <- as.integer(files[3])
replicates <- as.integer(files[4])
read <- function(name) matrix(readBin(file.path(folder, name), "double", isoforms * cells),
                              nrow=isoforms)
assays <- list(counts=read("counts"))
for (b in seq_len(replicates)) assays[[paste0("infRep", b)]] <- read(paste0("infRep", b))
genes <- readLines(file.path(folder, "genes")); groups <- readLines(file.path(folder, "groups"))
assays <- lapply(assays, function(m) {
  dimnames(m) <- list(paste0("i", seq_len(isoforms)), paste0("c", seq_len(cells))); m })
results <- NULL
for (group in unique(groups)) {
  y <- SummarizedExperiment(assays, rowData=DataFrame(gene_id=genes),
                            colData=DataFrame(side=factor(groups == group)))
  y <- labelKeep(y); y <- y[mcols(y)$keep, ]
  y <- isoformProportions(y, geneCol="gene_id", quiet=TRUE)
  set.seed(1); y <- swish(y, x="side", quiet=TRUE)
  results <- rbind(results, data.frame(gene=mcols(y)$gene_id, pvalue=mcols(y)$pvalue))
}
write.csv(results, file.path(folder, "swish.csv"), row.names=FALSE)
"""


def exvae(
    cells: Cells,
    groups: np.ndarray,
    replicates: np.ndarray | None,
    compare: Callable = usage_differences,
) -> tuple[pd.Series, pd.Series]:
    """Probability that each gene differs, and its expected false discovery rate; shape (genes,)."""
    evidence = weigh(compare(cells, groups, None, replicates), USAGE_THRESHOLD)
    table = evidence.genes.set_index("gene")
    return table["gene_probability"], table["expected_fdr"]


def reads(
    cells: Cells, groups: np.ndarray, replicates: np.ndarray | None
) -> tuple[pd.Series, pd.Series] | None:
    """Give the same from reads by class; None if the cells have none."""
    if not cells.has_reads:
        return None
    return exvae(cells, groups, replicates, read_usage_differences)


def welch(cells: Cells, groups: np.ndarray, _replicates: object) -> tuple[pd.Series, pd.Series]:
    """Test usages in the cells that express the gene, each group, (cells,), against the rest."""
    rows = []
    for gene, columns in _genes(cells):
        counts = cells.counts[:, columns].toarray()
        totals = counts.sum(1)
        usage, known = counts[totals > 0] / totals[totals > 0, None], groups[totals > 0]
        for name in np.unique(groups):
            own = known == name
            if min(own.sum(), (~own).sum()) > 1:
                with np.errstate(all="ignore"):
                    values = ttest_ind(usage[own], usage[~own], equal_var=False).pvalue
                rows += [(gene, value) for value in values if np.isfinite(value)]
    return _of_genes(pd.DataFrame(rows, columns=["gene", "pvalue"]))


def chi_squared(
    cells: Cells, groups: np.ndarray, _replicates: object
) -> tuple[pd.Series, pd.Series]:
    """Test whether the summed counts of isoforms and groups are independent."""
    rows = []
    for gene, columns in _genes(cells):
        counts = cells.counts[:, columns].toarray()
        table = np.stack([counts[groups == name].sum(0) for name in np.unique(groups)])
        table = table[table.sum(1) > 0][:, table.sum(0) > 0]
        if min(table.shape) > 1:
            rows.append((gene, chi2_contingency(table).pvalue))
    return _of_genes(pd.DataFrame(rows, columns=["gene", "pvalue"]))


def swish(
    cells: Cells, groups: np.ndarray, _replicates: object
) -> tuple[pd.Series, pd.Series] | None:
    """Run fishpond's swish on isoform proportions; None if R lacks it."""
    if shutil.which("Rscript") is None:
        return None
    with TemporaryDirectory() as name:
        folder = Path(name)
        layers = {"counts": cells.counts}
        layers |= {f"infRep{b}": layer for b, layer in enumerate(cells.bootstraps, 1)}
        for layer, values in layers.items():
            # R's matrices are stored by columns, which are cells.
            values.toarray().astype(np.float64).tofile(folder / layer)
        (folder / "genes").write_text("\n".join(cells.genes) + "\n")
        (folder / "groups").write_text("\n".join(groups) + "\n")
        (folder / "swish.R").write_text(_SWISH)
        sizes = cells.num_isoforms, cells.num_cells, len(cells.bootstraps)
        finished = subprocess.run(
            ["Rscript", folder / "swish.R", folder, *map(str, sizes)],
            capture_output=True,
            text=True,
        )
        if finished.returncode:
            print(f"swish failed: {finished.stderr.strip().splitlines()[-1]}")
            return None
        return _of_genes(pd.read_csv(folder / "swish.csv").dropna())


def _genes(cells: Cells):
    """Genes with several isoforms, and their columns."""
    by_gene = pd.Series(np.arange(cells.num_isoforms)).groupby(cells.genes)
    return [(gene, columns.to_numpy()) for gene, columns in by_gene if len(columns) > 1]


def _of_genes(tests: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Turn p-values of tests into scores of genes and adjusted p-values."""
    by_gene = tests.groupby("gene")["pvalue"]
    values = (by_gene.min() * by_gene.size()).clip(upper=1)
    adjusted = false_discovery_control(values.to_numpy())
    return -values, pd.Series(adjusted, values.index)


METHODS: dict[str, Callable] = {
    "exvae": exvae,
    "reads": reads,
    "t-test": welch,
    "chi-squared": chi_squared,
    "swish": swish,
}


def replicates_of(groups: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Divide the cells of each group among replicates at random; names, shape (cells,)."""
    names = np.empty(len(groups), object)
    for group in np.unique(groups):
        own = rng.permutation(np.flatnonzero(groups == group))
        names[own] = [f"{group} {place % number}" for place in range(len(own))]
    return names.astype(str)


def printed(score: pd.Series, rate: pd.Series, genes: pd.Index, switching: np.ndarray) -> str:
    """Describe the ranking of genes, and the findings at each nominal rate."""
    truth = genes.isin(switching)
    area = ""
    if truth.any():
        area = f"  AUC {roc_auc_score(truth, score.reindex(genes, fill_value=score.min())):.3f} "
    for level in LEVELS:
        found = rate.index[rate <= level]
        false = (~found.isin(switching)).mean() if len(found) else 0.0
        area += f"  at {level:.0%}: {len(found)} genes, {false:.1%} false"
    return area


def main() -> None:
    """Run all methods and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", type=Path)
    parser.add_argument("--truth", type=Path, help="an .npz with switching_genes")
    parser.add_argument("--groupby", default="cell_type", help="column of obs")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--shuffled", action="store_true", help="groups at random")
    parser.add_argument("--replicates", type=int, help="replicates of each group")
    parser.add_argument("--seed", type=int, default=0, help="of groups and replicates at random")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    cells = read_cells(options.cells)
    groups = cells.obs[options.groupby].astype(str).to_numpy()
    if options.shuffled:
        groups, switching = rng.permutation(groups), np.array([])
    elif options.truth:
        switching = np.load(options.truth)["switching_genes"]
    else:
        var = anndata.read_h5ad(options.cells, backed="r").var
        switching = var.loc[var["switching"], "gene"].unique()
    genes = pd.Index([gene for gene, _ in _genes(cells)])
    replicates = replicates_of(groups, options.replicates, rng) if options.replicates else None
    print(f"{len(genes)} genes with several isoforms, {genes.isin(switching).sum()} switch")
    for name in options.methods:
        started = time.perf_counter()
        result = METHODS[name](cells, groups, replicates)
        if result is None:
            print(f"{name:<12} is not installed, or the cells lack what it needs")
            continue
        seconds = time.perf_counter() - started
        print(f"{name:<12} {seconds:6.1f} s{printed(*result, genes, switching)}", flush=True)


if __name__ == "__main__":
    main()
