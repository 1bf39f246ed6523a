"""The list of figures. It imports nothing heavy, so that the command line starts fast."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

# Contents by name; the name begins with the group and a hyphen.
FIGURES = {
    "lda-seconds": "seconds of a training step against the size of the sets",
    "lda-convergence": "held-out loss against steps and seconds",
    "lda-likelihood": "test negative log-likelihood",
    "lda-robustness": "test documents longer and shorter than training documents",
    "lda-pooling": "poolings, by the length of test documents",
    "lda-inference": "amortised, refined, and by coordinate ascent",
    "lda-gradients": "variance of pathwise and of score-function gradients",
    "isoforms-variance": "biological against inferential variance, by depth and overlap",
    "isoforms-bootstraps": "shapes and zeros of bootstraps",
    "isoforms-calibration": "coverage of intervals, by model of the error and number of bootstraps",
    "isoforms-likelihood": "negative log-likelihood of held-out cells, beside scVI",
    "isoforms-recovery": "errors of expression, by its level and ambiguity",
    "isoforms-states": "cell states and cell types",
}
GROUPS = ("lda", "isoforms")


def chosen(name: str) -> list[str]:
    """Names of the figures of a name, a group or ``all``; empty for an unknown name."""
    if name == "all":
        return list(FIGURES)
    if name in GROUPS:
        return [each for each in FIGURES if each.startswith(f"{name}-")]
    return [name] if name in FIGURES else []


def module_of(name: str) -> ModuleType:
    """Load the module of a figure."""
    return import_module(f".{name.replace('-', '_')}", __package__)
