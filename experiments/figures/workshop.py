"""Data, sizes and fits that several figures share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ...data.cells import Cells
from ...data.corpora import Corpus

Result = TypeVar("Result")


@dataclass
class Workshop:
    """Settings of a run, and its results so far.

    Attributes
    ----------
    folder
        Folder for temporary files such as fits.
    quick
        Whether sizes are tiny, which only shows that everything runs.
    seed
        Seed of simulated data; fits have the seeds from this one on.
    corpora
        Corpora shown beside the simulated corpus, by name.
    cells
        Cells with bootstraps shown beside simulated cells, by name.
    """

    folder: Path
    quick: bool = False
    seed: int = 0
    corpora: dict[str, Corpus] = field(default_factory=dict)
    cells: dict[str, Cells] = field(default_factory=dict)
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def choose(self, full: Result, quick: Result) -> Result:
        """Choose the full or the tiny size."""
        return quick if self.quick else full

    @property
    def seeds(self) -> list[int]:
        """Seeds of the fits behind bands and standard errors."""
        return [self.seed + number for number in range(self.choose(5, 2))]

    def once(self, key: Any, make: Callable[[], Result]) -> Result:
        """Make a result at the first request for its key, and keep it."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
