"""What figures have in common: their data, their sizes, and fits that several of them show."""

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
    """Settings of a run, and what it has computed so far.

    Attributes
    ----------
    folder
        For temporary files such as fits.
    quick
        Tiny sizes, which show that everything runs and nothing else.
    seed
        Of simulated data; fits have the seeds from this one on.
    corpora
        By name, with splits: shown beside the simulated one.
    cells
        By name, with bootstraps: shown beside simulated ones.
    """

    folder: Path
    quick: bool = False
    seed: int = 0
    corpora: dict[str, Corpus] = field(default_factory=dict)
    cells: dict[str, Cells] = field(default_factory=dict)
    _made: dict[Any, Any] = field(default_factory=dict, repr=False)

    def choose(self, full: Result, quick: Result) -> Result:
        """Choose between the size of a figure and its tiny one."""
        return quick if self.quick else full

    @property
    def seeds(self) -> list[int]:
        """Seeds of the fits that bands and standard errors are over."""
        return [self.seed + number for number in range(self.choose(5, 2))]

    def once(self, key: Any, make: Callable[[], Result]) -> Result:
        """Make something the first time that it is asked for by this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]
