"""The scripts of the page about Tabula Muris do what it says."""

from __future__ import annotations

import csv
import gzip
import re
import subprocess
from pathlib import Path

import pandas as pd

from exvae.data.quantified.annotations import read_cell_table
from exvae.data.quantified.genes import read_genes

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tabula_muris.md"
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
# As GENCODE has them.
HEADERS = (
    "ENSMUST00000193812.1|ENSMUSG00000102693.1|OTTMUSG00000049935.1|-|4933401J01Rik-201|"
    "4933401J01Rik|1070|TEC|",
    "ENSMUST00000082908.1|ENSMUSG00000064842.1|-|-|Gm26206-201|Gm26206|110|snRNA|",
)


def block_with(text: str) -> str:
    (found,) = (block for block in BLOCKS if text in block)
    return found


def bash(code: str, folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", code]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_names_and_genes_are_those_of_the_headers(tmp_path: Path) -> None:
    fasta = "".join(f">{header}\nACGT\nAC\n" for header in HEADERS)
    (tmp_path / "gencode.vM25.transcripts.fa.gz").write_bytes(gzip.compress(fasta.encode()))
    bash("kallisto() { :; }\n" + block_with("kallisto index"), tmp_path)
    names = [header.split("|")[0] for header in HEADERS]
    short = gzip.decompress((tmp_path / "transcripts.fa.gz").read_bytes()).decode()
    assert short == "".join(f">{name}\nACGT\nAC\n" for name in names)
    for wanted, notes in ((names, 0), (HEADERS, 1)):
        genes, _, told = read_genes(tmp_path / "t2g.tsv", wanted)
        assert genes.tolist() == [header.split("|")[1] for header in HEADERS]
        assert len(told) == notes


def test_cells_are_chosen_by_tissue_and_reads(tmp_path: Path) -> None:
    columns = ["cell", "tissue", "subtissue", "cell_ontology_class", "mouse.id", "plate.barcode"]
    cells = [
        ["A1.D041912.3_8_M.1.1", "Marrow", "KLS, fresh", "B cell", "3_8_M", "D041912"],
        ["B1.D041912.3_8_M.1.1", "Marrow", "KLS", "granulocyte", "3_8_M", "D041912"],
        ["C1.D041912.3_8_M.1.1", "Liver", "", "hepatocyte", "3_8_M", "D041912"],
    ]
    reads = [
        ["A1-D041912-3_8_M-1-1", "Marrow", "s3://one", "s3://two"],
        ["C1-D041912-3_8_M-1-1", "Liver", "s3://three", "s3://four"],
    ]
    for name, table in (
        ("annotations_facs.csv", [columns, *cells]),
        ("reads.csv", [["", "tissue", "read1", "read2"], *reads]),
    ):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows(table)
    assert bash(block_with("choose_cells.py"), tmp_path) == "1 of 2 cells have reads\n"
    assert (tmp_path / "reads.tsv").read_text() == f"{cells[0][0]}\ts3://one\ts3://two\n"
    table, notes = read_cell_table(tmp_path / "cells.csv", [cells[0][0]], ())
    assert not notes
    expected = pd.Series(cells[0][2:], columns[2:]).drop(columns[2:3])
    assert table.iloc[0][expected.index].astype(str).tolist() == expected.tolist()
