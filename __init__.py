"""Exchangeable variational autoencoders in Pyro."""

from importlib import import_module
from typing import Any

# Names are imported when they are asked for, so that the package itself loads nothing heavy.
_PLACES = {
    "Corpus": "data.corpora",
    "IsoformModel": "experiments.isoform_model",
    "TopicModel": "experiments.topic_model",
    "load": "experiments.loading",
    "optimizer": "experiments.fitting.optimizers",
    "plates": "experiments.fitting.plates",
    "prepare": "experiments.preparing",
    "read_corpus": "data.corpus_formats",
    "read_quantified": "experiments.quantified",
    "report": "experiments.report.reporting",
}
_MODULES = {"pl": "experiments.pl"}


def __getattr__(name: str) -> Any:
    """Import a name of the package."""
    if name == "__version__":
        from importlib.metadata import version

        return version("exvae")
    if name in _MODULES:
        return import_module(f".{_MODULES[name]}", __name__)
    if name not in _PLACES:
        raise AttributeError(f"module 'exvae' has no attribute {name!r}")
    return getattr(import_module(f".{_PLACES[name]}", __name__), name)


def __dir__() -> list[str]:
    """List the names of the package."""
    return sorted([*globals(), *_PLACES, *_MODULES, "__version__"])
