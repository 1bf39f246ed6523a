"""Layers in little space, against draws: which entries are zero, and how far values move."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from exvae.data.genes import Genes
from exvae.experiments.isoforms.compact_layers import CompactLayers, compact_layers
from exvae.experiments.isoforms.expression import Scale, spaced_draws

DRAWS, CELLS, ISOFORMS = 400, 40, 30
GENES = Genes(torch.arange(ISOFORMS) // 3, ISOFORMS // 3)


@pytest.fixture(scope="module")
def draws() -> torch.Tensor:
    """Draw gamma variables of all means and spreads, shape (draws, cells, isoforms)."""
    rng = np.random.default_rng(0)
    mean, shape = (np.exp(rng.uniform(*ends, (CELLS, ISOFORMS))) for ends in ((-4, 7), (-1, 5)))
    values = rng.gamma(shape, mean / shape, (DRAWS, CELLS, ISOFORMS))
    return torch.from_numpy(values.astype(np.float32))


def compact(draws: torch.Tensor, level: str = "isoform", size: float = 1e4, **more: object):
    scales = {"expression": Scale(level), "expression_normalised": Scale(level, size)}
    return compact_layers(draws, GENES, scales, (0.025, 0.5), **more)


@pytest.mark.parametrize("level", ["isoform", "gene"])
@pytest.mark.parametrize("size", [100.0, 1e5])
def test_entries_are_zero_if_reads_are_improbable(
    draws: torch.Tensor, level: str, size: float
) -> None:
    normalised = draws * (size / draws.sum(-1, keepdim=True))
    depth = GENES.sums(draws) if level == "gene" else draws
    normalised = GENES.sums(normalised) if level == "gene" else normalised
    likely = ((own > 1).float().mean(0) >= 0.05 for own in (depth, normalised))
    expected = torch.stack(list(likely)).any(0).numpy()
    layers = compact(draws, level, size)
    found = layers.matrix("expression", expected.shape[1])
    places = np.zeros(expected.shape, bool)
    places[np.repeat(np.arange(CELLS), np.diff(found.indptr)), found.indices] = True
    np.testing.assert_array_equal(places, expected)
    assert 0 < expected.mean() < 1 or level == "gene"


def test_values_move_less_than_chance_moves_them(draws: torch.Tensor) -> None:
    layers = compact(draws)
    own = draws.double().numpy()
    normalised = own * (1e4 / own.sum(-1, keepdims=True))
    for name, values in (("expression", own), ("expression_normalised", normalised)):
        sd = values.std(0, ddof=1)
        error = sd / np.sqrt(DRAWS)
        of_logs = np.maximum(error / (1 + values.mean(0)), 1 / 16)
        checked = {
            name: (values.mean(0), np.maximum(error, 1 / 8)),
            f"{name}_sd": (sd, np.maximum(error / np.sqrt(2), 1 / 8)),
            f"{name}_log1p": (np.log1p(values).mean(0), of_logs),
        }
        if name == "expression":
            # The error of a sample quantile of a normal variable.
            checked["expression_q0.5"] = (
                np.median(values, 0),
                np.maximum(np.sqrt(np.pi / 2) * error, 1 / 8),
            )
        for layer, (exact, allowed) in checked.items():
            found = layers.matrix(layer, ISOFORMS)
            kept = found.toarray() > 0
            moved = np.abs(found.toarray() - exact)[kept]
            assert (moved <= allowed[kept] + 1e-4 * exact[kept]).all(), layer
            # A rounding to nothing finer than needed: halves of the steps occur.
            assert moved.max() > 0.3 * allowed[kept][moved.argmax()], layer


def test_rounded_values_have_few_bits(draws: torch.Tensor) -> None:
    """A value with a posterior as wide as itself needs about five of them."""
    values = compact(draws).values
    mantissas, _ = np.frexp(values["expression_sd"])
    assert len(np.unique(mantissas)) <= 64


def test_cells_are_joined_and_columns_chosen(draws: torch.Tensor) -> None:
    whole = compact(draws, num_replicates=3)
    joined = CompactLayers.joined(
        [compact(draws[:, rows], num_replicates=3) for rows in (slice(0, 7), slice(7, None))]
    )
    columns = np.array([2, 5, 29])
    some = compact(draws, columns=columns, num_replicates=3)
    assert list(whole.values)[-3:] == ["infRep1", "infRep2", "infRep3"]
    for name in whole.values:
        expected = whole.matrix(name, ISOFORMS)
        assert (joined.matrix(name, ISOFORMS) != expected).nnz == 0
        # Shares are of the whole cell at any number of columns only if they are chosen afterwards.
        assert (some.matrix(name, 3) != expected[:, columns]).nnz == 0


def test_replicates_are_draws_at_equal_distances(draws: torch.Tensor) -> None:
    chosen = spaced_draws(draws, 8)
    assert torch.equal(chosen, draws[::50])
    layers = compact(draws, num_replicates=8)
    error = draws.std(0).numpy() / np.sqrt(DRAWS)
    for number in range(8):
        found = layers.matrix(f"infRep{number + 1}", ISOFORMS).toarray()
        kept = layers.matrix("expression_sd", ISOFORMS).toarray() > 0
        moved = np.abs(found - chosen[number].numpy())[kept]
        assert (moved <= np.maximum(error, 1 / 8)[kept] + 1e-6).all()
