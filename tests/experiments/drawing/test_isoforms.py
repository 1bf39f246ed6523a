"""Pictures of cell states and of a gene's isoforms."""

from __future__ import annotations

import numpy as np
import pandas as pd

from exvae.experiments.drawing.isoforms import draw_gene, draw_states, principal_components
from exvae.experiments.drawing.style import new_figure


def test_principal_components() -> None:
    states = np.random.default_rng(0).normal(size=(50, 4)) * [5.0, 1.0, 0.1, 0.1] + 7.0
    components, shares = principal_components(states)
    variances = np.linalg.eigvalsh(np.cov(states.T))[::-1]
    np.testing.assert_allclose(components.var(0, ddof=1), variances[:2])
    np.testing.assert_allclose(shares, variances[:2] / variances.sum())
    flat, _ = principal_components(states[:, :1])
    np.testing.assert_array_equal(flat[:, 1], 0.0)


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


def test_isoforms_of_a_gene_are_drawn_from_the_most_expressed_on() -> None:
    rows = [
        {"isoform": f"i{number}", "group": group, "expression": 10.0 * number + cell}
        for number in range(8)
        for cell, group in enumerate("bab")
    ]
    table = pd.DataFrame(rows).assign(
        low=lambda rows: rows["expression"] - 1, high=lambda rows: rows["expression"] + 2
    )
    table.attrs["interval"] = ("q0.025", "q0.975")
    figure = draw_gene(table, "Gene")
    assert [axis.get_title() for axis in figure.axes] == ["i7", "i6", "i5", "i4", "i3", "i2"]
    bars, *groups = figure.axes[0].collections
    # Cells are sorted by group, then by expression.
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [
        [70.0, 73.0],
        [69.0, 72.0],
        [71.0, 74.0],
    ]
    assert [dots.get_label() for dots in groups] == ["a", "b"]
    assert np.asarray(groups[1].get_offsets()).tolist() == [[1.0, 70.0], [2.0, 72.0]]
    assert "Gene" in figure.get_suptitle()
    assert "scvi" not in figure.get_suptitle()
    table.attrs["model"] = "scvi"
    assert "held 66 to 88 % of true values" in draw_gene(table, "Gene").get_suptitle()
    assert "q0.025" in figure.get_suptitle()
