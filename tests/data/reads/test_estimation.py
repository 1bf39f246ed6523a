"""Estimates of expectation maximisation, against kallisto's rules written out for one problem."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from exvae.data.reads import estimation
from exvae.data.reads.class_probabilities import EquivalenceClasses


def classes_of(sets: list[list[int]], effective_lengths: np.ndarray) -> EquivalenceClasses:
    """Classes of each isoform alone, then these."""
    num_isoforms = len(effective_lengths)
    all_sets = [*([isoform] for isoform in range(num_isoforms)), *sets]
    members = np.zeros((len(all_sets), num_isoforms))
    for row, isoforms in zip(members, all_sets, strict=True):
        row[isoforms] = 1.0
    none = csr_matrix((num_isoforms, len(all_sets)))
    return EquivalenceClasses(csr_matrix(members), none, effective_lengths)


def draw_problem(seed: int) -> tuple[EquivalenceClasses, np.ndarray]:
    """Draw a dozen isoforms of similar lengths that share reads, and counts of their classes."""
    generator = np.random.default_rng(seed)
    sets = {
        tuple(sorted(generator.choice(12, generator.integers(2, 5), replace=False).tolist()))
        for _ in range(15)
    }
    classes = classes_of([list(each) for each in sets], generator.uniform(900, 1100, 12))
    rates = generator.gamma(0.3, 100.0, classes.members.shape[0])
    rates[:12] *= 0.1  # with few reads of their own it takes many rounds
    return classes, generator.poisson(rates)


def by_the_rules(classes: EquivalenceClasses, counts: np.ndarray) -> tuple[np.ndarray, int]:
    """One problem as kallisto 0.48 iterates it, class by class."""
    num_isoforms = len(classes.effective_lengths)
    alpha = np.full(num_isoforms, 1.0 / num_isoforms)
    is_last = False
    for number in range(10_000):
        update = counts[:num_isoforms].astype(float)
        for row, count in zip(classes.members[num_isoforms:], counts[num_isoforms:], strict=True):
            weighted = alpha[row.indices] / classes.effective_lengths[row.indices]
            if count and weighted.sum() > 0:
                update[row.indices] += count * weighted / weighted.sum()
        seen = update > 0.01
        changed = (np.abs(update - alpha)[seen] / update[seen] > 0.01).any()
        alpha = update
        if is_last:
            return alpha, number
        if not changed and number > 50:
            is_last = True
            alpha[alpha < 1e-8] = 0.0
    return alpha, 10_000


@pytest.mark.parametrize("seed", range(8))
def test_kallistos_rules_to_the_last_round(seed: int) -> None:
    classes, counts = draw_problem(seed)
    expected, rounds = by_the_rules(classes, counts)
    found = classes.estimate(counts[np.newaxis])
    assert found.rounds.tolist() == [rounds]
    np.testing.assert_allclose(found.counts[0], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found.counts[0] == 0, expected == 0)
    assert found.counts.sum() == pytest.approx(counts.sum())


def test_problems_of_a_batch_do_not_influence_each_other() -> None:
    classes, counts = draw_problem(0)
    generator = np.random.default_rng(1)
    problems = generator.multinomial(counts.sum(), counts / counts.sum(), 40)
    problems[7] = 0
    problems[8, 12:] = 0
    together = classes.estimate(problems)
    assert len(set(together.rounds.tolist())) > 10  # they end one after another
    for number, problem in enumerate(problems):
        alone = classes.estimate(problem[np.newaxis])
        assert alone.rounds[0] == together.rounds[number]
        np.testing.assert_allclose(alone.counts[0], together.counts[number], rtol=1e-9, atol=1e-12)


def test_reads_that_fit_one_isoform_need_no_estimate() -> None:
    classes = classes_of([[0, 1]], np.array([500.0, 800.0, 900.0]))
    found = classes.estimate(np.array([[3, 0, 5, 0], [0, 0, 0, 0]]))
    np.testing.assert_array_equal(found.counts, [[3, 0, 5], [0, 0, 0]])
    assert found.rounds.tolist() == [52, 52]
    # The same as where all classes are looked at.
    assert by_the_rules(classes, np.array([3, 0, 5, 0]))[1] == 52


def test_isoforms_that_cannot_be_told_apart() -> None:
    # Of the same length they share alike; otherwise the shorter explains the reads better.
    classes = classes_of([[0, 1], [2, 3]], np.array([700.0, 700.0, 700.0, 1400.0]))
    found = classes.estimate(np.array([[0, 0, 0, 0, 8, 8]]))
    np.testing.assert_allclose(found.counts, [[4.0, 4.0, 8.0, 0.0]])


def test_an_isoform_without_reads_of_its_own_goes_to_zero() -> None:
    classes = classes_of([[0, 1]], np.array([1000.0, 1000.0]))
    found = classes.estimate(np.array([[50, 0, 10]]))
    assert found.counts.tolist() == [[60.0, 0.0]]


def test_near_the_maximum_of_the_likelihood() -> None:
    classes, counts = draw_problem(3)
    # Reads everywhere: no isoform is on its way to zero when iteration stops.
    counts = 20 * (counts + 5)
    weights = classes.members.toarray() / classes.effective_lengths

    def loss(logits: np.ndarray) -> float:
        shares = np.exp(logits - np.logaddexp.reduce(logits))
        return -counts @ np.log(weights @ shares)

    best = minimize(loss, np.zeros(12), method="L-BFGS-B", options={"maxiter": 1000})
    found = classes.estimate(counts[np.newaxis]).counts[0]
    assert loss(np.log(found)) - best.fun < 1e-3 * counts.sum() ** 0.5
    optimum = np.exp(best.x - np.logaddexp.reduce(best.x)) * counts.sum()
    np.testing.assert_allclose(found, optimum, rtol=0.05)


def test_iteration_that_is_cut_off_sets_nothing_to_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    classes, counts = draw_problem(4)
    settled = classes.estimate(counts[np.newaxis])
    monkeypatch.setattr(estimation, "_MOST_ROUNDS", settled.rounds[0])
    cut_off = classes.estimate(counts[np.newaxis])
    assert cut_off.rounds.tolist() == settled.rounds.tolist()
    np.testing.assert_allclose(cut_off.counts, settled.counts, rtol=0.02, atol=0.01)
    monkeypatch.setattr(estimation, "_MOST_ROUNDS", 60)
    cut_off = classes.estimate(counts[np.newaxis])
    assert cut_off.rounds.tolist() == [60]
    gone = settled.counts == 0
    assert (cut_off.counts[gone] > 0).any()
    assert cut_off.counts.sum() == pytest.approx(counts.sum())
