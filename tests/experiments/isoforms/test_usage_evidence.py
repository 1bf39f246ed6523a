"""Evidence of differential usage: calibrated where what is assumed is true."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exvae.experiments.isoforms.usage_evidence import weigh

GROUPS = 5


def simulated(
    seed: int = 0, genes: int = 600, changed: float = 0.3, everywhere: bool = False
) -> pd.DataFrame:
    """Differences of five groups from the rest, in genes of which some change.

    Their usages change in one group or everywhere; they sum to one, and errors to zero.
    """
    rng = np.random.default_rng(seed)
    tables = []
    for gene in range(genes):
        size = (GROUPS, rng.integers(2, 5))
        usage = rng.normal(0, 0.3, size) * (rng.random() < changed)
        if not everywhere:
            usage *= np.arange(GROUPS)[:, None] == rng.integers(GROUPS)
        usage -= usage.mean(1, keepdims=True)
        scale = 0.08 * rng.gamma(2.0, 0.5)
        noise = rng.normal(0, scale, size)
        noise = (noise - noise.mean(1, keepdims=True)) * np.sqrt(size[1] / (size[1] - 1))
        truth, seen = (x - (x.sum(0) - x) / (GROUPS - 1) for x in (usage, usage + noise))
        table = pd.DataFrame({"truth": truth.ravel(), "difference": seen.ravel()})
        error = scale * np.sqrt(1 + 1 / (GROUPS - 1))
        tables.append(table.assign(gene=f"gene{gene}", standard_error=error))
    return pd.concat(tables, ignore_index=True).assign(degrees_of_freedom=1e6)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.1])
def test_false_discoveries_are_as_many_as_expected(threshold: float, everywhere: bool) -> None:
    """But for chance, or, where all groups differ, half as many more: see the module."""
    found = []
    for seed in range(3):
        differences = simulated(seed, everywhere=everywhere)
        beyond = differences["truth"].abs().groupby(differences["gene"]).max() > threshold
        genes = weigh(differences, threshold).genes
        found.append(genes.assign(false=~beyond[genes["gene"]].to_numpy()))
    found = pd.concat(found)
    for level in (0.05, 0.1, 0.2):
        false = found.loc[found["expected_fdr"] <= level, "false"]
        assert len(false) > 240
        chance = (level * (1 - level) / len(false)) ** 0.5
        assert false.mean() < (1.5 if everywhere else 1.0) * level + 2.5 * chance
        # Nor does it say less than it could.
        assert false.mean() > level / 2


def test_probable_differences_are_true() -> None:
    differences = simulated()
    probability = weigh(differences, 0.1).probability
    beyond = differences["truth"].abs() > 0.1
    for low, high in ((0.0, 0.1), (0.9, 1.0)):
        chosen = (low <= probability) & (probability <= high)
        assert chosen.sum() > 50
        assert beyond[chosen].mean() == pytest.approx(probability[chosen].mean(), abs=0.1)


@pytest.mark.parametrize("changed", [0.05, 0.3])
def test_the_share_of_genes_that_change_is_learned(changed: float) -> None:
    assert weigh(simulated(changed=changed), 0.0).changed == pytest.approx(changed, abs=0.12)


def test_where_nothing_changes_nothing_is_found() -> None:
    nothing = weigh(simulated(changed=0.0), 0.0)
    assert nothing.changed < 0.05
    assert (nothing.genes["expected_fdr"] > 0.05).all()


def test_differences_that_repeat_each_other_do_not_count_twice() -> None:
    once = simulated(genes=300)
    often = pd.concat([once] * 8, ignore_index=True)
    genes = [weigh(table, 0.0).genes.set_index("gene") for table in (once, often)]
    pd.testing.assert_frame_equal(genes[0], genes[1].loc[genes[0].index], rtol=1e-4, atol=1e-6)


def test_genes_are_in_the_order_of_their_evidence() -> None:
    genes = weigh(simulated(genes=200), 0.05).genes
    assert genes["gene_probability"].is_monotonic_decreasing
    assert genes["expected_fdr"].is_monotonic_increasing
    assert genes["gene"].is_unique
    assert genes["gene_probability"].between(0, 1).all()
