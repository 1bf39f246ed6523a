"""Tables of genes and of cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exvae.data.errors import DataError
from exvae.data.quantified.annotations import read_cell_table, read_genes

TRANSCRIPTS = ["NM_1.2", "NM_2.1", "NM_10.3"]


def genes_of(
    tmp_path: Path, text: str, transcripts: list[str] = TRANSCRIPTS, name: str = "t2g.tsv"
):
    path = tmp_path / name
    path.write_text(text)
    return read_genes(path, transcripts)


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
        ("NM_1.2 A\nNM_2.1 B\n", "has one column; it needs two"),
        ("", "no table that can be read"),
        ("NM_1.2\tA\nNM_2.1\nNM_10.3\tC\n", "a line with only 'NM_2.1'"),
        ("NM_1.2\tA\nNM_2.1\t\nNM_10.3\tC\n", "a line with only 'NM_2.1'"),
        ("NM_1.2\tA\nNM_2.1\tB\tx\tq\n", "no table that can be read"),
        ("NM_1.2\tA\nNM_10.3\tC\n", "no gene for 1 of 3 transcripts, the first is NM_2.1"),
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
    (tmp_path / "binary.tsv").write_bytes(b"\xff\xfe\x00\x01\t\x80\n")
    with pytest.raises(DataError, match="no table that can be read"):
        read_genes(tmp_path / "binary.tsv", TRANSCRIPTS)
    with pytest.raises(DataError, match="no table that can be read"):
        read_cell_table(tmp_path, ["a"], ())


def cells_of(tmp_path: Path, text: str, cells: list[str], name: str = "cells.csv"):
    path = tmp_path / name
    path.write_text(text)
    return read_cell_table(path, cells, ("n_bootstraps",))


def test_rows_are_found_by_name_whatever_the_order(tmp_path: Path) -> None:
    text = "cell,type,age,ok\n2,T,1.5,True\nNA,B,,False\n003,T,2,True\n"
    table, notes = cells_of(tmp_path, text, ["003", "2", "NA"])
    assert notes == ()
    assert table.index.tolist() == ["003", "2", "NA"]
    assert table["type"].tolist() == ["T", "T", "B"]
    assert isinstance(table["type"].dtype, pd.CategoricalDtype)
    np.testing.assert_array_equal(table["age"], [2.0, 1.5, np.nan])
    assert table["ok"].tolist() == [True, True, False]


def test_a_column_of_texts_and_numbers_and_nothing_is_text(tmp_path: Path) -> None:
    table, _ = cells_of(tmp_path, "cell\tplate\na\t1\nb\tx\nc\t\n", ["a", "b", "c"], "cells.tsv")
    assert table["plate"].tolist()[:2] == ["1", "x"]
    assert table["plate"].isna().tolist() == [False, False, True]


def test_rows_of_other_cells_are_noted(tmp_path: Path) -> None:
    table, notes = cells_of(tmp_path, "cell,type\na,T\nx,B\ny,B\n", ["a"])
    assert table["type"].tolist() == ["T"]
    assert len(notes) == 1
    assert "2 rows, the first x," in notes[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,type\na,T\n", "lacks 2 of 3 cells, the first is b"),
        ("cell,type\na,T\nb,T\nb,B\nc,T\n", "has the cell b twice"),
        ("cell,n_bootstraps\na,1\nb,1\nc,1\n", "has a column n_bootstraps"),
        ("cell,a/b\na,1\nb,1\nc,1\n", "has a column a/b"),
        ("", "no table that can be read"),
        ("cell,type\na,T,x,y\n", "no table that can be read"),
    ],
)
def test_tables_that_do_not_tell_of_the_cells(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as raised:
        cells_of(tmp_path, text, ["a", "b", "c"])
    assert str(raised.value).startswith(f"{tmp_path / 'cells.csv'}: ")
