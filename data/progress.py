"""Progress on standard error, or as a widget in a notebook."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")


def progress_bar(
    total: int,
    what: str,
    unit: str = "cells",
    *,
    done: int = 0,
    delay: float = 0.0,
    shown: bool = True,
) -> tqdm:
    """Make a progress bar with the time left; in a file it writes a line every ten seconds.

    Parameters
    ----------
    total, done
        Number of items in all, and already done.
    what
        Name of the work.
    unit
        Name of an item, in the plural.
    delay
        Seconds before it appears.
    shown
        Whether to show it.
    """
    from tqdm import auto  # finds out whether this is a notebook

    class Bar(auto.tqdm):
        # No thread to refresh bars: its start hangs where memory is short, and every update below
        # looks at the time.
        monitor_interval = 0

    live = sys.stderr.isatty() or auto.notebook_tqdm is not auto.std_tqdm
    return Bar(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}",
        file=sys.stderr,
        mininterval=0.2 if live else 10.0,
        miniters=1,
        delay=delay,
        disable=not shown,
    )


def with_progress(
    items: Iterable[Item],
    total: int,
    what: str,
    unit: str = "cells",
    *,
    delay: float = 0.0,
    shown: bool = True,
) -> Iterator[Item]:
    """Yield items and show their number; arguments as for :func:`progress_bar`."""
    with progress_bar(total, what, unit, delay=delay, shown=shown) as bar:
        for item in items:
            yield item
            bar.update()
