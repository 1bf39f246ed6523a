"""Import of class counts: estimates and bootstraps made from them, and the classes themselves."""

from __future__ import annotations

import os
from pathlib import Path

import anndata
import numpy as np
import pytest
from scipy.io import mmread

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.h5ad.writing import H5adRows
from exvae.data.reads.importing import ReadOptions, _places, import_reads
from exvae.data.simulators.cells import SimulationOptions, simulate_cells
from exvae.data.simulators.gene_structures import draw_transcripts

from .bus_folder import COUNTS, ISOFORMS, write_bus
from .test_salmon_classes import write_cell

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "cells_reads"


def test_the_file_of_a_few_cells(tmp_path: Path) -> None:
    folder, out = write_bus(tmp_path / "bus"), tmp_path / "cells.h5ad"
    (tmp_path / "t2g.tsv").write_text("t1\tg1\nt2\tg1\nt3\tg2\nt4\tg3\n")
    (tmp_path / "cells.csv").write_text("cell,kind\nB,b\nA,a\nC,c\n")
    summary = import_reads([folder], out, tmp_path / "t2g.tsv", tmp_path / "cells.csv")
    # Of all reads one fits every isoform, and tells nothing.
    assert summary.notes == ("2.63% of the reads fit more than 3 isoforms and are left out",)
    assert (summary.cells, summary.isoforms, summary.genes, summary.layers) == (3, 4, 3, 20)
    adata = anndata.read_h5ad(out)
    assert adata.obs_names.tolist() == ["A", "B", "C"]
    assert adata.obs["kind"].tolist() == ["a", "b", "c"]
    assert adata.var["gene"].tolist() == ["g1", "g1", "g2", "g3"]
    assert adata.var["effective_length"].tolist() == [801.0, 1301.0, 601.0, 401.0]
    np.testing.assert_array_equal(adata.obsm["reads"].toarray(), COUNTS[:, :-1])
    stored = adata.uns["reads"]
    assert stored["isoforms"].tolist() == ISOFORMS
    assert stored["starts"].tolist() == [0, 1, 2, 3, 4, 6]
    assert stored["members"].tolist() == [0, 1, 2, 3, 0, 1]
    # All reads of a cell are divided; the first has none that are t2's alone.
    np.testing.assert_allclose(np.asarray(adata.X.sum(1)).ravel(), COUNTS[:, :-1].sum(1), rtol=1e-6)
    np.testing.assert_allclose(adata.X.toarray()[0], [12, 0, 3, 0], atol=1e-4)
    read_cells(out).require_bootstraps()


def test_bootstraps_depend_on_the_cell_and_the_seed(tmp_path: Path) -> None:
    folder = write_bus(tmp_path / "bus")
    (tmp_path / "cells.csv").write_text("cell,kind\nB,b\n")
    options = ReadOptions(num_bootstraps=3, num_layers=2, only_listed=True)
    paths = [tmp_path / f"{name}.h5ad" for name in ("all", "listed", "other")]
    import_reads([folder], paths[0], options=options._replace(only_listed=False))
    summary = import_reads([folder], paths[1], obs=tmp_path / "cells.csv", options=options)
    assert (summary.cells, summary.layers, summary.max_bootstraps) == (1, 2, 3)
    import_reads([folder], paths[2], options=ReadOptions(3, seed=1))
    whole, listed, other = map(anndata.read_h5ad, paths)
    of_b = [part["B"].layers["infRep1"].toarray() for part in (whole, listed, other)]
    np.testing.assert_array_equal(of_b[0], of_b[1])
    assert (of_b[0] != of_b[2]).any()


def test_classes_of_many_isoforms_are_left_out(tmp_path: Path) -> None:
    folder, out = write_bus(tmp_path / "bus"), tmp_path / "cells.h5ad"
    summary = import_reads([folder], out, options=ReadOptions(2, max_members=1))
    assert "36.84% of the reads fit more than 1 isoforms" in summary.notes[0]
    assert anndata.read_h5ad(out).obsm["reads"].shape == (3, 4)


