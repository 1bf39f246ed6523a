"""Small cells, fits of every kind of model to them, and fits whose posteriors are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from pyro.distributions import LogNormal, Normal
from torch import Tensor

from exvae.data.cell_batches import BatchSource
from exvae.data.cells import Cells
from exvae.data.h5ad.reading import read_cells
from exvae.data.isoform_truth import IsoformTruth, read_truth
from exvae.data.posteriors import SampledPosterior
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting
from exvae.experiments.isoforms.settings import IsoformConfig

CELLS, ISOFORMS, BOOTSTRAPS = 30, 6, 5
# Every kind of model: of effective reads, of latent counts, and of the rounded counts.
FITS = {"effective": {}, "paper": {"model": "paper"}, "scvi": {"model": "scvi"}}
# Standard deviation of posteriors of the latent variables that are as good as known.
KNOWN = 1e-4
# Of a posterior that :class:`KnownExpression` gives: draws by library size.
FACTORS = torch.tensor([0.3, 0.7, 0.9, 1.0, 1.2, 1.3, 1.9])


def simulated(seed: int = 0) -> tuple[anndata.AnnData, dict[str, np.ndarray]]:
    """Make cells of two types, and the truth; isoforms 2 g and 2 g + 1 are of one gene."""
    rng = np.random.default_rng(seed)
    types = np.arange(CELLS) % 2
    profiles = rng.gamma(1.0, 20.0, (2, ISOFORMS)) + 1.0
    expected = profiles[types] * rng.gamma(20.0, 1 / 20.0, (CELLS, 1))
    y = rng.poisson(expected)
    scale = np.sqrt(1 + y)
    estimate = y + scale * rng.normal(size=y.shape)
    draws = estimate + scale * rng.normal(size=(BOOTSTRAPS, *y.shape))
    draws = np.where(draws > 0, draws, 0.0).astype(np.float32)
    cells = anndata.AnnData(
        scipy.sparse.csr_matrix(np.maximum(estimate, 0.0).astype(np.float32)),
        obs=pd.DataFrame(
            {
                "cell_type": np.char.add("type", types.astype(str)),
                "donor": rng.choice(["ada", "bea"], CELLS),
                "n_bootstraps": BOOTSTRAPS,
            },
            index=[f"cell{n}" for n in range(CELLS)],
        ),
        var=pd.DataFrame(
            {"gene": [f"gene{g // 2}" for g in range(ISOFORMS)]},
            index=[f"iso{g}" for g in range(ISOFORMS)],
        ),
    )
    for number, values in enumerate(draws, start=1):
        cells.layers[f"infRep{number}"] = scipy.sparse.csr_matrix(values)
    truth = {
        "expected": expected[:, ::-1],
        "cell_type": cells.obs["cell_type"].to_numpy(np.str_),
        "transcripts": cells.var_names.to_numpy().astype(np.str_)[::-1],
    }
    return cells, truth


def fitted_here(source: Path, out: Path, resume: bool = False, **settings: object) -> None:
    """Fit in this process, two epochs unless told otherwise."""
    options = {"epochs": 2, "batch_size": 16, "learning_rate": 5e-3, "device": "cpu"}
    config = {key: settings.pop(key) for key in list(settings) if key not in options}
    batch_key = config.pop("batch_key", None)
    train_fraction = config.pop("train_fraction", 0.8)
    seed = config.pop("seed", 0)
    patience = config.pop("patience", 0)
    training = TrainingConfig(**{**options, **settings}, seed=seed, patience=patience)
    fitting.fit(
        read_cells(source, batch_key),
        IsoformConfig(**config),
        training,
        out,
        train_fraction=train_fraction,
        resume=resume,
    )


@pytest.fixture(scope="session")
def simulate() -> Callable[..., tuple[anndata.AnnData, dict[str, np.ndarray]]]:
    """Give what makes cells and their truth."""
    return simulated


@pytest.fixture(scope="session")
def fit_here() -> Callable[..., None]:
    """Give what fits in this process."""
    return fitted_here


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write cells, variations of them, and their truth."""
    place = tmp_path_factory.mktemp("cells")
    cells, truth = simulated()
    cells.write_h5ad(place / "cells.h5ad")
    np.savez(place / "truth.npz", **truth)
    np.savez(place / "half.npz", **{**truth, "expected": truth["expected"][:20]})
    other = cells[:, ::-1].copy()
    other.write_h5ad(place / "other.h5ad")
    cells[:, [0, 1, 3, 4, 5]].copy().write_h5ad(place / "fewer.h5ad")
    bare = cells.copy()
    for name in list(bare.layers):
        del bare.layers[name]
    bare.write_h5ad(place / "bare.h5ad")
    bare.write_h5ad(place / "damaged.h5ad")
    with h5py.File(place / "damaged.h5ad", "a") as file:
        file["X/indptr"][CELLS] = 1 << 30
    return place


