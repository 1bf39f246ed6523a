"""The real kallisto and bustools, where kb-python is installed: their files and estimates."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import anndata
import numpy as np
import pytest

from exvae.data.quantified.importing import import_cells
from exvae.data.reads.importing import import_reads
from exvae.data.simulators.gene_structures import draw_transcripts
from exvae.data.simulators.kallisto.equivalence_classes import FragmentModel

from ..simulators.kallisto.sequencing import draw_reads, write_fastq

CELLS = ("first", "second", "third")


def programs() -> tuple[str, str]:
    """Places of kallisto and bustools; skips where kb-python is not installed."""
    package = importlib.util.find_spec("kb_python")
    if package is None:
        pytest.skip("needs kb-python")
    folder = Path(package.origin).parent / "bins" / "linux"
    paths = [folder / name / name for name in ("kallisto", "bustools")]
    for path in paths:
        path.chmod(0o755)
    return str(paths[0]), str(paths[1])


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
    kallisto, bustools = programs()
    generator = np.random.default_rng(0)
    transcripts = draw_transcripts(200, generator)
    names = transcripts.names.tolist()
    records = zip(names, transcripts.sequences, strict=True)
    fasta, t2g = tmp_path / "transcripts.fa", tmp_path / "t2g.tsv"
    fasta.write_bytes(b"".join(b">%s\n%s\n" % (name.encode(), text) for name, text in records))
    pairs = zip(names, transcripts.genes, strict=True)
    t2g.write_text("".join(f"{name}\t{gene}\n" for name, gene in pairs))
    batch = []
    for cell in CELLS:
        counts = generator.poisson(generator.lognormal(1.5, 1.5, len(names)))
        reads = list(draw_reads(transcripts.sequences, counts, FragmentModel(), generator))
        folder = tmp_path / cell
        folder.mkdir()
        places = write_fastq([reads[i] for i in generator.permutation(len(reads))], folder)
        batch.append("\t".join([cell, *map(str, places)]))
    (tmp_path / "batch.tsv").write_text("".join(f"{line}\n" for line in batch))
    (tmp_path / "bus" / "counts").mkdir(parents=True)
    quantify = (
        "kallisto quant-tcc -o bus/q -i transcripts.idx -e bus/counts/tcc.ec.txt -f bus/flens.txt "
        "-b 20 --matrix-to-directories bus/counts/tcc.mtx"
    )
    for command in [*recipe(), quantify]:
        program, *arguments = command.split()
        call = [{"kallisto": kallisto, "bustools": bustools}[program], *arguments]
        subprocess.run(call, cwd=tmp_path, check=True, capture_output=True)
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