def test_cells_without_reads(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[1] = 0
    folder, out = write_bus(tmp_path / "bus", counts), tmp_path / "cells.h5ad"
    with pytest.raises(DataError, match="1 of 3 cells have no reads, the first is B; leave it out"):
        import_reads([folder], out)
    assert not out.exists()
    summary = import_reads([folder], out, options=ReadOptions(2, skip_bad=True))
    assert summary.cells == 2
    assert any("the first is B; they are left out" in note for note in summary.notes)


def test_cells_of_salmon(tmp_path: Path) -> None:
    for name in ("S1", "S2"):
        write_cell(tmp_path / "quants" / name, ["1 0 5", "2 0 2 7", "1 1 2"])
    summary = import_reads([tmp_path / "quants"], tmp_path / "cells.h5ad")
    assert (summary.cells, summary.isoforms, summary.reads) == (2, 3, 28)
    assert anndata.read_h5ad(tmp_path / "cells.h5ad").obs_names.tolist() == ["S1", "S2"]


def test_cells_with_the_same_reads_are_told(tmp_path: Path) -> None:
    for name in ("S1", "S2"):
        write_cell(tmp_path / "quants" / name, ["1 0 5", "2 0 2 7", "1 1 2"])
    notes = import_reads([tmp_path / "quants"], tmp_path / "cells.h5ad").notes
    assert any(note.startswith("warning: S1 and S2 have the same reads; if") for note in notes)


@pytest.mark.parametrize("changed", ["t2g.tsv", "bus/flens.txt", "bus/counts/tcc.mtx"])
def test_sources_that_change_while_they_are_read(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = write_bus(tmp_path / "bus"), tmp_path / "cells.h5ad"
    (tmp_path / "t2g.tsv").write_text("t1\tg1\nt2\tg1\nt3\tg2\nt4\tg3\n")
    append = H5adRows.append

    def change_and_append(*arguments: object) -> None:
        with open(tmp_path / changed, "a") as file:
            file.write("\n")
        append(*arguments)

    monkeypatch.setattr(H5adRows, "append", change_and_append)
    with pytest.raises(DataError, match=f"{changed}: changed while it was read"):
        import_reads([folder], out, tmp_path / "t2g.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bus", "t2g.tsv"]


def test_cells_of_salmon_that_change_while_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = write_cell(tmp_path / "quants" / "S1", ["1 0 5"])
    append = H5adRows.append

    def change_and_append(*arguments: object) -> None:
        (cell / "quant.sf").write_text("")
        append(*arguments)

    monkeypatch.setattr(H5adRows, "append", change_and_append)
    with pytest.raises(DataError, match=r"S1/quant\.sf: changed while it was read"):
        import_reads([tmp_path / "quants"], tmp_path / "cells.h5ad")


def test_a_folder_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S1", "S2"):
        write_cell(tmp_path / "quants" / "plate" / name, ["1 0 5"])
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path).name) or scandir(path))
    _places([tmp_path / "quants"], None)
    assert [listed.count(name) for name in ("plate", "S1", "S2")] == [1, 1, 1]


def test_a_simulation_keeps_its_reads(tmp_path: Path) -> None:
    """Estimates made again from the classes in the file are those of the simulation."""
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(30, generator)
    genes = len(np.unique(transcripts.genes))
    out = tmp_path / "cells.h5ad"
    expression = generator.gamma(1.0, 100.0, (4, genes))
    options = SimulationOptions(3, keep_reads=True)
    simulate_cells(out, transcripts, expression, np.array(list("aabb")), generator, options)
    adata = anndata.read_h5ad(out)
    starts, members = adata.uns["reads"]["starts"], adata.uns["reads"]["members"]
    assert adata.uns["reads"]["isoforms"].tolist() == adata.var_names.tolist()
    reads = adata.obsm["reads"].toarray()
    np.testing.assert_allclose(reads.sum(1), adata.obs["total_counts"], rtol=1e-5)
    alone = np.diff(starts) == 1
    least = np.zeros(adata.shape)
    least[:, members[starts[:-1][alone]]] = reads[:, alone]
    assert (adata.X.toarray() >= least * (1 - 1e-5)).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared data")
def test_estimates_are_those_of_kallisto(tmp_path: Path) -> None:
    """They differ a little, as kallisto takes the fragments of each cell alone."""
    folder, out = SHARED / "deep" / "bus", tmp_path / "cells.h5ad"
    summary = import_reads([folder], out, SHARED / "deep" / "t2g.tsv")
    assert (summary.cells, summary.isoforms, summary.notes) == (150, 879, ())
    adata = anndata.read_h5ad(out)
    kallisto = mmread(folder / "q" / "matrix.abundance.mtx.gz").toarray()
    np.testing.assert_allclose(adata.X.toarray(), kallisto, rtol=0.05, atol=0.1)
    of_kallisto = anndata.read_h5ad(SHARED / "deep" / "cells.h5ad")[:, adata.var_names]
    assert of_kallisto.obs_names.tolist() == adata.obs_names.tolist()
    one, other = (part.layers["bootstrap_ss"].sum() for part in (adata, of_kallisto))
    assert 0.95 < one / other < 1.05
