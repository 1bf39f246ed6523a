"""Tables of genes."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

import pytest

from exvae.data.errors import DataError
from exvae.data.quantified.annotations import read_cell_table
from exvae.data.quantified.genes import genes_or_own, read_genes

TRANSCRIPTS = ["NM_1.2", "NM_2.1", "NM_10.3"]


def genes_of(
    tmp_path: Path, text: str, transcripts: list[str] = TRANSCRIPTS, name: str = "t2g.tsv"
):
    path = tmp_path / name
    path.write_text(text)
    genes, _, notes = read_genes(path, transcripts)
    return genes, notes


def test_genes_are_found_by_name_whatever_the_order(tmp_path: Path) -> None:
    text = "NM_10.3\tC\nother\tD\nNM_2.1\tB\nNM_1.2\tA\n"
    genes, notes = genes_of(tmp_path, text)
    assert genes.tolist() == ["A", "B", "C"]
    assert notes == ()


def test_further_columns_and_commas(tmp_path: Path) -> None:
    genes, _ = genes_of(tmp_path, "NM_1.2\tA\tx\t1\nNM_2.1\tB\ty\t2\nNM_10.3\tA\tz\t3\n")
    assert genes.tolist() == ["A", "B", "A"]
    genes, _ = genes_of(tmp_path, "NM_1.2,NA\nNM_2.1,B\nNM_10.3,C\n", name="t2g.csv")
    assert genes.tolist() == ["NA", "B", "C"]


@pytest.mark.parametrize(
    ("names", "transcripts"),
    [
        (["NM_1", "NM_2", "NM_10"], TRANSCRIPTS),
        (TRANSCRIPTS, ["NM_1", "NM_2", "NM_10"]),
        (["NM_1.9", "NM_2", "NM_10.3"], TRANSCRIPTS),
        (TRANSCRIPTS, ["NM_1.2|ENSG1.4|x|", "NM_2.1|ENSG2.1|y|", "NM_10.1|ENSG3|z|"]),
    ],
)
def test_versions_are_ignored_where_they_differ(
    names: list[str], transcripts: list[str], tmp_path: Path
) -> None:
    text = "".join(f"{name}\t{gene}\n" for name, gene in zip(names, "ABC", strict=True))
    genes, notes = genes_of(tmp_path, text, transcripts)
    assert genes.tolist() == ["A", "B", "C"]
    assert len(notes) == 1
    assert "without their versions" in notes[0]


def test_versions_count_where_they_are_the_same(tmp_path: Path) -> None:
    # The gene of a name in an older version may be another one.
    genes, notes = genes_of(tmp_path, "NM_1.1\tX\nNM_1.2\tA\nNM_2.1\tB\nNM_10.3\tC\n")
    assert genes.tolist() == ["A", "B", "C"]
    assert notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("NM_1.2\nNM_2.1\n", "has one column; it needs two"),
        ("NM_1.2 A\nNM_2.1 B C\n", "line 2 has 3 columns, the first 2, separated by spaces"),
        ("", "is empty, as after a full disk"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "git lfs pull"),
        (
            "NM_1.2\tA\nNM_2.1\tB\tx\tq\n",
            "no table that can be read .line 2 has 4 columns, the first 2, separated by tabs.;",
        ),
        (">NM_1.2 cdna\nACGT\n", "holds sequences .FASTA.; give a table of transcript and gene"),
        ("NM_1.2\tA\n", "no gene for 2 of 3 transcripts, the first is NM_2.1"),
        ("NM_1.2\tA\nNM_1.2\tB\nNM_2.1\tB\nNM_10.3\tC\n", "two genes for the transcript NM_1.2"),
        ("NM_1.1\tA\nNM_1.3\tB\nNM_2.1\tB\nNM_10.3\tC\n", "two genes for the transcript NM_1,"),
    ],
)
def test_tables_that_do_not_tell_the_genes(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as raised:
        genes_of(tmp_path, text)
    assert str(raised.value).startswith(f"{tmp_path / 't2g.tsv'}: ")


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_genes(tmp_path / "no.tsv", TRANSCRIPTS)
    (tmp_path / "link.tsv").symlink_to("scratch/t2g.tsv")
    with pytest.raises(DataError, match="is a link to scratch/t2g.tsv, which does not exist"):
        read_genes(tmp_path / "link.tsv", TRANSCRIPTS)
    os.mkfifo(tmp_path / "pipe.tsv")
    with pytest.raises(DataError, match="is a pipe or a device"):
        read_genes(tmp_path / "pipe.tsv", TRANSCRIPTS)
    (tmp_path / "genes.gtf.gz").touch()
    with pytest.raises(DataError, match="is an annotation .GTF or GFF.; give a table"):
        read_genes(tmp_path / "genes.gtf.gz", TRANSCRIPTS)
    (tmp_path / "cut.tsv.gz").write_bytes(gzip.compress(b"NM_1.2\tA\n" * 99, mtime=0)[:-12])
    with pytest.raises(DataError, match="no table that can be read"):
        read_genes(tmp_path / "cut.tsv.gz", TRANSCRIPTS)
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00\x01\t\x80\n")
    with pytest.raises(DataError, match="not UTF-8 text; convert it to UTF-8"):
        read_genes(tmp_path / "binary.tsv", TRANSCRIPTS)
    with pytest.raises(DataError, match="no table that can be read"):
        read_cell_table(tmp_path, ["a"], ())


GENES = "T1.2\tG1\nT2.1\tG1\nT3.1\tG2\nT4.1\tG3\n"
TABLES_OF_GENES = {
    "plain": (GENES, "G1 G1 G2 G3", None, ""),
    "header": ("target_id\tgene\n" + GENES, "G1 G1 G2 G3", None, ""),
    "spike-ins are missing": (GENES[:-7], "G1 G1 G2 T4.1", None, "for 1 of 4 .* gene of its own"),
    "blank gene": (GENES.replace("G2", ""), "G1 G1 T3.1 G3", None, "first is T3.1; each"),
    "no second column": (GENES.replace("\tG2", ""), "G1 G1 T3.1 G3", None, "first is T3.1; each"),
    "gene first": ("G1\tT1.2\nG1\tT2.1\nG2\tT3.1\nG3\tT4.1\n", "G1 G1 G2 G3", None, ""),
    "gene first, header": (
        "gene_id\ttranscript_id\nG1\tT1.2\nG1\tT2.1\nG2\tT3.1\nG3\tT4.1\n",
        *("G1 G1 G2 G3", None, ""),
    ),
    "quotes": (re.sub(r"(\w[^\t\n]*)", r'"\1"', GENES), "G1 G1 G2 G3", None, ""),
    "one quotation mark": (GENES.replace("G1", 'G"1'), 'G"1 G"1 G2 G3', None, ""),
    "kb": (
        "T1.2\tG1\tActb\tActb-1\tchr1\nT2.1\tG1\tActb\tActb-2\tchr1\n"
        "T3.1\tG2\tTp53\tTp53-1\tchr2\nT4.1\tG3\t\tx\tchr2\n",
        *("G1 G1 G2 G3", "Actb Actb Tp53 G3", ""),
    ),
    "biotypes are no names": (
        "T1.2\tG1\tcoding\nT2.1\tG1\tcoding\nT3.1\tG2\tcoding\nT4.1\tG3\tcoding\n",
        *("G1 G1 G2 G3", None, ""),
    ),
    "BioMart": (
        "Gene stable ID\tGene name\tTranscript stable ID\nG1\tActb\tT1\nG1\tActb\tT2\n"
        "G2\tTp53\tT3\nG3\tMyc\tT4\n",
        *("G1 G1 G2 G3", "Actb Actb Tp53 Myc", "4 of 4 transcripts are matched without their"),
    ),
    "other versions": (GENES.replace("T3.1", "T3.7"), "G1 G1 G2 G3", None, "1 of 4 .* without"),
    "bars": (GENES.replace("T3.1", "T3.1|G2.4|x|"), "G1 G1 G2 G3", None, "1 of 4 .* without"),
}


@pytest.mark.parametrize(
    ("text", "genes", "names", "note"), TABLES_OF_GENES.values(), ids=list(TABLES_OF_GENES)
)
def test_tables_of_genes(
    text: str, genes: str, names: str | None, note: str, tmp_path: Path
) -> None:
    (tmp_path / "t2g.tsv").write_text(text)
    found = read_genes(tmp_path / "t2g.tsv", ["T1.2", "T2.1", "T3.1", "T4.1"])
    assert found.genes.tolist() == genes.split()
    assert (None if found.names is None else found.names.tolist()) == (names and names.split())
    assert len(found.notes) == bool(note)
    assert re.search(note, " ".join(found.notes))


def test_a_header_that_names_the_columns_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "t2g.tsv").write_text("gene\ttarget_id\nT1.2\tG1\nT2.1\tG1\n")
    assert read_genes(tmp_path / "t2g.tsv", ["T1.2", "T2.1"]).genes.tolist() == ["G1", "G1"]


def test_most_genes_must_be_known(tmp_path: Path) -> None:
    (tmp_path / "t2g.tsv").write_text("T1.2\tG1\n")
    with pytest.raises(DataError, match="no gene for 3 of 4 transcripts, the first is T2.1"):
        read_genes(tmp_path / "t2g.tsv", ["T1.2", "T2.1", "T3.1", "T4.1"])


@pytest.mark.parametrize(
    ("transcripts", "genes"),
    [
        # The copies on Y have the names of those on X, and an addition.
        (["T1.2", "T1.2_PAR_Y", "T2.1"], ["G1", "T1.2_PAR_Y", "G2"]),
        (["T1.2_PAR_Y", "T2.1"], ["G1", "G2"]),
        (["T1.7_PAR_Y", "T2.1"], ["G1", "G2"]),
        # Two versions of one transcript: the table has one of them.
        (["T1.2", "T1.3", "T2.1"], ["G1", "T1.3", "G2"]),
    ],
)
def test_names_are_never_shortened_onto_a_twin(
    transcripts: list[str], genes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "t2g.tsv").write_text("T1.2\tG1\nT2.1\tG2\n")
    assert read_genes(tmp_path / "t2g.tsv", transcripts).genes.tolist() == genes


LENGTHS = [1500, 700, 700]


@pytest.mark.parametrize("genes", [LENGTHS, ["12", "13", "14"], ["1500", "700", "X"]])
def test_numbers_are_refused_where_genes_are_expected(genes: list[object], tmp_path: Path) -> None:
    lines = [f"{name}\t{gene}\n" for name, gene in zip(TRANSCRIPTS, genes, strict=True)]
    (tmp_path / "t2g.tsv").write_text("".join(lines))
    with pytest.raises(DataError, match="genes holds numbers, such as lengths, and no names"):
        genes_or_own(tmp_path / "t2g.tsv", TRANSCRIPTS, LENGTHS)


@pytest.mark.parametrize(
    ("genes", "notes"),
    [
        ("ABC", ["no two transcripts share a gene; is the second column the gene[?]$"]),
        ("222", ["^warning: .*all transcripts have one gene, 2; is it the right column[?]$"]),
        ("ABA", []),
        ("121", []),  # numbers of Entrez
    ],
)
def test_remarks_on_genes_that_none_or_all_share(
    genes: str, notes: list[str], tmp_path: Path
) -> None:
    lines = [f"{name}\t{gene}\n" for name, gene in zip(TRANSCRIPTS, genes, strict=True)]
    (tmp_path / "t2g.tsv").write_text("".join(lines))
    found = genes_or_own(tmp_path / "t2g.tsv", TRANSCRIPTS, LENGTHS)
    assert found.genes.tolist() == list(genes)
    assert len(found.notes) == len(notes)
    for note, pattern in zip(found.notes, notes, strict=True):
        assert re.search(pattern, note)


def test_names_of_gencode_tell_the_genes() -> None:
    names = [
        f"ENST{n:011}.1|ENSG{n // 3:011}.2|OTTHUMG{n}|-|G{n // 3}-201|G{n // 3}|900|lncRNA|"
        for n in range(6)
    ]
    found = genes_or_own(None, names)
    assert found.genes.tolist() == [f"ENSG{n // 3:011}.2" for n in range(6)]
    assert found.names.tolist() == [f"G{n // 3}" for n in range(6)]
    assert "genes are those in the transcripts' names" in found.notes[0]
    spiked = genes_or_own(None, [*names, "ERCC-00002"])
    assert spiked.genes.tolist() == [*names, "ERCC-00002"]
