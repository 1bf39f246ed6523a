"""Users are told what a fit to their cells suffers from, on the command line and in Python."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pytest
from anndata import AnnData

import exvae as package
from exvae.data.cells import Cells
from exvae.data.errors import DataWarning
from exvae.data.h5ad.reading import read_cells
from exvae.experiments import pl
from exvae.experiments.isoforms.exported import read_exported
from exvae.experiments.isoforms.notes import model_of, notes_of_cells, notes_of_intervals
from exvae.models import MODELS
from exvae.models.cells import CellModel
from exvae.models.isoforms import EffectiveReadIsoforms
from exvae.models.paper_isoforms import BootstrapIsoforms
from exvae.models.scvi import SCVI

from ...small_data import draw_cells

EVERY_MODEL = (EffectiveReadIsoforms, BootstrapIsoforms, SCVI)


def first(cells: Cells, number: int) -> Cells:
    """Take the names of the first cells alone: notes read no more of each."""
    return replace(cells, names=cells.names[:number])


@pytest.fixture
def whole_cells(small_cells: Cells) -> Cells:
    """Make cells whose estimates are whole."""
    counts = small_cells.counts.copy()
    counts.data = np.ceil(counts.data)
    return replace(small_cells, counts=counts)


def imported(number: int = 0) -> AnnData:
    """Make cells as an import does, with a column in obs for the number of bootstraps."""
    cells = draw_cells(number)
    cells.obs["n_bootstraps"] = 4
    cells.obs_names = [f"{name}_{number}" for name in cells.obs_names]
    return cells


@pytest.mark.parametrize("model", EVERY_MODEL)
def test_few_cells_are_told(whole_cells: Cells, model: type[CellModel]) -> None:
    assert list(notes_of_cells(first(whole_cells, 20), model)) == []
    (note,) = notes_of_cells(first(whole_cells, 19), model)
    assert note == ("the cells: 19 cells tell a model little of what cells share; give 20 or more")


def test_small_batches_are_told(whole_cells: Cells) -> None:
    for number, told in (
        (4, []),
        (5, ["the cells: 24 cells are in 5 batches"]),
        (12, ["the cells: 24 cells are in 12 batches"]),
        (13, []),  # is refused
    ):
        names = tuple(f"batch{code}" for code in range(number))
        cells = replace(whole_cells, batches=np.arange(24) % number, batch_names=names)
        notes = list(notes_of_cells(cells, EffectiveReadIsoforms))
        assert [note.partition(",")[0] for note in notes] == told


@pytest.mark.parametrize(
    ("names", "measured"),
    [
        ([f"{number / 4}" for number in range(11)], True),
        ([f"{number / 4}" for number in range(10)], False),
        ([f"{number}.0" for number in range(11)], False),
        ([f"{number / 4}" for number in range(10)] + ["b"], False),
    ],
)
def test_batches_that_are_measurements_are_told(
    whole_cells: Cells, names: list[str], measured: bool
) -> None:
    batches = np.arange(24) % len(names)
    cells = replace(whole_cells, batches=batches, batch_names=tuple(names))
    notes = "".join(notes_of_cells(cells, EffectiveReadIsoforms))
    assert ("is batch_key a measurement?" in notes) == measured


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"genes": None}, "no column gene"),
        ({"genes": np.array(list("abcdef"))}, "no two isoforms share a gene"),
        ({"bootstraps": ()}, "no two bootstraps are kept"),
        ({"genes": None, "lost_var": True}, 'merge="same"'),
    ],
)
def test_unknown_genes_are_told_where_a_model_needs_them(
    whole_cells: Cells, change: dict, reason: str
) -> None:
    cells = replace(whole_cells, **change)
    (note,) = notes_of_cells(cells, EffectiveReadIsoforms)
    assert note.startswith("the cells: each isoform is taken as a gene of its own: ")
    assert reason in note
    # Without any bootstraps there is an error instead.
    assert list(notes_of_cells(replace(cells, summary=None), EffectiveReadIsoforms)) == []
    for model in (BootstrapIsoforms, SCVI):
        assert any("merge" in note for note in notes_of_cells(cells, model)) == cells.lost_var


def test_only_models_of_counts_round(small_cells: Cells, whole_cells: Cells) -> None:
    (note,) = notes_of_cells(small_cells, SCVI)
    assert "rounded" in note
    assert list(notes_of_cells(whole_cells, SCVI)) == []
    assert list(notes_of_cells(small_cells, BootstrapIsoforms)) == []


def test_concatenation_that_dropped_the_genes_is_told(tmp_path: Path) -> None:
    parts = [imported(0), imported(1)]
    kept = anndata.concat(parts, merge="same")
    dropped = anndata.concat(parts)
    assert not read_cells(kept).lost_var
    assert read_cells(dropped).lost_var
    assert read_cells(kept).genes is not None
    # Cells of another origin never had genes.
    del dropped.obs["n_bootstraps"]
    assert not read_cells(dropped).lost_var
    dropped.uns["exvae_import"] = {"exvae_version": "1"}
    dropped.write_h5ad(tmp_path / "cells.h5ad")
    assert read_cells(tmp_path / "cells.h5ad").lost_var


def test_python_warns_of_what_the_command_tells(exvae, tmp_path: Path) -> None:
    cells = anndata.concat([imported(0), imported(1)])
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.warns(DataWarning, match='anndata.concat.*merge="same"') as warned:
        package.prepare(cells, device="cpu")
    assert warned[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        package.prepare(anndata.concat([imported(0), imported(1)], merge="same"), device="cpu")
    done = exvae(
        *("isoforms", "fit", tmp_path / "cells.h5ad", "--out", tmp_path / "fit", "--epochs", 1)
    )
    (line,) = [line for line in done.err.splitlines() if line.startswith("exvae: ")]
    assert str(warned[0].message).replace("adata", str(tmp_path / "cells.h5ad")) in line


def test_narrow_intervals_are_told_where_they_are_written_and_drawn(
    exvae, small_cells: Cells, fit_cells, tmp_path: Path
) -> None:
    cells = draw_cells()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert {model: len(list(notes_of_intervals(model))) for model in MODELS} == {
        "effective-reads": 0,
        "reads": 0,
        "paper": 0,
        "scvi": 1,
    }
    for model in ("scvi", "effective-reads"):
        fit_cells(f"fit_{model}", cells=read_cells(cells), model=model)
        out = tmp_path / f"{model}.h5ad"
        arguments = [tmp_path / f"fit_{model}", tmp_path / "cells.h5ad", "--samples", 1]
        exported = exvae("isoforms", "export", *arguments, "--out", out)
        drawn = exvae("isoforms", "gene", out, "gene0", "--out", tmp_path / f"{model}.png")
        for done in (exported, drawn):
            assert done.status == 0, done.err
            assert ("66 to 88 % of true values" in done.err) == (model == "scvi")
        drawn_cells, _ = read_exported(out, ["gene0"])
        assert model_of(drawn_cells) == model
        title = pl.gene(drawn_cells, "gene0").get_suptitle()
        assert ("66 to 88 % of true values" in title) == (model == "scvi")
