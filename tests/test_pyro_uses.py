"""What of Pyro works with each model: docs/pyro.md shows the table that this test finds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import (
    ELBO,
    MCMC,
    NUTS,
    SVI,
    Importance,
    JitTraceMeanField_ELBO,
    Predictive,
    RenyiELBO,
    ReweightedWakeSleep,
    Trace_ELBO,
    TraceMeanField_ELBO,
)
from pyro.infer.autoguide import AutoNormal, init_to_median
from torch import nn

import exvae
from exvae.models import MODELS

from .small_data import draw_cells, draw_corpus, write_data

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pyro.md"
NAMES = ("lda", *MODELS)
WORKS, REFUSES, WRAPPED = "works", "refused", "works, see below"


def prepared(name: str) -> tuple[nn.Module, nn.Module, tuple]:
    """Model, guide and a minibatch of six."""
    if name == "lda":
        data, model, guide = exvae.prepare(draw_corpus(), topics=2)
    else:
        options = {"model": name, "latent_size": 2, "batch_key": "batch"}
        data, model, guide = exvae.prepare(draw_cells(), **options)
    return model, guide, data.batch(np.arange(6))


def steps(model: Callable, guide: Callable, batch: tuple, elbo: ELBO) -> str:
    """Train a little: losses are finite and parameters move."""
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), elbo)
    svi.step(*batch)
    before = [own.detach().clone() for own in pyro.get_param_store().values()]
    losses = [svi.step(*batch) for _ in range(3)]
    assert np.isfinite(losses).all()
    after = pyro.get_param_store().values()
    assert any((one != other).any() for one, other in zip(before, after, strict=True))
    return WORKS


def vectorised(**options: object) -> dict[str, object]:
    return {"num_particles": 3, "vectorize_particles": True, "max_plate_nesting": 2, **options}


def jit(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    """Pyro's compiled ELBOs take tensors alone, so numbers are bound before."""
    if isinstance(getattr(guide, "learn", None), bool):
        with pytest.raises(RuntimeError, match="learn = False"):
            bound_steps(model, guide, batch)
        guide.learn = False
    bound_steps(model, guide, batch)
    return WRAPPED


