"""Pictures of cells in a plane."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from exvae.experiments.drawing import embeddings
from exvae.experiments.drawing.embeddings import (
    draw_states,
    draw_values,
    embed,
    map_to_plane,
    principal_components,
)
from exvae.experiments.drawing.style import new_figure


def test_principal_components() -> None:
    states = np.random.default_rng(0).normal(size=(50, 4)) * [5.0, 1.0, 0.1, 0.1] + 7.0
    components, shares = principal_components(states)
    variances = np.linalg.eigvalsh(np.cov(states.T))[::-1]
    np.testing.assert_allclose(components.var(0, ddof=1), variances[:2])
    np.testing.assert_allclose(shares, variances[:2] / variances.sum())
    flat, _ = principal_components(states[:, :1])
    np.testing.assert_array_equal(flat[:, 1], 0.0)


@pytest.mark.parametrize("name", ["UMAP", "t-SNE"])
def test_maps_keep_groups_together(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "UMAP":
        pytest.importorskip("umap", exc_type=ImportError)
    else:
        monkeypatch.setattr(embeddings, "find_spec", lambda module: None)
    states = np.random.default_rng(0).normal(size=(60, 5)) * 0.1
    states[:30] += 9.0
    method, places = map_to_plane(states)
    assert method == name
    assert places.shape == (60, 2)
    centres = places[:30].mean(0), places[30:].mean(0)
    nearer = [np.linalg.norm(places - own, axis=1) for own in centres]
    np.testing.assert_array_equal(nearer[0] < nearer[1], np.arange(60) < 30)


def test_states_are_coloured_by_group_on_any_axes() -> None:
    states = np.random.default_rng(0).normal(size=(9, 3))
    groups = pd.Series(["b", "a", "a"] * 3, name="cell_type")
    _, ((left, right),) = new_figure(1, 2)
    assert draw_states(states, groups, ax=right) is right
    assert not left.has_data()
    assert [len(dots.get_offsets()) for dots in right.collections] == [6, 3]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["a", "b"]
    alone = draw_states(states)
    offsets = np.asarray(alone.collections[0].get_offsets())
    np.testing.assert_allclose(offsets, principal_components(states)[0])
    assert alone.get_title() == "posterior mean states of 9 cells"


def test_cells_without_a_value_are_grey_and_the_largest_is_on_top() -> None:
    embedding = embed(np.random.default_rng(0).normal(size=(5, 3)), "z")
    axis = new_figure()[1][0, 0]
    draw_values(axis, embedding, np.array([3.0, np.nan, 0.0, 9.0, 1.0]), "reads", logarithmic=True)
    unknown, known = axis.collections
    np.testing.assert_array_equal(unknown.get_offsets(), embedding.places[[1, 2]])
    np.testing.assert_array_equal(known.get_offsets(), embedding.places[[4, 0, 3]])
    np.testing.assert_array_equal(known.get_array(), [1.0, 3.0, 9.0])


def test_cells_of_which_none_has_a_value_are_drawn() -> None:
    embedding = embed(np.eye(3), "z")
    axis = new_figure()[1][0, 0]
    draw_values(axis, embedding, np.zeros(3), "reads", logarithmic=True)
    assert len(axis.collections[0].get_offsets()) == 3
    axis.figure.draw_without_rendering()
