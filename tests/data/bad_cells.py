"""Cells that cannot be imported, each for a reason of its own."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import h5py
import numpy as np

from .quantified.quantifier_output import (
    draw_cell,
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)

CELLS = {f"S{number}": draw_cell(seed=number) for number in range(12)}


NO_READS = CELLS["S0"]._replace(
    counts=np.zeros_like(CELLS["S0"].counts), bootstraps=np.zeros_like(CELLS["S0"].bootstraps)
)
NO_BOOTSTRAPS = CELLS["S0"]._replace(bootstraps=CELLS["S0"].bootstraps[:0])


def cut(path: Path, length: int = -20) -> None:
    path.write_bytes(path.read_bytes()[:length])


def dead_well(cell: Path) -> None:
    write_kallisto_h5(cell, NO_READS)


def dead_well_of_salmon(cell: Path) -> None:
    write_salmon(cell, NO_READS)
    (cell / "aux_info" / "meta_info.json").write_text('{"samp_type": "none", "num_targets": 40}')


def nearly_dead_well_of_salmon(cell: Path) -> None:
    write_salmon(cell, CELLS["S0"])
    told = '{"samp_type": "none", "quant_errors": ["insufficient_assigned_fragments"]}'
    (cell / "aux_info" / "meta_info.json").write_text(told)


def table_of_salmon_alone(cell: Path) -> None:
    shutil.rmtree(write_salmon(cell, CELLS["S0"]) / "aux_info")


def truncated_h5(cell: Path) -> None:
    cut(write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5")


def empty_h5(cell: Path) -> None:
    cut(write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5", 0)


def missing_table(cell: Path) -> None:
    (write_kallisto_plaintext(cell, CELLS["S0"]) / "abundance.tsv").unlink()


def bootstraps_alone(cell: Path) -> None:
    missing_table(cell)
    (cell / "run_info.json").unlink()


def promised_bootstraps(cell: Path) -> None:
    write_kallisto_plaintext(cell, NO_BOOTSTRAPS, n_bootstraps=30)


def quant_tcc_without_bootstraps(cell: Path) -> None:
    write_kallisto_h5(cell / "abundance_1", NO_BOOTSTRAPS)


def pointer(cell: Path) -> None:
    path = write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


def dangling_file(cell: Path) -> None:
    path = write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5"
    path.unlink()
    path.symlink_to("scratch/abundance.h5")


def dangling_folder(cell: Path) -> None:
    cell.symlink_to("scratch")


def stopped_salmon(cell: Path) -> None:
    whole = draw_cell(seed=1, bootstraps=30)
    write_salmon(cell, whole)
    path = cell / "aux_info" / "bootstrap" / "bootstraps.gz"
    path.write_bytes(gzip.compress(whole.bootstraps[:17].astype("<f8").tobytes(), mtime=0))


def half_of_salmon(cell: Path) -> None:
    """Write half of the bootstraps, which have the size of all as other numbers."""
    whole = draw_cell(seed=1, bootstraps=30)
    write_salmon(cell, whole, salmon_version="")
    path = cell / "aux_info" / "bootstrap" / "bootstraps.gz"
    path.write_bytes(gzip.compress(whole.bootstraps[:15].astype("<f8").tobytes(), mtime=0))


def torn_salmon(cell: Path) -> None:
    cut(write_salmon(cell, draw_cell(seed=1, bootstraps=30)) / "aux_info/bootstrap/bootstraps.gz")


def pipe(cell: Path) -> None:
    path = write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5"
    path.unlink()
    os.mkfifo(path)


def pipe_of_text(cell: Path) -> None:
    path = write_kallisto_plaintext(cell, CELLS["S0"]) / "bs_abundance_2.tsv"
    path.unlink()
    os.mkfifo(path)


def bomb_of_salmon(cell: Path) -> None:
    path = write_salmon(cell, CELLS["S0"]) / "aux_info" / "bootstrap" / "bootstraps.gz"
    path.write_bytes(gzip.compress(bytes(1 << 27), mtime=0))


def bomb_of_names(cell: Path) -> None:
    path = write_salmon(cell, CELLS["S0"]) / "aux_info" / "bootstrap" / "names.tsv.gz"
    path.write_bytes(BOMB)


def bomb_of_a_table(cell: Path) -> None:
    write_kallisto_plaintext(cell, CELLS["S0"])
    (cell / "abundance.tsv").unlink()
    (cell / "abundance.tsv.gz").write_bytes(BOMB)


def huge_h5(cell: Path) -> None:
    """Write a file that says it holds 2^40 transcripts, of which none is stored."""
    with h5py.File(write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5", "a") as file:
        del file["aux/ids"]
        file["aux"].create_dataset("ids", (1 << 40,), "S20", chunks=(1 << 10,))


def group_of_ids(cell: Path) -> None:
    with h5py.File(write_kallisto_h5(cell, CELLS["S0"]) / "abundance.h5", "a") as file:
        del file["aux/ids"]
        file["aux"].create_group("ids")


def many_bootstraps(cell: Path) -> None:
    write_salmon(cell, CELLS["S0"], num_bootstraps=10**30)


def saved_with_semicolons(cell: Path) -> None:
    path = write_kallisto_plaintext(cell, CELLS["S0"]) / "abundance.tsv"
    path.write_text("\ufeff" + path.read_text().replace("\t", ";").replace(".", ","))


def saved_with_decimal_commas(cell: Path) -> None:
    path = write_kallisto_plaintext(cell, CELLS["S0"]) / "bs_abundance_2.tsv"
    path.write_text(path.read_text().replace(".", ","))


def zero_bootstraps(cell: Path) -> None:
    bootstraps = np.zeros_like(CELLS["S0"].bootstraps)
    write_kallisto_h5(cell, CELLS["S0"]._replace(bootstraps=bootstraps))


def zero_bootstrap_of_salmon(cell: Path) -> None:
    bootstraps = CELLS["S0"].bootstraps * (np.arange(5) != 2)[:, None]
    write_salmon(cell, CELLS["S0"]._replace(bootstraps=bootstraps))


def _written_by_r(path: Path, separator: str) -> None:
    """Write a table as R's write.table does: names of rows, which the header lacks."""
    header, *rows = path.read_text().splitlines()
    numbered = [f"{number}\t{row}" for number, row in enumerate(rows, start=1)]
    path.write_text("".join(f"{line}\n".replace("\t", separator) for line in [header, *numbered]))


