"""Styles that tell many names apart, and figures that notebooks show."""

from __future__ import annotations

from matplotlib.figure import Figure

from exvae.experiments.drawing.style import bar_styles, group_styles, new_figure


def test_many_groups_are_told_apart() -> None:
    names = [f"group {number}" for number in range(48)]
    for styles in (group_styles(names), bar_styles(names)):
        assert list(styles) == names
        assert len({tuple(style.values()) for style in styles.values()}) == 48


def test_a_few_groups_differ_by_colour_alone() -> None:
    styles = group_styles("abcdefg").values()
    assert len({style["color"] for style in styles}) == 7
    assert {style["marker"] for style in styles} == {"o"}


def test_a_figure_is_an_image_for_notebooks() -> None:
    figure, _ = new_figure()
    assert isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")
