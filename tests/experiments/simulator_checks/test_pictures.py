"""The page of simulated data beside data of reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from exvae.data.h5ad.reading import read_cells
from exvae.data.quantified.importing import import_cells
from exvae.data.reads.transcripts import read_transcripts
from exvae.data.simulators.symsim.cells import simulate_cells
from exvae.data.simulators.symsim.settings import ObservationSettings
from exvae.experiments.demo import simulate_isoforms
from exvae.experiments.simulator_checks import bootstraps, pictures, symsim
from exvae.experiments.simulator_checks.comparison import View, compare_statistics
from exvae.experiments.simulator_checks.pictures import (
    Compared,
    simulate_like_cells,
    simulate_like_symsim,
)


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    """Write counts in the format of those that SymSim has simulated."""
    path = tmp_path / "symsim.npz"
    settings = ObservationSettings(depth_mean=2e4, depth_sd=1e3)
    cells = simulate_cells(60, 40, observation=settings, seed=9)
    np.savez(
        path,
        true_counts=cells.expression.counts,
        observed_counts=cells.observation.counts,
        depth=cells.observation.library.depth,
    )
    return path


@pytest.fixture
def run(monkeypatch) -> Callable[..., None]:
    """Run the script in this process."""

    def run(*arguments: object) -> None:
        monkeypatch.setattr("sys.argv", ["pictures", *map(str, arguments)])
        pictures.main()

    return run


def test_the_script(run: Callable, counts: Path, tmp_path: Path, capsys) -> None:
    cells, out = tmp_path / "cells.h5ad", tmp_path / "out"
    simulate_isoforms(cells, 15, 20, 4, num_types=3, depth=400.0, seed=0)
    run(
        *("--out", out, "--symsim", counts, "--cells", cells),
        *("--seeds", 2, "--symsim-seeds", 3, "--usage-noise", 0.05),
    )
    printed = capsys.readouterr().out
    assert "share of zeros, observed" in printed
    assert "share of bootstraps that are not whole" in printed
    for name in ("symsim", "isoforms"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        numbers = pd.read_csv(out / f"{name}.csv")
        assert numbers.groupby("data")["replicate"].nunique().to_dict() == (
            {"SymSim": 1, "simulated, 3 seeds": 3}
            if name == "symsim"
            else {"kallisto": 1, "simulated, 2 seeds": 2}
        )
        statistics = pd.read_csv(out / f"{name}_statistics.csv")
        assert statistics["statistic"].is_unique


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "nothing to draw"),
        (["--symsim", "{folder}/none.npz"], "cannot be read as counts of SymSim"),
        (["--symsim", "{folder}/empty.npz"], "cannot be read as counts of SymSim"),
        (["--symsim", "{folder}/cut.npz"], "cannot be read as counts of SymSim"),
        (["--symsim", "{folder}/symsim.npz", "--symsim-seeds", "1"], "at least 2"),
        (["--symsim", "{folder}/symsim.npz", "--out", "{folder}/empty.npz"], "another --out"),
        (["--cells", "{folder}/none.h5ad"], "none.h5ad"),
        (["--cells", "{folder}/cells.h5ad"], "obs has no column 'cell_type'"),
        (["--cells", "{folder}/cells.h5ad", "--usage-noise", "1"], "--usage-noise"),
        (["--cells", "{folder}/cells.h5ad", "--t2g", "{folder}/t2g.tsv"], "--transcripts"),
    ],
)
def test_bad_input(run: Callable, counts: Path, capsys, arguments: list[str], reason: str) -> None:
    folder = counts.parent
    (folder / "empty.npz").touch()
    (folder / "cut.npz").write_bytes(counts.read_bytes()[:200])
    write_cells_without_types(folder / "cells.h5ad")
    with pytest.raises(SystemExit) as ended:
        run("--out", folder / "out", *(each.format(folder=folder) for each in arguments))
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err.splitlines()[-1]


def write_cells_without_types(path: Path) -> None:
    """Write two cells with a bootstrap each."""
    counts = csr_matrix(np.ones((2, 3), np.float32))
    cells = AnnData(counts, pd.DataFrame(index=["one", "two"]), pd.DataFrame(index=["a", "b", "c"]))
    cells.layers["infRep1"] = counts
    cells.write_h5ad(path)


def compared(view: View, data: Compared) -> pd.DataFrame:
    """Statistics of simulated data sets beside those of the reference."""
    simulated = [view.statistics_of(each) for each in data.simulated]
    return compare_statistics(simulated, view.statistics_of(data.reference))


def test_symsim_agrees(shared_data: Path) -> None:
    data = simulate_like_symsim(shared_data / "symsim" / "symsim_small.npz", range(40))
    table = compared(symsim.VIEW, data)
    assert table["z_score"].abs().max() < 4
    assert np.mean(table["z_score"] ** 2) < 3


@pytest.mark.slow
def test_kallisto_agrees(shared_data: Path, tmp_path: Path) -> None:
    folder, cells = shared_data / "cells_kallisto", tmp_path / "cells.h5ad"
    t2g = folder / "t2g.tsv"
    import_cells(sorted(folder.glob("cell_*")), cells, t2g, folder / "cells.csv")
    transcripts, _ = read_transcripts(folder / "transcripts.fa", t2g)
    # The usage of isoforms varies so much between the cells of reference.
    data = simulate_like_cells(read_cells(cells), range(4), transcripts, usage_noise=0.05)
    table = compared(bootstraps.VIEW, data)
    near = (table["reference"] / table["simulated_mean"] - 1).abs() < 0.25
    assert near.all(), table
    # Of a t distribution with three degrees of freedom.
    assert (table["z_score"].abs() < 8).all(), table
