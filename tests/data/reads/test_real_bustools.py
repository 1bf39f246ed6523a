"""The real kallisto and bustools, where kb-python is installed: their files and estimates."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pytest

from exvae.data.quantified.importing import import_cells
from exvae.data.reads.importing import import_reads
from exvae.data.simulators.gene_structures import draw_transcripts

from ..real_programs import of_kb_python, run, sequence_cell, write_transcripts

CELLS = ("first", "second", "third")


def recipe() -> list[str]:
    """Read the commands of kallisto and bustools in the guide."""
    page = Path(__file__).resolve().parents[3] / "docs" / "isoforms.md"
    section = page.read_text().partition("## Reads instead of bootstraps")[2]
    lines = section.partition("```bash")[2].partition("```")[0].splitlines()
    found = [line.partition("#")[0].strip() for line in lines]
    return [line for line in found if line.startswith(("kallisto", "bustools"))]


@pytest.mark.slow
@pytest.mark.peers
def test_the_recipe_of_the_guide(tmp_path: Path) -> None:
    """The commands of docs/isoforms.md; quant-tcc makes bootstraps of the same reads."""
    programs = {name: of_kb_python(name) for name in ("kallisto", "bustools")}
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(200, generator)
    write_transcripts(tmp_path, transcripts)
    batch = ""
    for cell in CELLS:
        (one, two), _ = sequence_cell(tmp_path / cell, transcripts, generator)
        batch += f"{cell}\t{one}\t{two}\n"
    (tmp_path / "batch.tsv").write_text(batch)
    (tmp_path / "bus" / "counts").mkdir(parents=True)
    quantify = (
        "kallisto quant-tcc -o bus/q -i transcripts.idx -e bus/counts/tcc.ec.txt -f bus/flens.txt "
        "-b 20 --matrix-to-directories bus/counts/tcc.mtx"
    )
    for command in [*recipe(), quantify]:
        program, *arguments = command.split()
        run(tmp_path, programs[program], *arguments)
    t2g = tmp_path / "t2g.tsv"
    summary = import_reads([tmp_path / "bus"], tmp_path / "reads.h5ad", t2g)
    assert summary.cells == len(CELLS)
    import_cells([tmp_path / "bus" / "q"], tmp_path / "quantified.h5ad", t2g)
    own, theirs = (anndata.read_h5ad(tmp_path / f"{name}.h5ad") for name in ("reads", "quantified"))
    assert own.obs_names.tolist() == theirs.obs_names.tolist() == list(CELLS)
    theirs = theirs[:, own.var_names]
    one, other = own.X.toarray(), theirs.X.toarray()
    np.testing.assert_allclose(one, other, rtol=0.05, atol=0.5)
    assert np.corrcoef(np.log1p(one).ravel(), np.log1p(other).ravel())[0, 1] > 0.999
    scatter = [part.layers["bootstrap_ss"].sum() for part in (own, theirs)]
    assert 0.8 < scatter[0] / scatter[1] < 1.25
    np.testing.assert_allclose(
        own.var["effective_length"], theirs.var["effective_length"], rtol=0.05
    )
