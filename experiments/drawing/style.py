"""Colours, empty figures, labels, logarithmic axes and legends of all pictures."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ...data.errors import DataWarning, shortened

_MISSING_GLYPH = re.compile(r"Glyph \d+ .* missing from")

# Okabe & Ito's colours, told apart also by the colour-blind.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, _, BLACK = PALETTE
GREY, LIGHT_GREY = "#666666", "#BBBBBB"

# Marks and lines tell the curves apart without colour too.
_STYLES = (
    (BLUE, "o", "-"),
    (ORANGE, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (VERMILION, "v", "-"),
    (SKY, "P", "--"),
)


# Names beyond the colours take them again with the next mark, or the next hatch. Dots and thin
# lines of yellow are hard to see on white.
_DOT_COLOURS = (*PALETTE[:6], BLACK)
_MARKS = ("o", "^", "s", "D", "v", "P", "X", "*")
_HATCHES = ("", "////", "....", "xxxx", "----", "oooo")


_MOST_LETTERS = 25


def short_name(name: str) -> str:
    """Cut a long word or name, which leaves no room for the axes, to 25 letters."""
    return shortened(name, _MOST_LETTERS)


@contextmanager
def glyphs_told_once() -> Iterator[None]:
    """Tell in one warning that the font lacks letters, of which matplotlib warns one by one."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    missing = {str(own.message) for own in told if _MISSING_GLYPH.match(str(own.message))}
    for own in told:
        if str(own.message) not in missing:
            warnings.warn_explicit(own.message, own.category, own.filename, own.lineno)
    if missing:
        warnings.warn(
            f"the font of pictures lacks {len(missing)} letters, which are drawn as boxes; set "
            "font.family of matplotlib to a font that has them",
            DataWarning,
            stacklevel=3,
        )


class Picture(Figure):
    """A figure that notebooks show, once, though pyplot does not know of it.

    Where pyplot is in use, the notebook has a way of its own to show figures and takes that.
    """

    def _repr_png_(self) -> bytes:
        image = BytesIO()
        with glyphs_told_once():
            self.savefig(image, format="png", bbox_inches="tight")
        return image.getvalue()


def group_styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour and marker of each group, by its name and in this order; 56 are distinct."""
    return {
        name: {
            "color": _DOT_COLOURS[number % len(_DOT_COLOURS)],
            "marker": _MARKS[number // len(_DOT_COLOURS) % len(_MARKS)],
        }
        for number, name in enumerate(names)
    }


def bar_styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour and hatch of the bars of each name, in this order; 48 are distinct."""
    return {
        name: {
            "facecolor": PALETTE[number % len(PALETTE)],
            "hatch": _HATCHES[number // len(PALETTE) % len(_HATCHES)],
        }
        for number, name in enumerate(names)
    }


def style_of(number: int) -> dict[str, str]:
    """Colour, marker and line of the curve of this number."""
    colour, marker, line = _STYLES[number % len(_STYLES)]
    return {"color": colour, "marker": marker, "linestyle": line}


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 4.4,
    height: float = 3.5,
    sharex: bool | str = False,
    sharey: bool | str = False,
) -> tuple[Figure, np.ndarray]:
    """Make a figure that pyplot does not know of, and that notebooks show.

    Parameters
    ----------
    rows, columns
        Number of axes.
    width, height
        Of each of the axes (inches).
    sharex, sharey
        As in :meth:`matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure, axes
        The axes have shape (rows, columns).
    """
    figure = Picture(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
    return figure, axes


def label(axis: Axes, title: str, x: str, y: str) -> None:
    """Write the title and the axis labels, with units."""
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.3)


def logarithmic(axis: Axes, which: str) -> None:
    """Make the axis ``x`` or ``y`` logarithmic, with numbers also where it spans no decade."""
    axis.set(**{f"{which}scale": "log"})
    low, high = sorted(getattr(axis, f"get_{which}lim")())
    decades = np.log10(high / low) if low > 0 else np.inf
    chosen = getattr(axis, f"{which}axis")
    if decades < 3:
        chosen.set_major_locator(LogLocator(subs=(1, 2, 5) if decades > 1 else range(1, 10)))
        chosen.set_major_formatter("{x:g}")
    chosen.set_minor_formatter(NullFormatter())


def hide_unused(axes: np.ndarray, used: int) -> None:
    """Hide all axes but the first ``used``; any shape."""
    for axis in axes.flat[used:]:
        axis.set_axis_off()


def show_legend(axis: Axes) -> None:
    """Name the curves drawn so far, in full colour."""
    for handle in axis.legend(frameon=False, fontsize=8).legend_handles:
        handle.set_alpha(1.0)


def show_legends(figure: Figure) -> Figure:
    """Give a legend to each of the axes that have several named curves."""
    for axis in figure.axes:
        if len(axis.get_legend_handles_labels()[0]) > 1:
            axis.legend(frameon=False, fontsize=8)
    return figure
