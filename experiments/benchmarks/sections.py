"""Seconds of computing by part of a command, without the cost of a profiler.

Some functions are replaced by ones that look at the clock. Each second counts for the innermost
part in progress, so that parts add up to the whole.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import pkgutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

START, REST = "start of Python, libraries", "rest"
# Functions whose calls make up a part.
PARTS = {
    "reading": (
        "exvae.data.any_cells:get_cells",
        "exvae.data.h5ad.reading:CellFile.read",
        "exvae.data.h5ad.parts:CellParts.read_rows",
        "exvae.data.isoform_truth:read_truth",
        "exvae.experiments.fitting.checkpoints:read_checkpoint",
    ),
    "start values": (
        "exvae.models.isoforms:EffectiveReadIsoforms.initialise",
        "exvae.guides.cells:CellGuide.initialise",
    ),
    "densifying": (
        "exvae.data.cell_batches:BatchSource.batch",
        "exvae.experiments.isoforms.export_columns:ExportColumns.take",
    ),
    "encoder": ("exvae.guides.cells:CellGuide.posteriors",),
    "decoder": ("exvae.models.cells:CellModel.decode", "exvae.models.cells:CellModel.mean_of"),
    "likelihood": (
        "exvae.models.distributions.gene_reads:BootstrapGeneReads.log_prob",
        "exvae.models.distributions.gene_reads:BootstrapGeneReads.log_prob_of_whole",
        "exvae.experiments.isoforms.inference:log_prob_of_point_estimates",
    ),
    "gradients": ("torch.autograd.graph:_engine_run_backward",),
    "optimiser": ("pyro.optim.optim:PyroOptim.__call__",),
    "Pyro": (
        "pyro.infer.svi:SVI.step",
        "pyro.infer.trace_mean_field_elbo:TraceMeanField_ELBO.loss",
    ),
    "draws, moments, quantiles": (
        "exvae.experiments.isoforms.draws.stratified_expression:StratifiedExpression.__init__",
        "exvae.experiments.isoforms.draws.stratified_expression:StratifiedExpression.draws",
        "exvae.experiments.isoforms.draws.stratified_expression:StratifiedExpression.summaries",
        "exvae.experiments.isoforms.compact_layers:compact_layers",
        "exvae.experiments.isoforms.compact_layers:_rounded",
        "exvae.models.isoforms:EffectiveReadIsoforms.draw_expression",
        "exvae.models.isoforms:EffectiveReadIsoforms.rate_posterior",
        "exvae.models.distributions.gene_reads:BootstrapGeneReads.sample",
    ),
    "statistics": (
        "exvae.experiments.checks.cells:CellStatistics.add",
        "exvae.experiments.checks.cells:summary_of",
        "exvae.experiments.checks.cells:_summarise",
        "exvae.experiments.isoforms.calibration:Calibration.add",
        "exvae.data.posteriors:SampledPosterior.quantile",
    ),
    "compression": ("exvae.data.h5ad.growing:_compressed",),
    "writing": (
        "exvae.experiments.fitting.checkpoints:write_checkpoint",
        "exvae.experiments.fitting.fits:write_metrics",
        "exvae.data.h5ad.growing:GrowingMatrix.extend",
        "exvae.data.h5ad.growing:GrowingMatrix.finish",
        "exvae.data.h5ad.growing:SparseLayers.extend",
        "exvae.data.h5ad.growing:SparseLayers.finish",
        "exvae.data.h5ad.new_files:NewFile.close",
        "anndata.io:write_elem",
    ),
    "pictures": (
        "exvae.experiments.drawing.saving:save",
        "exvae.experiments.drawing.training:draw_training",
        "exvae.experiments.drawing.embeddings:draw_states",
        "exvae.experiments.drawing.checks:draw_check",
    ),
    START: ("builtins:__import__", "importlib:import_module"),
}


class Sections:
    """A clock of parts.

    Attributes
    ----------
    seconds
        Seconds of computing of all threads, by part.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._parts = [REST]
        self._since = time.process_time()
        self._thread = threading.get_ident()

    def tick(self) -> None:
        """Count the time since the last call for the part in progress."""
        now = time.process_time()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def counted(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function that counts for a part; calls in other threads count where they began."""

        @functools.wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            if threading.get_ident() != self._thread:
                return function(*arguments, **options)
            self.tick()
            self._parts.append(part)
            try:
                return function(*arguments, **options)
            finally:
                self.tick()
                self._parts.pop()

        return call


@contextmanager
def watched() -> Iterator[Sections]:
    """Count the seconds of all parts while the context lasts."""
    found = [
        (part, place, pkgutil.resolve_name(place)) for part, own in PARTS.items() for place in own
    ]
    modules = [vars(module) for module in list(sys.modules.values())]
    sections = Sections()
    replaced: list[tuple[Any, str, Any]] = []
    for part, place, function in found:
        new = sections.counted(part, function)
        owner, name = _owner(place)
        own = [(owner, name)]
        if not isinstance(owner, type) and owner not in (builtins, importlib):
            # Others may have imported the function by its name.
            own += [
                (module, key)
                for module in modules
                for key, value in list(module.items())
                if value is function
            ]
        for place_of, key in own:
            replaced.append((place_of, key, function))
            _put(place_of, key, new)
    try:
        yield sections
    finally:
        sections.tick()
        for place_of, key, function in replaced:
            _put(place_of, key, function)


def _owner(place: str) -> tuple[Any, str]:
    """Give the module or class that has a function, and the function's name."""
    module, _, path = place.partition(":")
    *outer, name = path.split(".")
    return pkgutil.resolve_name(f"{module}:{'.'.join(outer)}" if outer else module), name


def _put(owner: Any, name: str, value: Any) -> None:
    """Put an attribute into a module, its dictionary, or a class."""
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)
