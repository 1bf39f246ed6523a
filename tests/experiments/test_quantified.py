"""Quantified cells in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import exvae
from exvae.data.errors import DataError

from ..data.quantified.quantifier_output import draw_cell, write_kallisto_h5, write_salmon


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cells in folders of the same name, and a bad one."""
    for number in range(3):
        write_salmon(tmp_path / "cells" / f"S{number}" / "salmon", draw_cell(seed=number))
    nothing = draw_cell(seed=3)._replace(counts=np.zeros(40))
    write_kallisto_h5(tmp_path / "cells" / "S3", nothing)
    return tmp_path / "cells"


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_bad_cells_are_told_or_skipped(folder: Path) -> None:
    with pytest.raises(DataError, match="S3: is a cell without reads"):
        exvae.read_quantified(folder)
    adata = exvae.read_quantified(folder, skip_bad=True)
    assert adata.obs_names.tolist() == ["S0", "S1", "S2"]
    assert adata.uns["exvae_import"]["bad_cells"].tolist() == ["S3"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_sheet_and_a_table_of_cells(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sheet.csv").write_text("name,path\nb,cells/S1\na,cells/S0\nc,cells/S2\n")
    (tmp_path / "obs.csv").write_text(",type,well\n0,T,a\n1,B,b\n")
    adata = exvae.read_quantified(
        sheet=tmp_path / "sheet.csv", obs=tmp_path / "obs.csv", obs_key="well", only_listed=True
    )
    assert adata.obs["type"].to_dict() == {"b": "B", "a": "T"}
