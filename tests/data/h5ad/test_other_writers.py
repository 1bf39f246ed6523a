"""Cells of other programs and of old versions: read right, and written as everybody reads them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import open_cells, read_cells
from exvae.data.quantified.filtering import filter_isoforms

from ..cell_table import BOOTSTRAPS, CELLS, ISOFORMS, draw, table
from .damage import Change, edited, every_attribute, replaced

PLACES = ["X", *(f"layers/infRep{n + 1}" for n in range(BOOTSTRAPS)), "obsm/other", "raw/X"]


def as_type(dtype: str, *parts: str) -> Change:
    """Write the indices, or the values, of every sparse matrix in another type."""

    def apply(file: h5py.File) -> None:
        for place in PLACES:
            for part in parts:
                replaced(f"{place}/{part}", lambda values: values.astype(dtype))(file)

    return apply


def types_of_java(file: h5py.File) -> None:
    """Store types beside the data, as the HDF5 library for Java does in every folder."""
    for place in ("/", "layers", "uns", "obsm"):
        types = file[place].create_group("__DATA_TYPES__")
        types["Enum_Boolean"] = np.dtype("i1")


def unknown_attributes(file: h5py.File) -> None:
    """Leave out what tells how elements are stored, but for tables."""
    for place in ("layers", "uns", "obsm"):
        for name in ("encoding-type", "encoding-version"):
            del file[place].attrs[name]


def old_sparse(file: h5py.File) -> None:
    """Describe sparse matrices as anndata before 0.7 did."""
    for place in PLACES:
        shape = file[place].attrs["shape"]
        for name in list(file[place].attrs):
            del file[place].attrs[name]
        file[place].attrs.update({"h5sparse_format": b"csr", "h5sparse_shape": shape})


def old_tables(file: h5py.File) -> None:
    """Write tables as compound datasets, as anndata before 0.7 did."""
    obs = {"index": [f"cell{n}" for n in range(CELLS)], "batch": [1, 0, 1, 0, 1, 0, 1]}
    obs["n_bootstraps"] = [BOOTSTRAPS] * CELLS
    var = {"index": [f"iso{n}" for n in range(ISOFORMS)], "gene": list("ggghh")}
    for name, columns in (("obs", obs), ("var", var)):
        kinds = [(key, "S8" if isinstance(own[0], str) else "i8") for key, own in columns.items()]
        rows = np.array(list(zip(*columns.values(), strict=True)), dtype=kinds)
        del file[name]
        file[name] = rows
    file["uns/batch_categories"] = np.array([b"a", b"b"])


OTHERS = {
    "unsigned indices": as_type("u4", "indices", "indptr"),
    "long indices": as_type("i8", "indices", "indptr"),
    "long unsigned indices": as_type("u8", "indices", "indptr"),
    "mixed indices": as_type("i8", "indptr"),
    "fractional indices": as_type("f8", "indices", "indptr"),
    "other byte order": as_type(">f8", "data"),
    "bytes": every_attribute(lambda text: np.bytes_(text)),
    "arrays": every_attribute(lambda text: np.array([text], dtype=h5py.string_dtype())),
    "arrays of bytes": every_attribute(lambda text: np.array([text.encode()])),
    "types of Java": types_of_java,
    "unknown": unknown_attributes,
    "old sparse": old_sparse,
    "old tables": old_tables,
}


@pytest.fixture
def made() -> anndata.AnnData:
    cells = table()
    cells.uns["settings"] = {"name": "text", "numbers": np.arange(3)}
    cells.obsm["other"] = scipy.sparse.csr_matrix(np.eye(CELLS, 2))
    cells.varm["weights"] = np.arange(2.0 * ISOFORMS).reshape(ISOFORMS, 2)
    cells.raw = cells
    return cells


@pytest.mark.parametrize("change", OTHERS.values(), ids=list(OTHERS))
def test_every_way_to_write_cells(change: Change, made: anndata.AnnData, tmp_path: Path) -> None:
    made.write_h5ad(tmp_path / "cells.h5ad")
    path = edited(tmp_path / "cells.h5ad", change)
    counts, draws = draw()
    cells = read_cells(path, "batch")
    np.testing.assert_array_equal(cells.counts.toarray(), counts)
    for found, expected in zip(cells.bootstraps, draws, strict=True):
        np.testing.assert_array_equal(found.toarray(), expected)
    assert cells.batch_names == ("a", "b")
    assert cells.batches.tolist() == [1, 0, 1, 0, 1, 0, 1]
    assert cells.genes.tolist() == list("ggghh")

    filter_isoforms(path, tmp_path / "out.h5ad", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # also about old formats
        again = anndata.read_h5ad(tmp_path / "out.h5ad")
    require_usable(again.X, counts)
    require_usable(again.layers["infRep2"], draws[1])
    require_usable(again.obsm["other"], np.eye(CELLS, 2))
    require_usable(again.raw.X, counts)
    np.testing.assert_array_equal(again.varm["weights"], made.varm["weights"])
    assert again.uns["settings"]["name"] == "text"
    assert again.uns["settings"]["numbers"].tolist() == [0, 1, 2]
    assert again.obs["batch"].astype(str).tolist() == list("bababab")
    backed = anndata.read_h5ad(tmp_path / "out.h5ad", backed="r")
    require_usable(backed.X[1:3], counts[1:3])
    backed.file.close()


def require_usable(matrix: scipy.sparse.csr_matrix, expected: np.ndarray) -> None:
    """Require a matrix that scipy computes with."""
    np.testing.assert_array_equal((matrix @ np.eye(matrix.shape[1])), expected)
    np.testing.assert_array_equal(matrix[[0, 1]].toarray(), expected[:2])
    np.testing.assert_allclose((matrix.T @ matrix).toarray(), expected.T @ expected, rtol=1e-5)


@pytest.mark.parametrize("missing", [False, True])
def test_nullable_strings(missing: bool, tmp_path: Path) -> None:
    made = table()
    made.obs["donor"] = pd.array(["a", None if missing else "b"] * 3 + ["a"], dtype="string")
    made.var["gene"] = pd.array([None if missing else "g", *"gghh"], dtype="string")
    made.obs.index = made.obs.index.astype("string")
    made.uns["words"] = pd.array(["x", "y"], dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        made.write_h5ad(tmp_path / "cells.h5ad")
    path = tmp_path / "cells.h5ad"
    assert read_cells(path).genes.tolist() == ["iso0" if missing else "g", *"gghh"]
    if missing:
        with pytest.raises(DataError, match="lacks the batch of some cells"):
            read_cells(path, "donor")
    else:
        assert read_cells(path, "donor").batch_names == ("a", "b")
    filter_isoforms(path, tmp_path / "out.h5ad", 1)
    again = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert again.obs["donor"].isna().sum() == 3 * missing
    assert again.uns["words"].tolist() == ["x", "y"]
    with h5py.File(tmp_path / "out.h5ad") as file:
        assert "nullable-string-array" not in kinds_in(file)


def kinds_in(file: h5py.File) -> set[str]:
    kinds: set[str] = set()
    file.visititems(lambda _, stored: kinds.add(stored.attrs.get("encoding-type")))
    return kinds


def test_a_cell_without_a_name(tmp_path: Path) -> None:
    made = table()
    made.obs.index = pd.Index(["a", None, *map(str, range(5))], dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        made.write_h5ad(tmp_path / "cells.h5ad")
    with pytest.raises(DataError, match="obs cannot be read .a row without a name"):
        read_cells(tmp_path / "cells.h5ad")


@pytest.mark.parametrize("convert", [scipy.sparse.csc_matrix, np.asarray])
def test_cells_of_tximeta(convert: Callable, tmp_path: Path) -> None:
    """Assays become layers, the first becomes X; the tables of R call genes ``gene_id``."""
    made = table(convert)
    del made.obs["n_bootstraps"]
    made.var = made.var.rename(columns={"gene": "gene_id"})
    made.var["tx_id"] = np.arange(ISOFORMS)
    lengths = np.linspace(100.0, 500.0, ISOFORMS)
    made.layers["abundance"] = convert(made.layers["infRep1"] * 3.0)
    made.layers["length"] = np.outer(np.linspace(0.5, 1.5, CELLS), lengths)
    made.write_h5ad(tmp_path / "cells.h5ad")
    cells = read_cells(tmp_path / "cells.h5ad")
    assert cells.genes.tolist() == list("ggghh")
    np.testing.assert_array_equal(cells.bootstraps[3].toarray(), draw()[1][3])
    np.testing.assert_allclose(cells.effective_lengths, lengths)
    with open_cells(tmp_path / "cells.h5ad") as file:
        np.testing.assert_array_equal(
            np.vstack([dense(file.read_rows("X", slice(n, n + 1))) for n in range(CELLS)]),
            draw()[0],
        )


def dense(rows: scipy.sparse.csr_matrix | np.ndarray) -> np.ndarray:
    return rows if isinstance(rows, np.ndarray) else rows.toarray()


def of_pytximport(**uns: object) -> anndata.AnnData:
    """Make cells as pytximport 0.13 writes them."""
    counts, draws = draw()
    lengths = np.full((CELLS, ISOFORMS), 250.0)
    return anndata.AnnData(
        counts.astype(float),
        obs=pd.DataFrame(index=[f"quantified/cell{n}/abundance.h5" for n in range(CELLS)]),
        var=pd.DataFrame(index=[f"iso{g}" for g in range(ISOFORMS)]),
        obsm={"length": lengths, "abundance": counts / lengths},
        uns={"inferential_replicates": np.moveaxis(draws, 0, -1).astype(float), **uns},
    )


def test_cells_of_pytximport(read, tmp_path: Path) -> None:
    cells = read(of_pytximport())
    counts, draws = draw()
    np.testing.assert_array_equal(cells.counts.toarray(), counts)
    for found, expected in zip(cells.bootstraps, draws, strict=True):
        np.testing.assert_array_equal(found.toarray(), expected)
    assert cells.num_bootstraps.tolist() == [BOOTSTRAPS] * CELLS
    assert cells.effective_lengths.tolist() == [250.0] * ISOFORMS
    filter_isoforms(tmp_path / "cells.h5ad", tmp_path / "out.h5ad", 1)
    again = anndata.read_h5ad(tmp_path / "out.h5ad")
    require_usable(again.layers["infRep4"], draws[3])
    assert "inferential_replicates" not in again.uns
    np.testing.assert_array_equal(
        read_cells(again).mean_bootstraps.toarray(), cells.mean_bootstraps.toarray()
    )


def test_scaled_counts_of_pytximport(read) -> None:
    with pytest.raises(DataError, match="made of abundances .scaled_tpm.* counts_from_abundance"):
        read(of_pytximport(counts_from_abundance="scaled_tpm"))


def test_replicates_of_other_cells(read) -> None:
    with pytest.raises(DataError, match=r"has the shape \(7, 5, 4\), but there are 6 cells and 5"):
        read(of_pytximport()[1:].copy())


def test_categories_of_nullable_strings_and_columns_of_mixed_kinds(tmp_path: Path) -> None:
    made = table()
    made.obs["kind"] = pd.Categorical(pd.array(["x", "y", None, "x", "x", "y", "y"], "string"))
    made.obs["mixed"] = pd.Series(["a", 1, 2.5, None, "b", "b", "b"], made.obs.index, dtype=object)
    found = read_cells(made).obs
    assert found["kind"].cat.categories.tolist() == ["x", "y"]
    assert found["kind"].isna().sum() == 1
    assert found["mixed"].tolist()[:3] == ["a", "1", "2.5"]
    with anndata.settings.override(allow_write_nullable_strings=True):
        del made.obs["mixed"]
        made.write_h5ad(tmp_path / "cells.h5ad")
    filter_isoforms(tmp_path / "cells.h5ad", tmp_path / "out.h5ad", 1)
    with h5py.File(tmp_path / "out.h5ad") as file:
        assert "nullable-string-array" not in kinds_in(file)