def bound_steps(model: nn.Module, guide: nn.Module, batch: tuple) -> None:
    *tensors, size, obs = batch

    def bound(module: nn.Module) -> Callable:
        return lambda *parts: module(*parts[:-1], size, parts[-1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates tracing
        elbo = JitTraceMeanField_ELBO(ignore_jit_warnings=True)
        steps(bound(model), bound(guide), (*tensors, obs), elbo)


def auto_normal(model: nn.Module, _: nn.Module, batch: tuple) -> str:
    """Train an automatic guide, which needs the plate of all data to tell minibatches apart."""
    guide = AutoNormal(model, create_plates=exvae.plates(model), init_loc_fn=init_to_median)
    steps(model, guide, batch, Trace_ELBO())
    return WRAPPED


def nuts(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    kernel = NUTS(model.eval(), max_tree_depth=2)
    sampler = MCMC(kernel, num_samples=2, warmup_steps=2, disable_progbar=True)
    sampler.run(*batch)
    assert all(values.isfinite().all() for values in sampler.get_samples().values())
    return WORKS


def importance(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    guide.learn = False
    posterior = Importance(model, guide, num_samples=4).run(*batch)
    assert np.isfinite(float(posterior.log_weights[0]))
    return WORKS


def predictive(model: nn.Module, guide: nn.Module, batch: tuple, *, parallel: bool) -> str:
    drawn = Predictive(model, guide=guide, num_samples=3, parallel=parallel)(*batch)
    unseen = batch._replace(obs=None)
    generated = Predictive(model, num_samples=3, parallel=parallel)(*unseen)
    for site in ("words", "counts", "bootstraps", "reads"):
        if site in drawn:
            assert len(drawn[site]) == len(generated[site]) == 3
    return WORKS


def rendered(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    graph = pyro.render_model(model, model_args=tuple(batch))
    assert any(site in graph.source for site in ("words", "counts", "bootstraps", "reads"))
    return WORKS


def in_float64(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    batch = type(batch)(
        *(
            part.double() if isinstance(part, torch.Tensor) and part.is_floating_point() else part
            for part in batch
        )
    )
    return steps(model.double(), guide.double(), batch, TraceMeanField_ELBO())


def compiled(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    torch._dynamo.reset()
    loss = TraceMeanField_ELBO()(model, guide)
    loss(*batch)
    pyro.set_rng_seed(1)
    expected = loss(*batch)
    pyro.set_rng_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it breaks the graph
        actual = torch.compile(loss, backend="eager")(*batch)
    actual.backward()
    torch.testing.assert_close(actual, expected, rtol=0.2, atol=0.0)
    return WORKS


def plain_torch(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    loss = TraceMeanField_ELBO().differentiable_loss
    parameters = [*model.parameters(), *guide.parameters()]
    before = [own.detach().clone() for own in parameters]
    optimizer = torch.optim.Adam(parameters, lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad()
        loss(model, guide, *batch).backward()
        optimizer.step()
    moved = [(one != other).any() for one, other in zip(before, parameters, strict=True)]
    assert any(moved)
    return WORKS


USES: dict[str, Callable[[nn.Module, nn.Module, tuple], str]] = {
    "`Trace_ELBO`": lambda *parts: steps(*parts, Trace_ELBO()),
    "`TraceMeanField_ELBO`": lambda *parts: steps(*parts, TraceMeanField_ELBO()),
    "`num_particles=3`": lambda *parts: steps(*parts, TraceMeanField_ELBO(num_particles=3)),
    "`vectorize_particles`": lambda *parts: steps(*parts, Trace_ELBO(**vectorised())),
    "`RenyiELBO`": lambda *parts: steps(*parts, RenyiELBO(alpha=0.5, num_particles=3)),
    "`JitTraceMeanField_ELBO`": jit,
    "`AutoNormal`": auto_normal,
    "`NUTS`": nuts,
    "`Importance`": importance,
    "`Predictive`": lambda *parts: predictive(*parts, parallel=False),
    "`Predictive(parallel=True)`": lambda *parts: predictive(*parts, parallel=True),
    "`render_model`": rendered,
    "float64": in_float64,
    "`torch.compile`": compiled,
    "plain torch optimisers": plain_torch,
}


def wake_sleep(model: nn.Module, guide: nn.Module, batch: tuple) -> str:
    """Its loss is a pair."""
    elbo = ReweightedWakeSleep(**vectorised())
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), elbo)
    assert np.isfinite(np.array([svi.step(*batch) for _ in range(3)], float)).all()
    return WORKS


USES["`ReweightedWakeSleep`"] = wake_sleep


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("use", USES)
def test_the_page_says_what_works(use: str, name: str) -> None:
    found = USES[use](*prepared(name))
    assert table()[use][NAMES.index(name)] == found


def table() -> dict[str, list[str]]:
    """Rows of the first table of the page: what works by use."""
    lines = PAGE.read_text(encoding="utf-8").partition("\n## ")[0].splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {use.strip(): [cell.strip() for cell in cells] for use, *cells in rows}


def test_the_table_has_a_row_for_each_use_and_no_other() -> None:
    header, *rows = table()
    assert rows == list(USES)
    assert table()[header] == [f"`{name}`" for name in NAMES]


# Code of the page


def run(part: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, object]:
    """Run the block of the page that holds this text."""
    write_data(folder)
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if part in block)
    scope: dict[str, object] = {}
    exec(compile(code, PAGE.name, "exec"), scope)
    return scope


def test_automatic_guides_tell_cells_of_uneven_minibatches_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run("AutoNormal", monkeypatch, tmp_path)
    data, guide = found["data"], found["guide"]
    assert len(data) % 10
    batch = data.batch(np.arange(len(data)))
    totals = batch.obs[..., 1].sum(-1).log()
    location = guide.locs.library.detach().flatten()
    assert location.shape == totals.shape
    assert torch.corrcoef(torch.stack([location, totals]))[0, 1] > 0.9


def test_automatic_guides_tell_documents_apart() -> None:
    data, model, _ = exvae.prepare(draw_corpus(), topics=2)
    guide = AutoNormal(model, create_plates=exvae.plates(model), init_loc_fn=init_to_median)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())
    guide(*data.batch(np.arange(30)))
    before = guide.locs.document_topics.detach().clone()
    for batch in data.batches(7):
        svi.step(*batch)
    assert guide.locs.document_topics.shape == (30, 1)
    assert (guide.locs.document_topics != before).all()


def test_cells_are_compared_with_replicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run("Predictive(", monkeypatch, tmp_path)
    data, replicated = found["data"], found["replicated"]
    cells = data.batch(np.arange(len(data)))
    number = int(cells.obs[..., 0].max())
    assert replicated.shape == (50, len(data), *cells.obs.shape[1:2], number)
    observed, means = found["observed"], found["means"]
    assert means.shape == (50, *observed.shape)
    # Totals of cells scatter around those observed.
    low, high = torch.quantile(means.sum(-1), torch.tensor([0.01, 0.99]), dim=0)
    inside = (low <= observed.sum(-1)) & (observed.sum(-1) <= high)
    assert inside.float().mean() > 0.9
    assert found["p_values"].shape == observed.shape[1:]
    assert ((found["p_values"] >= 0) & (found["p_values"] <= 1)).all()


@pytest.mark.parametrize(
    ("name", "dimensions"), [("effective-reads", 5), ("reads", 4), ("paper", 4), ("scvi", 3)]
)
def test_replicates_have_the_shapes_of_the_page(name: str, dimensions: int) -> None:
    model, guide, batch = prepared(name)
    model.eval(), guide.eval()
    drawn = Predictive(model, guide=guide, num_samples=3)(*batch._replace(obs=None))
    number = int(batch.offsets.diff().max())
    sizes = {"S": 3, "cells": 6, "1": 1, "isoforms": model.num_isoforms, "bootstraps": number}
    (told,) = re.findall(rf"\| `{name}` \| `{model.site}` \| \((.+?)\) \|", PAGE.read_text())
    assert tuple(drawn[model.site].shape) == tuple(sizes[part] for part in told.split(", "))
    assert drawn[model.site].ndim == dimensions
    assert set(drawn) == {model.site, *guide.posteriors(*batch[:3])}
    told = Predictive(model.train(), guide=guide.train(), num_samples=3)(*batch._replace(obs=None))
    assert ("decoder_weights" in told) == (name in ("effective-reads", "reads"))
