"""Evidence of differential expression: calibrated, and isoforms lean on their gene."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exvae.experiments.isoforms.effect_prior import expected_false
from exvae.experiments.isoforms.expression_evidence import weigh_expression


def simulated(
    seed: int = 0, genes: int = 1500, changed: float = 0.5, switching: float = 0.2
) -> pd.DataFrame:
    """Draw changes of genes and of their isoforms' shares in two groups, seen with errors."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, 4, genes)
    gene = np.repeat(np.arange(genes), size)
    tables = []
    for group in ("a", "b"):
        of_gene = (rng.normal(0, 0.8, genes) * (rng.random(genes) < changed))[gene]
        share = rng.normal(0, 1, len(gene)) * (rng.random(genes) < switching)[gene]
        share[size[gene] == 1] = 0
        errors = {
            "gene": rng.uniform(0.1, 0.3, genes)[gene],
            "share": np.where(size[gene] > 1, rng.uniform(0.2, 0.8, len(gene)), 0.0),
        }
        noise = rng.normal(size=genes)[gene], rng.normal(size=len(gene))
        tables.append(
            pd.DataFrame(
                {
                    "gene": gene,
                    "group": group,
                    "truth": of_gene + share,
                    "gene_change": of_gene + errors["gene"] * noise[0],
                    "share_change": share + errors["share"] * noise[1],
                    "gene_error": errors["gene"],
                    "share_error": errors["share"],
                    "gene_freedom": 1e6,
                    "share_freedom": 1e6,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


@pytest.mark.parametrize("threshold", [0.25, 0.5])
def test_false_discoveries_are_as_many_as_expected(threshold: float) -> None:
    table = simulated()
    table = table.assign(probability=weigh_expression(table, threshold).probability)
    table = table.sort_values("probability", ascending=False)
    found = table[expected_false(table["probability"]) <= 0.05]
    assert len(found) > 400
    assert 0.025 < (found["truth"].abs() <= threshold).mean() < 0.075


def test_probabilities_and_means_are_calibrated() -> None:
    table = simulated(1)
    evidence = weigh_expression(table, 0.25)
    beyond = table["truth"].abs() > 0.25
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        chosen = (low <= evidence.probability) & (evidence.probability <= high)
        assert beyond[chosen].mean() == pytest.approx(evidence.probability[chosen].mean(), abs=0.06)
    raw = table["gene_change"] + table["share_change"]
    errors = [((values - table["truth"]) ** 2).mean() for values in (evidence.mean, raw)]
    assert errors[0] < 0.6 * errors[1]


def test_where_nothing_changes_nothing_is_found() -> None:
    table = simulated(changed=0.0, switching=0.0)
    assert weigh_expression(table, 0.25).probability.max() < 0.5


def test_isoforms_of_few_reads_lean_on_their_gene() -> None:
    table = simulated(switching=0.0)
    several = table["share_error"] > 0
    mean = weigh_expression(table, 0.25).mean
    left = np.mean((mean - table["truth"])[several] ** 2)
    # No worse known than their genes.
    assert left < np.mean(table["gene_error"][several] ** 2)


def test_genes_of_one_isoform_alone() -> None:
    table = simulated()
    alone = table[table["share_error"] == 0]
    evidence = weigh_expression(alone, 0.25)
    assert np.corrcoef(evidence.mean, alone["truth"])[0, 1] > 0.9
