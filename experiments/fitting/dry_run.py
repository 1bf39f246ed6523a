"""One run of model and guide before a fit begins: what cannot be trained leaves no folder."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.poutine.util import prune_subsample_sites
from torch import Size, nn

from ...data.errors import DataError
from ...data.evaluating import evaluating
from .datasets import Dataset
from .training_state import loose_parameters
from .user_code import told_in_one_line

# One datapoint would hide that a guide lacks a dimension: it broadcasts with any plate.
_DATAPOINTS = 2


@torch.no_grad()
def dry_run(model: nn.Module, guide: nn.Module, data: Dataset, *, loose: bool = True) -> None:
    """Run guide and model on the first datapoints and score them; changes nothing.

    Parameters
    ----------
    model, guide, data
        What is to be trained.
    loose
        Whether parameters may be in Pyro's store alone, which a saved model does not hold.

    Raises
    ------
    DataError
        If a class of a user fails, the guide does not sample what the model has, or parameters are
        in Pyro's store alone and may not.
    """
    modules = (model, guide)
    roles = {type(part): "" for own in modules for part in own.modules()}
    roles |= {type(model): "model", type(guide): "guide"}
    parts = [(role, cls) for cls, role in roles.items()]
    with (
        evaluating(*modules),
        told_in_one_line(parts, "on the first datapoints"),
        pyro.get_param_store().scope(),
        torch.random.fork_rng(),
        poutine.block(),
    ):
        batch = data.batch(np.arange(min(_DATAPOINTS, len(data))))
        posterior = poutine.trace(guide).get_trace(*batch)
        _check_sites(_shapes(poutine.trace(model).get_trace(*batch)), _shapes(posterior), guide)
        joint = poutine.trace(poutine.replay(model, posterior)).get_trace(*batch)
        for trace in (posterior, joint):
            trace.compute_log_prob()
        if not loose:
            _require_none_loose(modules)


def _require_none_loose(modules: Iterable[nn.Module]) -> None:
    """Require that all parameters in Pyro's store belong to a module."""
    if names := loose_parameters(modules):
        raise DataError(
            f"the parameters {_listed(names)} are made by pyro.param, which a saved model does not "
            "hold; make them attributes of the model or guide, by PyroParam or torch.nn.Parameter"
        )


def _shapes(trace: poutine.Trace) -> dict[str, Size]:
    """Shapes of the latent variables of a trace."""
    sites = prune_subsample_sites(trace).nodes.items()
    return {
        name: site["fn"].shape()
        for name, site in sites
        if site["type"] == "sample"
        and not site["is_observed"]
        and not site["infer"].get("is_auxiliary")
    }


def _check_sites(wanted: dict[str, Size], found: dict[str, Size], guide: nn.Module) -> None:
    """Require that a guide samples the model's latent variables in their shapes."""
    name = f"guide {type(guide).__name__}"
    if found.keys() != wanted.keys():
        raise DataError(
            f"{name} samples {_listed(found)}, but the model has {_listed(wanted)}; both need the "
            "same names"
        )
    for site, shape in found.items():
        if shape != wanted[site]:
            raise DataError(
                f"{name} samples {site} of shape {tuple(shape)} for the first {_DATAPOINTS} "
                f"datapoints; the model wants {tuple(wanted[site])}"
            )


def _listed(sites: Iterable[str]) -> str:
    return ", ".join(sites) or "nothing"
