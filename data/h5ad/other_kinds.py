"""HDF5 files of other programs that are given as cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import h5py

_QUANTIFY = (
    "quantify the cells with bootstraps (kallisto or salmon) and import them, or if counts are "
    "enough (model scvi)"
)


def other_kind(file: h5py.File) -> str | None:
    """Tell which other file this is, with the remedy; None if it may hold AnnData.

    MuData holds several AnnData in ``mod``, loom a matrix of genes by cells beside their
    attributes, 10x Genomics one with barcodes in a group, and kallisto the estimates of one cell.
    """
    if "mod" in file and "X" not in file:
        return (
            "is MuData, several tables of the same cells; give one of them as .h5ad "
            "(mudata.read_h5mu(path)[name].write_h5ad)"
        )
    if "obs" in file or "var" in file:
        return None
    if {"assays", "meta.data"} <= set(file):
        return "is an object of Seurat; write it as .h5ad (SeuratDisk::Convert) and give that"
    if {"matrix", "row_attrs", "col_attrs"} <= set(file):
        return (
            f"is a loom file, which has no place for bootstraps; {_QUANTIFY}, write it as .h5ad "
            "(anndata.io.read_loom, then write_h5ad)"
        )
    if any("barcodes" in group for group in file.values() if hasattr(group, "keys")):
        return (
            "is a count matrix of 10x Genomics, which tells genes and no isoforms; "
            f"{_QUANTIFY}, write it as .h5ad (scanpy.read_10x_h5, then write_h5ad)"
        )
    if "est_counts" in file and "aux" in file:
        return "is one cell of kallisto; import its folder (exvae isoforms import) and give that"
    return None
