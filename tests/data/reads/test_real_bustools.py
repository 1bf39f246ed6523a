"""The real kallisto and bustools, where they are installed: their files and estimates."""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.io import mmread
from scipy.sparse import csr_matrix

from exvae.data.quantified.importing import import_cells
from exvae.data.reads.importing import ReadOptions, import_reads
from exvae.data.reads.transcripts import Transcripts
from exvae.data.simulators.gene_structures import draw_transcripts

from ..real_programs import installed, of_kb_python, run, sequence_cell, write_transcripts

CELLS = ("first", "second", "third")


def recipe(*programs: str) -> list[str]:
    """Read the commands of these programs in the guide's section on reads, in their order."""
    page = Path(__file__).resolve().parents[3] / "docs" / "isoforms.md"
    section = page.read_text().partition("## Reads instead of bootstraps")[2].partition("\n## ")[0]
    blocks = [part.partition("```")[0] for part in section.split("```bash\n")[1:]]
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(programs)]


def sequence(folder: Path, names: tuple[str, ...]) -> tuple[Transcripts, np.ndarray]:
    """Write all that the recipe begins with; gives the fragments of each transcript."""
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(200, generator)
    write_transcripts(folder, transcripts)
    batch, fragments = "", []
    for cell in names:
        (one, two), counts = sequence_cell(folder / cell, transcripts, generator)
        batch += f"{cell}\t{one}\t{two}\n"
        fragments.append(counts)
    (folder / "batch.tsv").write_text(batch)
    (folder / "bus" / "counts").mkdir(parents=True)
    return transcripts, np.stack(fragments)


@pytest.mark.slow
@pytest.mark.peers
def test_the_recipe_of_the_guide(tmp_path: Path) -> None:
    """The commands of docs/isoforms.md; quant-tcc makes bootstraps of the same reads."""
    programs = {name: of_kb_python(name) for name in ("kallisto", "bustools")}
    sequence(tmp_path, CELLS)
    quantify = (
        "kallisto quant-tcc -o bus/q -i transcripts.idx -e bus/counts/tcc.ec.txt -f bus/flens.txt "
        "-b 20 --matrix-to-directories bus/counts/tcc.mtx"
    )
    for command in [*recipe("kallisto", "bustools"), quantify]:
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


@pytest.mark.slow
def test_the_recipe_with_older_programs(tmp_path: Path) -> None:
    """Debian's kallisto 0.48 takes no technology with a table of cells."""
    for name in ("kallisto", "bustools"):
        installed(name)
    sequence(tmp_path, CELLS)
    quantify = (
        "kallisto quant-tcc -o bus/q -i transcripts.idx -e bus/counts/tcc.ec.txt -f bus/flens.txt "
        "bus/counts/tcc.mtx"
    )
    for command in [*recipe("kallisto", "bustools"), quantify]:
        run(tmp_path, *command.replace("-x BULK ", "").split())
    options = ReadOptions(lengths=tmp_path / "transcripts.fa")
    import_reads([tmp_path / "bus"], tmp_path / "reads.h5ad", tmp_path / "t2g.tsv", None, options)
    own = anndata.read_h5ad(tmp_path / "reads.h5ad")
    assert own.obs_names.tolist() == list(CELLS)
    theirs = csr_matrix(mmread(tmp_path / "bus" / "q" / "matrix.abundance.mtx")).toarray()
    isoforms = (tmp_path / "bus" / "q" / "transcripts.txt").read_text().split()
    np.testing.assert_allclose(own[:, isoforms].X.toarray(), theirs, rtol=0.05, atol=0.5)


@pytest.mark.slow
@pytest.mark.peers
def test_the_model_of_the_guide(tmp_path: Path) -> None:
    """From FASTQ to expression with the commands of docs/isoforms.md, with ``--transcripts`` too.

    Weights of classes bring the estimates nearer to what was sequenced.
    """
    programs = {name: [of_kb_python(name)] for name in ("kallisto", "bustools")}
    programs["exvae"] = [sys.executable, "-m", "exvae"]
    names = tuple(f"cell{number}" for number in range(12))
    transcripts, fragments = sequence(tmp_path, names)
    errors = []
    for command in recipe("kallisto", "bustools", "exvae"):
        program, *arguments = command.split()
        few = ["--epochs", "3", "--set", "members=2"] if arguments[1] == "fit" else []
        run(tmp_path, *programs[program], *arguments, *few)
        if arguments[:2] == ["isoforms", "import"]:
            imported = anndata.read_h5ad(tmp_path / "all.h5ad")[:, transcripts.names]
            assert imported.obs_names.tolist() == list(names)
            assert imported.obsm["reads"].sum() > 0.95 * fragments.sum()
            errors.append(np.abs(imported.X.toarray() - fragments).mean())
    assert errors[1] < errors[0]
    exported = anndata.read_h5ad(tmp_path / "expression.h5ad")
    assert exported.obs_names.tolist() == list(names)
    layers = exported[:, transcripts.names].layers
    low, mean, high = (
        csr_matrix(layers[name]).toarray()
        for name in ("expression_q0.025", "expression", "expression_q0.975")
    )
    many = fragments > 50
    assert ((low <= fragments) & (fragments <= high))[many].mean() > 0.8
    own, true = (
        pd.DataFrame(part.T).groupby(transcripts.genes).sum() for part in (mean, fragments)
    )
    many = true > 50
    assert np.abs(own[many] / true[many] - 1).stack().quantile(0.95) < 0.1
