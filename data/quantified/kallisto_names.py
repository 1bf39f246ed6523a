"""Names of the files of kallisto, for one cell in a folder and for many.

================ =============================== ===============================
estimates        bootstraps                      run
================ =============================== ===============================
abundance.tsv    bs_abundance_<b>.tsv            run_info.json
S_abundance.tsv  S_bs_abundance_<b>.tsv          S_run_info.json
abundance_7.tsv  bs_abundance_7_<b>.tsv          (quant-tcc writes none)
================ =============================== ===============================

Estimates may be ``.h5`` instead, and every file may be packed (``.gz``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_ESTIMATES = re.compile(r"(?:(.+)[._-])?abundance(_\d+)?\.(?:h5|tsv)(?:\.gz)?")
# The folders and files of quant-tcc are numbered from one.
NUMBERED = re.compile(r"abundance_(\d+)")
BOOTSTRAP = re.compile(r"(?:.+[._-])?bs_abundance_(?:\d+_)?\d+\.tsv(?:\.gz)?")


def label_of(name: str) -> str | None:
    """Give the name of a cell by its file of estimates.

    Examples
    --------
    >>> [label_of(name) for name in ("abundance.h5", "A1_abundance.tsv.gz", "abundance_7.tsv")]
    ['', 'A1', 'abundance_7']
    >>> label_of("bs_abundance_0.tsv"), label_of("abundance.gene.tsv")
    (None, None)
    """
    match = _ESTIMATES.fullmatch(name)
    if match is None or BOOTSTRAP.fullmatch(name):
        return None
    prefix, number = match.groups(default="")
    return prefix if not number else f"{prefix}_abundance{number}".removeprefix("_")


def place_of(path: Path) -> Path:
    """Give the place of a cell by its file of estimates: its folder if that names the cell."""
    return path if label_of(path.name) != "" else path.parent


def prefix_of(name: str) -> str:
    """Give what the name of a file of estimates has before ``abundance``, ``A1_``."""
    return name[: name.rindex("abundance")]


def bootstraps_of(name: str, files: Iterable[str]) -> list[tuple[int, str]]:
    """Find the tables of bootstraps of a cell.

    Parameters
    ----------
    name
        File of estimates.
    files
        Names of the files in its folder.

    Returns
    -------
    list
        Number and name of each table, in the order of the numbers.
    """
    match = _ESTIMATES.fullmatch(name)
    if match is None:
        return []
    number = match[2] or ""
    pattern = re.compile(rf"{re.escape(prefix_of(name))}bs_abundance{number}_(\d+)\.tsv(?:\.gz)?")
    found = {}
    for file in sorted(files):  # the unpacked table comes first
        table = pattern.fullmatch(file)
        if table:
            found.setdefault(int(table[1]), file)
    return sorted(found.items())
