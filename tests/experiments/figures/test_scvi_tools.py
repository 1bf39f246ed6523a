"""SCVI of scvi-tools: the arguments that it gets, and the likelihood that it finds."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from exvae.experiments.figures import scvi_tools


@pytest.fixture
def calls(monkeypatch) -> dict[str, tuple]:
    """Put a stand-in for scvi-tools in its place, and keep the arguments of the calls."""
    calls: dict[str, tuple] = {}

    class SCVI:
        def __init__(self, cells, **options) -> None:
            calls["init"] = (cells.X, options)

        @staticmethod
        def setup_anndata(cells, batch_key: str | None) -> None:
            calls["setup"] = (cells.X, batch_key)

        def train(self, epochs, **options) -> None:
            calls["train"] = (epochs, options)

        def get_marginal_ll(self, cells, **options) -> float:
            calls["score"] = (cells.X, options)
            return -12.0

    stand_in = SimpleNamespace(settings=SimpleNamespace(), model=SimpleNamespace(SCVI=SCVI))
    monkeypatch.setitem(sys.modules, "scvi", stand_in)
    calls["settings"] = stand_in.settings
    return calls


def test_options_and_seed_arrive(calls: dict[str, tuple]) -> None:
    counts = np.arange(12).reshape(4, 3)
    scvi_tools.fit_scvi(counts, 7, 5, training={"batch_size": 2}, n_hidden=8)
    assert calls["settings"].seed == 5
    np.testing.assert_array_equal(calls["setup"][0], counts)
    assert calls["setup"][1] is None
    assert calls["init"][1] == {"n_hidden": 8}
    epochs, options = calls["train"]
    assert (epochs, options["batch_size"]) == (7, 2)
    scvi_tools.fit_scvi(counts, 1, 5, batches=np.array([0, 0, 1, 1]))
    assert calls["setup"][1] == "batch"


def test_cells_held_out_are_scored_and_not_trained_on(calls: dict[str, tuple]) -> None:
    counts = np.arange(12).reshape(4, 3)
    loss = scvi_tools.loss_of_held_out(counts, np.array([1, 3]), None, 0, 9)
    np.testing.assert_array_equal(calls["init"][0], counts[[0, 2]])
    assert calls["train"][1]["train_size"] == 1.0
    scored, options = calls["score"]
    np.testing.assert_array_equal(scored, counts[[1, 3]])
    assert options["n_mc_samples"] == 9
    assert loss == 4.0  # nats per cell over three isoforms


@pytest.mark.slow
@pytest.mark.peers
def test_the_likelihood_is_possible() -> None:
    pytest.importorskip("scvi", reason='needs the extra "peers"')
    generator = np.random.default_rng(0)
    counts = generator.poisson(generator.gamma(2.0, 5.0, (1, 15)), (60, 15))
    # All cells are one minibatch: an epoch is one step.
    loss = scvi_tools.loss_of_held_out(counts, np.arange(10), 300, 0, 20)
    # The loss of the Poisson distribution with the true means is 2.3.
    assert 2.0 < loss < 4.5
