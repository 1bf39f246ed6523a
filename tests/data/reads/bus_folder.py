"""A folder as kallisto bus, bustools count and kallisto quant-tcc leave it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import mmwrite
from scipy.sparse import csr_matrix

ISOFORMS = ["t1", "t2", "t3", "t4"]
LENGTHS = [1000, 1500, 800, 600]
CLASSES = [[0], [1], [2], [3], [0, 1], [0, 1, 2, 3]]
COUNTS = np.array([[5, 0, 3, 0, 7, 0], [0, 2, 0, 4, 6, 1], [0, 0, 9, 1, 0, 0]])


def write_bus(folder: Path, counts: np.ndarray = COUNTS, cells: Sequence[str] = "ABC") -> Path:
    """Write the files of a few cells."""
    (folder / "counts").mkdir(parents=True)
    (folder / "q").mkdir()
    (folder / "transcripts.txt").write_text("".join(f"{name}\n" for name in ISOFORMS))
    (folder / "matrix.cells").write_text("".join(f"{name}\n" for name in cells))
    lengths = zip(ISOFORMS, LENGTHS, strict=True)
    (folder / "q" / "transcript_lengths.txt").write_text(
        "".join(f"{name} {length}\n" for name, length in lengths)
    )
    mmwrite(folder / "counts" / "tcc.mtx", csr_matrix(counts.astype(float)))
    mmwrite(folder / "q" / "matrix.abundance.mtx", csr_matrix(np.ones((len(counts), 4))))
    listed = (",".join(map(str, members)) for members in CLASSES)
    (folder / "counts" / "tcc.ec.txt").write_text(
        "".join(f"{number}\t{line}\n" for number, line in enumerate(listed))
    )
    fragments = np.zeros((len(counts), 1000), int)
    fragments[:, 180:221] = 3
    np.savetxt(folder / "flens.txt", fragments, fmt="%d")
    return folder