@pytest.fixture(scope="session")
def fit_folder(folder: Path) -> Callable[[str], Path]:
    """Give the folder of a fit of a kind of model, which is made once."""

    def of_kind(kind: str) -> Path:
        place = folder / kind
        if not place.exists():
            settings = {**FITS[kind], "epochs": 25, "batch_key": "donor"}
            fitted_here(folder / "cells.h5ad", place, **settings)
        return place

    return of_kind


@pytest.fixture(scope="session")
def fitted(fit_folder: Callable[[str], Path]) -> dict[str, Path]:
    """Fit each of the models."""
    return {name: fit_folder(name) for name in FITS}


@pytest.fixture(params=FITS)
def kind(request: pytest.FixtureRequest) -> str:
    """Give one kind of model after another."""
    return request.param


class LoadedFit:
    """A fit with the cells that it is asked about."""

    def __init__(self, place: Path, source: Path) -> None:
        self.fit = fitting.load(place, "cpu")
        self.model, self.guide = self.fit.model, self.fit.guide
        self.source = source
        self.cells: Cells = self.fit.conform(read_cells(source, "donor"))
        self.truth: IsoformTruth = read_truth(source.with_name("truth.npz"), self.cells)

    @property
    def tensors(self) -> BatchSource:
        """Give what the model reads and observes of the cells."""
        return self.fit.source(self.cells)

    def with_batches(self) -> LoadedFit:
        """Let the decoder tell batches apart far better than it has learned to."""
        for table in self.model.decoder.batches:
            torch.nn.init.normal_(table.weight, std=3.0)
        return self

    def with_known_latents(self) -> LoadedFit:
        """Let the guide be as good as sure of the latent variables."""
        posteriors = self.guide.posteriors

        def known(*arguments: Tensor) -> dict:
            found = posteriors(*arguments)
            states = found["z"].mean
            scale = torch.full_like(states, KNOWN)
            library = found["library"].loc
            sure = {
                "z": Normal(states, scale).to_event(1),
                "library": LogNormal(library, torch.full_like(library, KNOWN)),
            }
            return {**found, **sure}

        self.guide.posteriors = known
        return self

    def with_known_expression(self) -> LoadedFit:
        """Let the posterior of expression be one that is known: see :meth:`known_draws`."""
        self.with_known_latents()
        self.asked: list[int] = []
        self.drawn: list[int] = []

        def expression(samples: list, batches: Tensor, obs: Tensor) -> SampledPosterior:
            self.asked.append(len(samples))
            return SampledPosterior(torch.cat([self._draws(own, batches) for own in samples]))

        def draw_expression(latents: dict[str, Tensor], batches: Tensor, obs: Tensor) -> Tensor:
            self.drawn.append(len(batches))
            return self._draws(latents, batches)

        self.model.expression = expression
        self.model.draw_expression = draw_expression
        return self

    def _draws(self, latents: dict[str, Tensor], batches: Tensor) -> Tensor:
        weights = (1.0 + torch.arange(self.cells.num_isoforms)) / 30
        library = latents["library"] * (1 + batches.unsqueeze(-1))
        return FACTORS.view(-1, 1, 1) * (library * weights)

    def known_draws(self) -> np.ndarray:
        """Draws of the known posterior for each sample, shape (draws, cells, isoforms)."""
        batch = self.tensors.batch(np.arange(self.cells.num_cells))
        with torch.no_grad():
            found = self.guide.posteriors(batch.bootstraps, batch.offsets, batch.batches)
            draws = self._draws({"library": found["library"].loc.exp()}, batch.batches)
        return draws.double().numpy()


@pytest.fixture
def load(folder: Path, fit_folder: Callable[[str], Path]) -> Callable[[str], LoadedFit]:
    """Give what loads a fit, with all its cells, anew."""
    return lambda kind: LoadedFit(fit_folder(kind), folder / "cells.h5ad")
