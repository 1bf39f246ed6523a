"""Cells quantified by salmon.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from .cell_files import as_bytes, read_json, read_table, read_tpm, reading_cell
from .quantifications import Quantification, check_counts, no_bootstraps, positions_of

SALMON_TABLE = "quant.sf"

# Bytes of a number in bootstraps.gz; old versions of salmon wrote whole numbers.
_TYPES = {8: "<f8", 4: "<i4"}


def read_salmon(directory: Path, max_bootstraps: int | None) -> Quantification:
    """Read a cell from ``quant.sf`` and the bootstraps in ``aux_info``.

    See :func:`~.directories.read_quantification`.
    """
    path = directory / SALMON_TABLE
    columns = {"Length": np.int32, "EffectiveLength": np.float64, "NumReads": np.float64}
    table = read_table(path, "Name", columns)
    command = read_json(directory / "cmd_info.json", optional=True)
    auxiliary = directory / str(command.get("auxDir", "aux_info"))
    meta_path = auxiliary / "meta_info.json"
    meta = read_json(meta_path)
    counts = table["NumReads"].to_numpy()
    check_counts(directory, counts, meta.get("num_mapped"), lambda: read_tpm(path, "Name", "TPM"))
    with reading_cell(meta_path):
        num_bootstraps = int(meta.get("num_bootstraps", 0))
    if num_bootstraps == 0:
        remedy = "quantify the cell again with salmon quant --numBootstraps 30"
        raise no_bootstraps(directory, remedy)
    names_path = auxiliary / "bootstrap" / "names.tsv.gz"
    with reading_cell(names_path):
        names = np.array(gzip.decompress(names_path.read_bytes()).split(), dtype=np.bytes_)
    transcripts = as_bytes(table["Name"])
    order = positions_of(names_path, names, transcripts, f"the rows of {SALMON_TABLE}")
    bootstraps_path = auxiliary / "bootstrap" / "bootstraps.gz"
    with reading_cell(bootstraps_path):
        content = gzip.decompress(bootstraps_path.read_bytes())
        kind = _TYPES.get(len(content) / (num_bootstraps * len(names)))
        if kind is None:
            raise ValueError(f"not {num_bootstraps} bootstraps of {len(names)} transcripts")
        values = np.frombuffer(content, kind).reshape(num_bootstraps, -1)
    return Quantification(
        transcripts,
        table["Length"].to_numpy(),
        table["EffectiveLength"].to_numpy(),
        counts.astype(np.float32),
        values[:max_bootstraps, order].astype(np.float32),
        "salmon",
        str(meta.get("salmon_version", "")),
        str(meta.get("samp_type", "bootstrap")),
    )
