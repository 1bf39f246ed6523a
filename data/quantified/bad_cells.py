"""Cells that cannot be imported: one error about all of them, or a table of them.

Loads neither torch nor anndata.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from ..files import written_atomically
from .quantifications import LEAVE_OUT, QUANTIFY

# Names in the message of an error: of a group of cells, and groups.
_MOST_NAMES, _MOST_GROUPS = 20, 20
BAD_CELLS_FILE = "bad_cells.csv"


class BadCell(NamedTuple):
    """A cell that cannot be imported.

    Attributes
    ----------
    name
        Its name, or its folder's if it has none.
    place
        Its folder or file.
    message
        What is wrong, with the place.
    """

    name: str
    place: Path
    message: str

    @property
    def reason(self) -> str:
        """What is wrong, without the place of the cell and without the advice to leave it out."""
        reason = self.message
        for start in (f"{self.place}: ", f"{self.place}/", f"{self.place.parent}/"):
            if reason.startswith(start):
                reason = reason.removeprefix(start)
                break
        return reason.removesuffix(f"; {LEAVE_OUT}").removesuffix(f" or {LEAVE_OUT}")


class BadCells:
    """Gathers bad cells.

    Parameters
    ----------
    incomplete
        Places that lack what makes a cell, and the reason.
    """

    def __init__(self, incomplete: Iterable[tuple[Path, str]] = ()) -> None:
        self._cells = [
            BadCell(place.name, place, f"{place}: {reason}") for place, reason in incomplete
        ]

    def __iter__(self) -> Iterator[BadCell]:
        return iter(self._cells)

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def names(self) -> list[str]:
        """Names in the order of discovery."""
        return [cell.name for cell in self._cells]

    def add(self, name: str, place: Path, error: DataError) -> None:
        """Add a cell that could not be read."""
        self._cells.append(BadCell(name, place, str(error)))

    def error(self, num_good: int) -> DataError:
        """Make the error about all bad cells, beside a number of good ones."""
        if len(self._cells) == 1:
            return DataError(self._cells[0].message)
        groups: dict[str, list[str]] = {}
        for cell in self._cells:
            groups.setdefault(cell.reason.removesuffix(f"; {QUANTIFY}"), []).append(cell.name)
        shown = [f"{_shown(names)}: {reason}" for reason, names in list(groups.items())]
        if len(shown) > _MOST_GROUPS:
            rest = sum(map(len, list(groups.values())[_MOST_GROUPS:]))
            shown = [*shown[:_MOST_GROUPS], f"{rest} more, which --list shows"]
        return DataError(
            f"{len(self._cells)} of {len(self._cells) + num_good} cells cannot be imported, the "
            f"first is {self._cells[0].place}; "
            f"{' | '.join(shown)}; quantify them again or leave them out (--skip-bad)"
        )

    def note(self, num_good: int) -> str:
        """Make the remark on bad cells that were skipped, beside a number of good ones."""
        return (
            f"{len(self._cells)} of {len(self._cells) + num_good} cells are skipped, the first "
            f"{self._cells[0].name}: {self._cells[0].reason}"
        )

    def write(self, path: Path) -> None:
        """Write a table of names, places and reasons; it appears when it is complete."""
        with (
            written_atomically(path) as temporary,
            open(temporary, "w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(("cell", "path", "reason"))
            writer.writerows((cell.name, cell.place, cell.reason) for cell in self._cells)


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
