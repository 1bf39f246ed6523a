"""Small directories as kallisto and salmon write them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np


class Cell(NamedTuple):
    """What a quantifier found in one cell; arrays of shape (isoforms,) but for bootstraps."""

    transcripts: list[str]
    lengths: np.ndarray
    counts: np.ndarray
    bootstraps: np.ndarray  # (bootstraps, isoforms)

    @property
    def effective_lengths(self) -> np.ndarray:
        return self.lengths - 199.5

    @property
    def reads(self) -> int:
        """Sum of the estimates that are numbers."""
        return round(self.counts[np.isfinite(self.counts)].sum())

    @property
    def tpm(self) -> np.ndarray:
        """Transcripts per million; not numbers without reads, as kallisto has it."""
        rate = self.counts / self.effective_lengths
        with np.errstate(invalid="ignore"):
            return 1e6 * rate / rate.sum()

    def take(self, order: np.ndarray) -> Cell:
        """Give the same cell with its transcripts in another order."""
        names = [self.transcripts[index] for index in order]
        arrays = (self.lengths[order], self.counts[order], self.bootstraps[:, order])
        return Cell(names, *arrays)


def draw_cell(seed: int, isoforms: int = 40, bootstraps: int = 5, reads: int = 3000) -> Cell:
    """Draw a cell: many zeros, some values that are not whole, bootstraps around the estimates."""
    generator = np.random.default_rng(seed)
    # Numbers with few digits survive text.
    whole = generator.multinomial(reads, generator.dirichlet(np.full(isoforms, 0.2)))
    counts = whole + np.where((whole > 0) & (generator.random(isoforms) < 0.3), 0.25, 0.0)
    drawn = generator.multinomial(reads, counts / counts.sum(), bootstraps).astype(float)
    drawn += np.where((drawn > 0) & (generator.random(drawn.shape) < 0.3), 0.5, 0.0)
    names = [f"NM_{index:06d}.{index % 4 + 1}" for index in range(isoforms)]
    lengths = np.random.default_rng(0).integers(300, 4000, isoforms)
    return Cell(names, lengths, counts, drawn)


def write_kallisto_h5(directory: Path, cell: Cell, **changes: Any) -> Path:
    """Write ``abundance.h5``; ``changes`` replace datasets, and None removes them."""
    datasets = {
        "est_counts": cell.counts.astype(float),
        "aux/ids": np.array(cell.transcripts, dtype=np.bytes_),
        "aux/lengths": cell.lengths.astype(np.int32),
        "aux/eff_lengths": cell.effective_lengths,
        "aux/num_bootstrap": np.array([len(cell.bootstraps)], np.int32),
        "aux/num_processed": np.array([2 * cell.reads], np.int32),
        "aux/kallisto_version": np.array([b"0.48.0"]),
        **{f"bootstrap/bs{number}": row for number, row in enumerate(cell.bootstraps)},
        **changes,
    }
    directory.mkdir(parents=True, exist_ok=True)
    with h5py.File(directory / "abundance.h5", "w") as file:
        for name, values in datasets.items():
            if values is not None:
                small = np.size(values) == 1
                file.create_dataset(name, data=values, compression=None if small else "gzip")
    return directory


def write_table(path: Path, columns: dict[str, Any]) -> None:
    """Write a tab-separated table with a header."""
    rows = zip(*columns.values(), strict=True)
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("".join(f"{line}\n" for line in lines))


def write_kallisto_plaintext(
    directory: Path, cell: Cell, tpm: np.ndarray | None = None, **info: Any
) -> Path:
    """Write what ``kallisto quant --plaintext`` writes; ``info`` changes ``run_info.json``."""
    directory.mkdir(parents=True, exist_ok=True)
    abundances = {"abundance.tsv": cell.counts}
    abundances |= {f"bs_abundance_{b}.tsv": row for b, row in enumerate(cell.bootstraps)}
    for name, counts in abundances.items():
        columns = {
            "target_id": cell.transcripts,
            "length": cell.lengths,
            "eff_length": cell.effective_lengths,
            "est_counts": counts,
            "tpm": cell.tpm if tpm is None else tpm,
        }
        write_table(directory / name, columns)
    told = {
        "n_bootstraps": len(cell.bootstraps),
        "n_pseudoaligned": cell.reads,
        "kallisto_version": "0.48.0",
        **info,
    }
    (directory / "run_info.json").write_text(json.dumps(told))
    return directory


def write_salmon(
    directory: Path,
    cell: Cell,
    *,
    kind: str = "<f8",
    samples: str = "bootstrap",
    auxiliary: str = "aux_info",
    order: np.ndarray | None = None,
    **meta: Any,
) -> Path:
    """Write what salmon writes.

    ``kind`` is the type of the numbers in ``bootstraps.gz``, and ``order`` that of its columns;
    ``meta`` changes ``meta_info.json``.
    """
    folder = directory / auxiliary / "bootstrap"
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "Name": cell.transcripts,
        "Length": cell.lengths,
        "EffectiveLength": cell.effective_lengths,
        "TPM": cell.tpm,
        "NumReads": cell.counts,
    }
    write_table(directory / "quant.sf", columns)
    shuffled = cell if order is None else cell.take(order)
    names = "\t".join(shuffled.transcripts) + "\n"
    (folder / "names.tsv.gz").write_bytes(gzip.compress(names.encode(), mtime=0))
    values = shuffled.bootstraps.astype(kind).tobytes()
    (folder / "bootstraps.gz").write_bytes(gzip.compress(values, mtime=0))
    told = {
        "salmon_version": "1.10.1",
        "samp_type": samples,
        "num_bootstraps": len(cell.bootstraps),
        "num_mapped": cell.reads,
        **meta,
    }
    (folder.parent / "meta_info.json").write_text(json.dumps(told))
    (directory / "cmd_info.json").write_text(json.dumps({"auxDir": auxiliary}))
    return directory


WRITERS = {
    "kallisto h5": write_kallisto_h5,
    "kallisto plaintext": write_kallisto_plaintext,
    "salmon": write_salmon,
}
