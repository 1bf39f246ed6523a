"""Verdicts in words: whether a model fits, by how much it does not, and what may help."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

FITS, CLOSE, MISFIT = "fits", "close enough", "misfit"
# From the best to the worst.
LEVELS = (FITS, CLOSE, MISFIT)

# p-values up to this far from 0 or 1 are extreme, or as far as so few replicates can tell.
_EXTREME = 0.025
_ROUNDING = 1e-9


class Advice(NamedTuple):
    """An option of ``fit`` that moves a statistic towards the data.

    Attributes
    ----------
    option, value
        Name and value; the advice is given if the model takes the option, with another value.
    written
        The option as users type it; by default ``--set option=value``.
    models
        Registered names of the models that it helps; any if empty.
    at_least
        Whether larger values are as good.
    """

    option: str
    value: Any
    written: str = ""
    models: tuple[str, ...] = ()
    at_least: bool = False

    @property
    def text(self) -> str:
        """The option as users type it."""
        return self.written or f"--set {self.option}={self.value}"

    def applies(self, options: Mapping[str, Any]) -> bool:
        """Tell whether a fit with these options, by name, can be changed so."""
        if self.models and options.get("model") not in self.models:
            return False
        if self.option not in options:
            return False
        value = options[self.option]
        return value < self.value if self.at_least else value != self.value


class Finding(NamedTuple):
    """A direction in which a statistic of the replicates can differ from the data's.

    Attributes
    ----------
    words
        The model's replicates against the data, such as ``more zeros``.
    meaning
        The consequence for the user.
    advice
        Options that helped, the best first.
    step
        The next step if the fit can change none of these options.
    """

    words: str
    meaning: str
    advice: tuple[Advice, ...] = ()
    step: str = ""


class Reading(NamedTuple):
    """How to read a statistic.

    Attributes
    ----------
    panel
        Title of the panel that shows it.
    tolerance
        The largest difference that hardly matters, in the unit of the statistic, or as a share of
        the observed value if ``relative``.
    relative
        Whether differences are shares of the observed value.
    more, fewer
        The finding if the replicates have larger values, and smaller ones.
    """

    panel: str
    tolerance: float
    relative: bool
    more: Finding
    fewer: Finding

    def allowed(self, observed: float) -> float:
        """Give the largest difference from an observed value that hardly matters."""
        return self.tolerance * abs(observed) if self.relative else self.tolerance

    def describe(self, observed: float, replicated: float) -> str:
        """Tell how large a difference is that hardly matters, and which ones do not."""
        difference = abs(replicated - observed)
        if self.relative:
            size, allowed = f"{difference / abs(observed):.1%}", f"{self.tolerance:.0%}"
        else:
            size, allowed = f"{difference:.2g}", f"{self.tolerance:g}"
        return f"the difference is {size}, and up to {allowed} hardly matters"


class Verdict(NamedTuple):
    """Verdict on one statistic.

    Attributes
    ----------
    level
        One of :data:`LEVELS`.
    short
        A few words, for the title of a panel.
    verdict
        A sentence with numbers and advice.
    """

    level: str
    short: str
    verdict: str


@dataclass(frozen=True)
class Judge:
    """Judges statistics by their p-values and by the size of the difference.

    Attributes
    ----------
    data
        The data in a word, such as ``cells``.
    readings
        How to read each statistic, by its name.
    options
        Values of the options of the fit, by name, which decide what advice applies.
    """

    data: str
    readings: Mapping[str, Reading]
    options: Mapping[str, Any] = field(default_factory=dict)

    def verdict(
        self, name: str, observed: float, replicated: float, p: float, num_replicates: int
    ) -> Verdict:
        """Judge a statistic by its observed value and the mean of its replicates."""
        reading = self.readings[name]
        extreme = max(_EXTREME, 0.5 / (num_replicates + 1)) + _ROUNDING
        if min(p, 1 - p) > extreme or math.isnan(replicated):
            return Verdict(FITS, FITS, f"fits (p = {p:.2f})")
        numbers = f"{replicated:.3g} against {observed:.3g}"
        if abs(replicated - observed) <= reading.allowed(observed):
            size = reading.describe(observed, replicated)
            return Verdict(CLOSE, CLOSE, f"close enough: {numbers} (p = {p:.2f}); {size}")
        finding = reading.more if replicated > observed else reading.fewer
        sentence = (
            f"the model gives {finding.words} than the {self.data} ({numbers}, p = {p:.2f}): "
            f"{finding.meaning}{self._advice(finding)}"
        )
        return Verdict(MISFIT, f"model gives {finding.words}", sentence)

    def _advice(self, finding: Finding) -> str:
        """Write the options that apply or, without any, the next step."""
        texts = [advice.text for advice in finding.advice if advice.applies(self.options)]
        step = f"try {' or '.join(texts)}" if texts else finding.step
        return f"; {step}" if step else ""