def saved_by_r(cell: Path) -> None:
    _written_by_r(write_kallisto_plaintext(cell, CELLS["S0"]) / "abundance.tsv", " ")


def saved_by_r_with_tabs(cell: Path) -> None:
    _written_by_r(write_kallisto_plaintext(cell, CELLS["S0"]) / "bs_abundance_1.tsv", "\t")


def salmon_saved_by_r(cell: Path) -> None:
    _written_by_r(write_salmon(cell, CELLS["S0"]) / "quant.sf", " ")


# 512 MiB in half a megabyte.
BOMB = gzip.compress(b"\0" * (1 << 25), mtime=0) * 16

# What writes the folder of a cell, and the reason that is told.
BAD = {
    "pipe": (pipe, r"abundance\.h5: is a pipe or a device"),
    "pipe of text": (pipe_of_text, r"bs_abundance_2\.tsv: is a pipe or a device"),
    "bomb of salmon": (bomb_of_salmon, "not 5 bootstraps of 40 transcripts"),
    "bomb of names": (bomb_of_names, "unpacks to more than 268435456 bytes"),
    "bomb of a table": (bomb_of_a_table, "unpacks to more than 268435456 bytes"),
    "huge": (huge_h5, "1099511627776 transcripts, more than"),
    "group of ids": (group_of_ids, r"abundance\.h5: truncated or damaged"),
    "many bootstraps": (many_bootstraps, "5 of 1000000000000000000000000000000 bootstraps"),
    "dead well": (dead_well, "is a cell without reads"),
    "dead well of salmon": (dead_well_of_salmon, "is a cell without reads"),
    "few reads": (nearly_dead_well_of_salmon, "too few reads .insufficient_assigned_fragments"),
    "no aux_info": (table_of_salmon_alone, "lacks the folder aux_info"),
    "semicolons": (
        saved_with_semicolons,
        r"abundance\.tsv: was changed after its quantifier wrote it",
    ),
    "decimal commas": (saved_with_decimal_commas, r"bs_abundance_2\.tsv: was changed after"),
    "zero": (zero_bootstraps, "all bootstraps are zero, as if they had not been written"),
    "one is zero": (zero_bootstrap_of_salmon, "1 of 5 bootstraps, the first 2, are zero"),
    "R": (saved_by_r, r"abundance\.tsv: was changed after its quantifier wrote it"),
    "R with tabs": (saved_by_r_with_tabs, r"bs_abundance_1\.tsv: was changed after its quant"),
    "R, salmon": (salmon_saved_by_r, r"quant\.sf: was changed after its quantifier wrote it"),
    "truncated": (truncated_h5, r"abundance\.h5: truncated or damaged"),
    "empty": (empty_h5, r"abundance\.h5: is empty"),
    "no table": (missing_table, "has run_info.json but no abundance.h5"),
    "bootstraps alone": (bootstraps_alone, "has bs_abundance_0.tsv but no abundance.h5"),
    "promised": (promised_bootstraps, "no bootstraps, though .* promises 30; .* -t 1"),
    "quant-tcc": (quant_tcc_without_bootstraps, "quant-tcc again with -b 30"),
    "pointer": (pointer, "git lfs pull"),
    "dangling file": (dangling_file, "is a link to scratch/abundance.h5, which does not exist"),
    "dangling folder": (dangling_folder, "is a link to scratch, which does not exist"),
    "stopped salmon": (stopped_salmon, "17 of 30 bootstraps"),
    "half of salmon": (half_of_salmon, "15 of 30 bootstraps"),
    "torn salmon": (torn_salmon, "29 of 30 bootstraps"),
}
