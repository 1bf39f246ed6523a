"""Real quantifiers, where they are installed, and reads for them."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from exvae.data.reads.class_probabilities import FragmentModel
from exvae.data.reads.transcripts import Transcripts

from .reads.sequencing import draw_reads, write_fastq


def of_kb_python(name: str) -> str:
    """Place of ``kallisto`` or ``bustools`` of kb-python; skips where it is not installed."""
    package = importlib.util.find_spec("kb_python")
    if package is None:
        pytest.skip("needs kb-python")
    path = Path(package.origin).parent / "bins" / "linux" / name / name
    path.chmod(0o755)
    return str(path)


def installed(name: str) -> str:
    """Place of a program; skips where it is not installed."""
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    return name


def run(folder: Path, *command: object) -> None:
    """Run a program in a folder."""
    subprocess.run(list(map(str, command)), cwd=folder, check=True, capture_output=True)


def write_transcripts(folder: Path, transcripts: Transcripts) -> None:
    """Write ``transcripts.fa`` and ``t2g.tsv``."""
    names = transcripts.names.tolist()
    records = zip(names, transcripts.sequences, strict=True)
    fasta = b"".join(b">%s\n%s\n" % (name.encode(), sequence) for name, sequence in records)
    (folder / "transcripts.fa").write_bytes(fasta)
    genes = zip(names, transcripts.genes, strict=True)
    (folder / "t2g.tsv").write_text("".join(f"{name}\t{gene}\n" for name, gene in genes))


def sequence_cell(
    folder: Path, transcripts: Transcripts, generator: np.random.Generator
) -> tuple[list[Path], np.ndarray]:
    """Write reads of a cell; gives both files, and the fragments of each transcript."""
    counts = generator.poisson(generator.lognormal(1.5, 1.5, len(transcripts.names)))
    reads = list(draw_reads(transcripts.sequences, counts, FragmentModel(), generator))
    folder.mkdir()
    return write_fastq([reads[i] for i in generator.permutation(len(reads))], folder), counts
