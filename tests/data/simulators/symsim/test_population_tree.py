"""Trees in Newick notation: read, refused, and turned into correlations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exvae.data.simulators.symsim.population_tree import parse_newick
from exvae.data.simulators.symsim.settings import PHYLA5


def test_the_correlation_of_symsims_tree() -> None:
    tree = parse_newick(PHYLA5)
    assert tree.populations == ("1", "2", "3", "4", "5")
    outer = 1 / np.sqrt(3 * 2.2)
    expected = [
        [1, 0, 0, 0, 0],
        [0, 1, 2 / 3, outer, outer],
        [0, 2 / 3, 1, outer, outer],
        [0, outer, outer, 1, 2 / 2.2],
        [0, outer, outer, 2 / 2.2, 1],
    ]
    np.testing.assert_allclose(tree.correlation, expected, rtol=1e-12)


def test_names_lengths_and_comments_of_every_kind() -> None:
    tree = parse_newick(" ( 'T cell, it''s':1.5e1 ,\n(B_1:2,C:0)inner:0.5[&x=(1]):9 ; ")
    assert tree.populations == ("T cell, it's", "B_1", "C")
    np.testing.assert_allclose(tree.shared_lengths, [[15, 0, 0], [0, 2.5, 0.5], [0, 0.5, 0.5]])


def test_more_than_two_branches_and_a_single_population() -> None:
    np.testing.assert_allclose(parse_newick("(A:1,B:2,C:3,D:4);").correlation, np.eye(4))
    for text in ("A;", "A:3;"):
        np.testing.assert_allclose(parse_newick(text).correlation, [[1.0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not end with ';'"),
        ("(A:1,B:1)", "does not end with ';'"),
        ("(A:1,B:1;", "before every"),
        ("((A:1,B:1);", "before every"),
        ("(A:1,B:1));", "outside of parentheses"),
        ("A:1,B:1;", "outside of parentheses"),
        ("(A:1,B:1); (C:1,D:1);", "after its end"),
        ("(A,B:1);", "no length for the branch above A"),
        ("((A:1,B:1),C:1);", "no length for the branch above A, B"),
        ("(A:x,B:1);", "'x' where the length"),
        ("(A:,B:1);", "',' where the length"),
        ("(A:-1,B:1);", "length -1"),
        ("(A:nan,B:1);", "length nan"),
        ("(A:1,:1);", "no node is before it"),
        ("(A:1,);", "where a tip is expected"),
        ("();", "where a tip is expected"),
        ("(A:1:2,B:1);", "no node is before it"),
        ("(A:1,A:2);", "'A' twice"),
        ("(A:1 B:2);", "'B' where"),
        ("(A:1,B:1)(C:1,D:1);", "',' is missing"),
        ("('A:1,B:1);", "quote"),
        ("(A:0,B:1);", "tip A is at the root"),
    ],
)
def test_what_is_not_a_tree_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_newick(text)
    assert "\n" not in str(raised.value)


@given(st.text("(),:;AB1.' ", max_size=30))
def test_any_text_is_a_tree_or_a_value_error(text: str) -> None:
    try:
        tree = parse_newick(text)
    except ValueError:
        return
    assert len(set(tree.populations)) == len(tree.populations) > 0


_trees = st.recursive(
    st.floats(0.01, 10), lambda inner: st.tuples(inner, inner, st.floats(0, 10)), max_leaves=12
)


@given(_trees)
def test_correlations_are_those_of_paths_walked_down(nested) -> None:
    paths: list[list[tuple[int, float]]] = []

    def write(node, path) -> str:
        """Write a node and note the branches from the root to each tip below it."""
        number = len(paths) * 1000 + len(path)
        if isinstance(node, float):
            paths.append([*path, (number, node)])
            return f"t{len(paths)}:{node}"
        left, right, length = node
        own = [*path, (number, length)]
        return f"({write(left, own)},{write(right, own)}):{length}"

    tree = parse_newick(f"({write(nested, [])},{write(1.0, [])});")
    for one, first in enumerate(paths):
        for two, second in enumerate(paths):
            shared = sum(length for _, length in set(first) & set(second))
            assert tree.shared_lengths[one, two] == pytest.approx(shared)
    assert np.linalg.eigvalsh(tree.correlation).min() > -1e-9
