"""Real kallisto and salmon on the same reads: what they write is imported, and agrees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from exvae.data.quantified.importing import import_cells
from exvae.data.reads.importing import import_reads
from exvae.data.simulators.gene_structures import draw_transcripts

from ..real_programs import installed, of_kb_python, run, sequence_cell, write_transcripts

CELLS = ("first", "second")
BOOTSTRAPS = 20


@pytest.fixture(scope="module")
def sequenced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Give a folder of transcripts and reads, and fragments of shape (cells, transcripts)."""
    folder = tmp_path_factory.mktemp("sequenced")
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(200, generator)
    write_transcripts(folder, transcripts)
    drawn = [sequence_cell(folder / cell, transcripts, generator)[1] for cell in CELLS]
    return folder, pd.DataFrame(drawn, index=CELLS, columns=transcripts.names)


def with_kallisto(program: str, *options: str) -> Callable[[Path, Path], None]:
    def quantify(folder: Path, out: Path) -> None:
        run(folder, program, "index", "-i", out / "index", "transcripts.fa")
        for cell in CELLS:
            reads = sorted((folder / cell).iterdir())
            command = [program, "quant", "-i", out / "index", "-b", BOOTSTRAPS, *options]
            run(folder, *command, "-o", out / cell, *reads)

    return quantify


def with_salmon(*options: object) -> Callable[[Path, Path], None]:
    def quantify(folder: Path, out: Path) -> None:
        salmon = installed("salmon")
        run(folder, salmon, "index", "-t", "transcripts.fa", "-i", out / "index", "-p", 1)
        for cell in CELLS:
            one, two = sorted((folder / cell).iterdir())
            command = [salmon, "quant", "-i", out / "index", "-l", "A", "-1", one, "-2", two]
            run(folder, *command, "-p", 1, *options, "-o", out / cell)

    return quantify


def check(imported: Path, fragments: pd.DataFrame, expected: str) -> None:
    """Check names, replicates and estimates of imported cells."""
    adata = anndata.read_h5ad(imported)
    assert adata.obs_names.tolist() == list(CELLS)
    assert adata.obs["quantifier"].unique().tolist() == [expected]
    assert (adata.obs["n_bootstraps"] == BOOTSTRAPS).all()
    assert adata.var["gene"].nunique() < adata.n_vars
    assert adata.var_names.sort_values().equals(fragments.columns.sort_values())
    genes = adata.var["gene"].astype(str)
    for found, drawn in zip(adata.X.toarray(), fragments[adata.var_names].to_numpy(), strict=True):
        assert found.sum() == pytest.approx(drawn.sum(), rel=0.05)
        # Isoforms are ambiguous, genes hardly so.
        assert np.corrcoef(np.log1p(found), np.log1p(drawn))[0, 1] > 0.8
        sums = [pd.Series(each).groupby(genes.to_numpy()).sum() for each in (found, drawn)]
        assert np.corrcoef(*map(np.log1p, sums))[0, 1] > 0.98


QUANTIFIERS = {
    "kallisto of Debian": ("kallisto", lambda: with_kallisto(installed("kallisto"), "--plaintext")),
    "kallisto of kb-python": ("kallisto", lambda: with_kallisto(of_kb_python("kallisto"))),
    "salmon, bootstraps": ("salmon", lambda: with_salmon("--numBootstraps", BOOTSTRAPS)),
    "salmon, Gibbs samples": ("salmon", lambda: with_salmon("--numGibbsSamples", BOOTSTRAPS)),
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "quantifier"), QUANTIFIERS.values(), ids=QUANTIFIERS)
def test_what_a_quantifier_writes_is_imported(
    name: str,
    quantifier: Callable[[], Callable[[Path, Path], None]],
    sequenced: tuple[Path, pd.DataFrame],
    tmp_path: Path,
) -> None:
    folder, fragments = sequenced
    quantifier()(folder, tmp_path)
    import_cells([tmp_path], tmp_path / "cells.h5ad", folder / "t2g.tsv")
    check(tmp_path / "cells.h5ad", fragments, name)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--dumpEq", "--dumpEqWeights"])
def test_classes_of_salmon_give_its_estimates(
    option: str, sequenced: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, _ = sequenced
    with_salmon("--numBootstraps", BOOTSTRAPS, option)(folder, tmp_path)
    import_reads([tmp_path], tmp_path / "reads.h5ad", folder / "t2g.tsv")
    import_cells([tmp_path], tmp_path / "cells.h5ad", folder / "t2g.tsv")
    own, theirs = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("reads", "cells"))
    one, other = own.X.toarray(), theirs[:, own.var_names].X.toarray()
    np.testing.assert_allclose(one.sum(1), other.sum(1), rtol=1e-3)
    assert np.corrcoef(np.log1p(one).ravel(), np.log1p(other).ravel())[0, 1] > 0.97
