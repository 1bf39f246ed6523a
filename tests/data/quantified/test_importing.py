"""Directories of kallisto and salmon to one file that anndata reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from exvae.data.bootstraps import BootstrapSummary
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.importing import OBS_COLUMNS, ImportOptions, import_cells

from .quantifier_output import (
    Cell,
    draw_cell,
    write_kallisto_h5,
    write_salmon,
)


def layers_of(data: anndata.AnnData, cell: str) -> np.ndarray:
    """All layers of bootstraps of a cell, shape (layers, isoforms)."""
    number = len([name for name in data.layers if name.startswith("infRep")])
    rows = [data[cell].layers[f"infRep{layer}"].toarray() for layer in range(1, number + 1)]
    return np.concatenate(rows)


def assert_statistics(data: anndata.AnnData, cell: str, bootstraps: np.ndarray) -> None:
    """Statistics in the file are those of the bootstraps, shape (bootstraps, isoforms)."""
    summary = BootstrapSummary.of(torch.from_numpy(bootstraps.T.astype(np.float64)))
    row = data[cell]
    assert row.obs["n_bootstraps"].item() == len(bootstraps)
    np.testing.assert_array_equal(row.layers["bootstrap_zeros"][0], summary.zeros)
    for layer, values in (("mean", summary.mean), ("ss", summary.sum_of_squares)):
        found = row.layers[f"bootstrap_{layer}"].toarray()[0]
        np.testing.assert_allclose(found, values, rtol=1e-6)


def test_all_formats_in_one_file(folder: Path, cells: dict[str, Cell], tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    summary = import_cells([folder], out)
    data = anndata.read_h5ad(out)
    # Found in sorted folders; the first cell is salmon's, with shuffled transcripts or not.
    assert sorted(data.obs_names) == sorted(cells)
    assert list(data.obs_names) == list(find_cells([folder]).cells)
    assert data.shape == (7, 40)
    columns = [cells["cell_0"].transcripts.index(name) for name in data.var_names]
    for name, cell in cells.items():
        expected = cell.take(np.array(columns))
        row = data[name]
        assert expected.transcripts == list(data.var_names)
        np.testing.assert_array_equal(row.X.toarray()[0], expected.counts)
        layers = layers_of(data, name)
        np.testing.assert_array_equal(layers[: len(expected.bootstraps)], expected.bootstraps)
        assert not layers[len(expected.bootstraps) :].any()
        assert_statistics(data, name, expected.bootstraps)
        assert row.obs["total_counts"].item() == pytest.approx(expected.counts.sum())
        np.testing.assert_array_equal(data.var["length"], expected.lengths)
        np.testing.assert_allclose(data.var["effective_length"], expected.effective_lengths)
    assert summary.cells == 7
    assert summary.isoforms == summary.genes == 40
    assert (summary.min_bootstraps, summary.max_bootstraps, summary.layers) == (3, 6, 6)
    assert summary.reads == pytest.approx(sum(cell.counts.sum() for cell in cells.values()))


def test_the_format_is_that_of_the_schema(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "cells.h5ad"
    import_cells([folder], out)
    data = anndata.read_h5ad(out)
    sparse = ["bootstrap_mean", "bootstrap_ss", *(f"infRep{number}" for number in range(1, 7))]
    assert sorted(data.layers) == sorted([*sparse, "bootstrap_zeros"])
    for matrix in (data.X, *(data.layers[name] for name in sparse)):
        assert scipy.sparse.issparse(matrix)
        assert matrix.format == "csr"
        assert matrix.dtype == np.float32
        assert matrix.has_canonical_format
        assert (matrix.data != 0).all()
    assert data.layers["bootstrap_zeros"].dtype == np.int16
    assert list(data.obs.columns) == list(OBS_COLUMNS)
    assert data.obs["n_bootstraps"].dtype == np.int32
    quantifiers = (
        data.obs["quantifier"].astype(str) + " " + data.obs["quantifier_version"].astype(str)
    )
    assert set(quantifiers) == {"kallisto 0.48.0", "salmon 1.10.1"}
    assert list(data.var.columns) == ["gene", "length", "effective_length"]
    assert isinstance(data.var["gene"].dtype, pd.CategoricalDtype)
    assert "exvae_version" in data.uns["exvae_import"]


def test_the_file_is_written_again_by_anndata_and_read_in_place(
    folder: Path, tmp_path: Path
) -> None:
    out, again = tmp_path / "cells.h5ad", tmp_path / "again.h5ad"
    import_cells([folder], out)
    data = anndata.read_h5ad(out)
    data.write_h5ad(again)
    mapped = anndata.read_h5ad(out, backed="r")
    np.testing.assert_array_equal(mapped.X[2:5].toarray(), data.X[2:5].toarray())
    mapped.file.close()
    both = anndata.concat([data, anndata.read_h5ad(again)], index_unique="-", merge="same")
    assert both.shape == (14, 40)


def test_the_file_is_what_a_fit_reads(folder: Path, cells: dict[str, Cell], tmp_path: Path) -> None:
    for layers in (None, 2, 0):
        out = tmp_path / f"{layers}.h5ad"
        import_cells([folder], out, options=ImportOptions(num_layers=layers))
        read = read_cells(out)
        assert sorted(read.names) == sorted(cells)
        assert len(read.bootstraps) == (6 if layers is None else layers)
        expected = [len(cells[name].bootstraps) for name in read.names]
        np.testing.assert_array_equal(read.num_bootstraps, expected)
        first = cells[read.names[0]].bootstraps.mean(0)
        np.testing.assert_allclose(
            np.sort(read.mean_bootstraps[0].toarray()[0]), np.sort(first), rtol=1e-5
        )


def test_fewer_layers_and_fewer_bootstraps(
    folder: Path, cells: dict[str, Cell], tmp_path: Path
) -> None:
    out = tmp_path / "cells.h5ad"
    summary = import_cells([folder], out, options=ImportOptions(max_bootstraps=4, num_layers=2))
    data = anndata.read_h5ad(out)
    assert (summary.min_bootstraps, summary.max_bootstraps, summary.layers) == (3, 4, 2)
    assert "infRep3" not in data.layers
    columns = np.array([cells["cell_0"].transcripts.index(name) for name in data.var_names])
    for name, cell in cells.items():
        bootstraps = cell.bootstraps[:4, columns]
        assert_statistics(data, name, bootstraps)
        np.testing.assert_array_equal(layers_of(data, name), bootstraps[:2])
    assert data.uns["exvae_import"]["max_bootstraps"] == 4
    assert data.uns["exvae_import"]["layers"] == 2


def test_genes_and_columns(folder: Path, cells: dict[str, Cell], tmp_path: Path) -> None:
    transcripts = cells["cell_0"].transcripts
    genes = {name: f"gene_{number // 3}" for number, name in enumerate(transcripts)}
    t2g, obs, out = (tmp_path / name for name in ("t2g.tsv", "obs.csv", "cells.h5ad"))
    t2g.write_text("".join(f"{name}\t{gene}\n" for name, gene in genes.items()))
    rows = [f"{name},type_{number % 2}\n" for number, name in enumerate(cells)]
    obs.write_text("".join(["cell,type\n", *rows, "unknown,type_9\n"]))
    summary = import_cells([folder], out, t2g, obs)
    data = anndata.read_h5ad(out)
    assert data.var["gene"].to_dict() == genes
    assert summary.genes == 14
    assert data.obs["type"].to_dict() == {
        name: f"type_{number % 2}" for number, name in enumerate(cells)
    }
    assert data.uns["exvae_import"]["t2g"] == "t2g.tsv"
    assert summary.notes == (f"{obs}: 1 rows, the first unknown, are of no cell that is imported",)


def test_a_file_that_is_written_in_many_pieces(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_cells([folder], tmp_path / "whole.h5ad")
    monkeypatch.setattr("exvae.data.h5ad.writing._WAITING", 1)
    monkeypatch.setattr("exvae.data.h5ad.writing._CHUNK", 8)
    import_cells([folder], tmp_path / "pieces.h5ad")
    whole, pieces = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("whole", "pieces"))
    for layer in (None, *whole.layers):
        one, other = (data.to_df(layer=layer).to_numpy() for data in (whole, pieces))
        np.testing.assert_array_equal(one, other)


def test_without_genes_transcripts_stand_for_them(folder: Path, tmp_path: Path) -> None:
    summary = import_cells([folder], tmp_path / "cells.h5ad")
    assert len(summary.notes) == 1
    assert r"without a table of genes (t2g)" in summary.notes[0]
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert data.var["gene"].tolist() == data.var_names.tolist()


def test_gibbs_samples_are_noted(tmp_path: Path) -> None:
    write_salmon(tmp_path / "cells" / "a", draw_cell(seed=1), samples="gibbs")
    write_salmon(tmp_path / "cells" / "b", draw_cell(seed=2))
    summary = import_cells([tmp_path / "cells"], tmp_path / "cells.h5ad")
    assert any(note.startswith("1 of 2 cells hold Gibbs samples") for note in summary.notes)
    replicates = anndata.read_h5ad(tmp_path / "cells.h5ad").obs["replicate_type"]
    assert replicates.tolist() == ["gibbs", "bootstrap"]


def test_bootstraps_off_centre_are_noted(tmp_path: Path) -> None:
    for number in range(4):
        cell = draw_cell(seed=number, bootstraps=20)
        if number == 2:
            cell = cell._replace(counts=cell.counts[::-1].copy())
        write_kallisto_h5(tmp_path / "cells" / f"cell_{number}", cell)
    summary = import_cells([tmp_path / "cells"], tmp_path / "cells.h5ad")
    warned = [note for note in summary.notes if note.startswith("warning:")]
    assert len(warned) == 1
    assert "in 1 of 4 cells" in warned[0]
    assert "cell_2" in warned[0]
    assert "--bias" in warned[0]


def test_real_cells(shared_data: Path, tmp_path: Path) -> None:
    folder, out = shared_data / "cells_kallisto", tmp_path / "cells.h5ad"
    directories = sorted(folder.glob("cell_*"))[:30]
    summary = import_cells(
        directories, out, folder / "t2g.tsv", folder / "cells.csv", ImportOptions(num_layers=10)
    )
    assert summary.isoforms == 879
    assert summary.genes == 508
    # Only the rows of the cells that are left out: the bootstraps are centred.
    assert [note for note in summary.notes if "no cell that is imported" not in note] == []
    data = anndata.read_h5ad(out)
    truth = pd.read_csv(folder / "cells.csv", index_col=0)
    assert data.obs["cell_type"].tolist() == truth.loc[data.obs_names, "cell_type"].tolist()
    names = np.array([name.encode() for name in data.var_names])
    for directory in directories[::7]:
        read = read_quantification(directory, None, names)
        row = data[directory.name]
        np.testing.assert_array_equal(row.X.toarray()[0], read.counts)
        np.testing.assert_array_equal(layers_of(data, directory.name), read.bootstraps[:10])
        assert_statistics(data, directory.name, read.bootstraps)


def test_a_folder_with_the_same_cells_in_several_formats(shared_data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="same name as the cell"):
        import_cells([shared_data / "cells_kallisto"], tmp_path / "cells.h5ad")


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("quantifier", ["kallisto", "salmon"])
def test_values_are_those_of_pytximport(quantifier: str, shared_data: Path, tmp_path: Path) -> None:
    pytximport = pytest.importorskip("pytximport", reason='needs the extra "peers"')
    folder = shared_data / "cells_kallisto"
    directories = sorted(folder.glob("cell_*"))
    file = "abundance.h5"
    if quantifier == "salmon":
        directories, file = sorted((folder / "salmon").iterdir()), "quant.sf"
    import_cells(directories, tmp_path / "cells.h5ad")
    ours = anndata.read_h5ad(tmp_path / "cells.h5ad")
    theirs = pytximport.tximport(
        [directory / file for directory in directories],
        quantifier,
        return_transcript_data=True,
        inferential_replicates=True,
        ignore_transcript_version=False,
    )
    assert list(ours.var_names) == list(theirs.var_names)
    np.testing.assert_array_equal(ours.X.toarray(), theirs.X.astype(np.float32))
    replicates = theirs.uns["inferential_replicates"]  # (cells, isoforms, bootstraps)
    assert replicates.shape == (len(directories), 879, 30)
    for number in range(30):
        np.testing.assert_array_equal(
            ours.layers[f"infRep{number + 1}"].toarray(), replicates[..., number].astype(np.float32)
        )
    zeros = (replicates == 0).sum(-1)
    np.testing.assert_array_equal(ours.layers["bootstrap_zeros"], zeros)
    positive = np.where(replicates == 0, np.nan, replicates)
    seen = zeros < 30
    means = np.nanmean(positive[seen], -1)
    np.testing.assert_allclose(ours.layers["bootstrap_mean"].toarray()[seen], means, rtol=1e-5)
    squares = np.nanvar(positive[seen], -1) * (30 - zeros[seen])
    np.testing.assert_allclose(
        ours.layers["bootstrap_ss"].toarray()[seen], squares, rtol=1e-4, atol=1e-6
    )


def test_a_cell_under_two_names_is_told(tmp_path: Path) -> None:
    for number, name in enumerate(("A1", "A2", "B7", "B8", "C1")):
        write_kallisto_h5(tmp_path / "root" / name, draw_cell(seed=number % 3))
    summary = import_cells([tmp_path / "root"], tmp_path / "cells.h5ad")
    told = "warning: A1 and B8 have the same estimates and bootstraps, and so have 1 more pairs;"
    assert [note for note in summary.notes if note.startswith(told)]
    shutil.rmtree(tmp_path / "root" / "C1")
    shutil.rmtree(tmp_path / "root" / "B8")
    summary = import_cells([tmp_path / "root"], tmp_path / "cells.h5ad")
    assert not any("the same" in note for note in summary.notes)


SAME = np.tile(draw_cell(seed=1).bootstraps[0], (5, 1))


@pytest.mark.parametrize(
    ("bootstraps", "message"),
    [
        (SAME, "all bootstraps are the same, as of runs with one seed"),
        (np.tile(draw_cell(seed=1).counts, (5, 1)), "all bootstraps are copies of the estimates"),
    ],
    ids=["the same", "copies"],
)
def test_bootstraps_that_are_the_same_are_told(
    bootstraps: np.ndarray, message: str, tmp_path: Path
) -> None:
    write_kallisto_h5(tmp_path / "root" / "A1", draw_cell(seed=1)._replace(bootstraps=bootstraps))
    write_kallisto_h5(tmp_path / "root" / "A2", draw_cell(seed=2))
    notes = import_cells([tmp_path / "root"], tmp_path / "cells.h5ad").notes
    assert any(
        note.startswith(f"in 1 of 2 cells, the first A1, warning: {message}") for note in notes
    )
    assert not any("--bias" in note for note in notes)


def test_few_reads_may_be_drawn_alike(tmp_path: Path) -> None:
    counts = np.zeros(40)
    counts[3] = 1000
    cell = draw_cell(seed=1)._replace(counts=counts, bootstraps=np.tile(counts, (5, 1)))
    write_kallisto_h5(tmp_path / "root" / "A1", cell)
    notes = import_cells([tmp_path / "root"], tmp_path / "cells.h5ad").notes
    assert not any("bootstraps" in note for note in notes)
