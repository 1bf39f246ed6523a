"""Tables of cells."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from exvae.data.errors import DataError
from exvae.data.quantified.annotations import read_cell_table


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
    "text",
    [
        "cell, type, age\na, T, 1.5\nb, B, 2\n",
        " cell ,type ,age\na ,T,1.5\n b,B,2\n",
        "cell\ttype\tage\na\tT\t1.5\nb\tB\t2\n",
        "cell;type;age\na;T;1.5\nb;B;2\n",
        "cell;type;age\r\na;T;1,5\r\nb;B;2\r\n",
        '\ufeff"cell";"type";"age"\n"a";"T";1,5\n"b";"B";2\n',
    ],
    ids=["spaces", "more spaces", "tabs", "semicolons", "decimal commas", "quotation marks"],
)
def test_spaces_and_other_separators(text: str, tmp_path: Path) -> None:
    table, notes = cells_of(tmp_path, text, ["b", "a"])
    assert notes == ()
    assert list(table) == ["type", "age"]
    assert table["type"].tolist() == ["B", "T"]
    np.testing.assert_array_equal(table["age"], [2.0, 1.5])


def test_a_workbook_is_no_text(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "cells.csv", "w") as file:
        file.writestr("xl/workbook.xml", bytes(range(256)))
    with pytest.raises(DataError, match="cells.csv: is a workbook .* save it as text"):
        read_cell_table(tmp_path / "cells.csv", ["a"], ())


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_told(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("cell,type\na,Müller\n", encoding=encoding)
    with pytest.raises(DataError, match="cells.csv: not UTF-8 text; convert it to UTF-8"):
        read_cell_table(path, ["a"], ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell,type\na,T\n", "lacks 2 of 3 cells, the first is b"),
        ("cell,type\na,T\nb,T\nb,B\nc,T\n", "has the cell b twice"),
        ("cell,x,x \na,1,1\n", "has the column x twice"),
        ("cell,n_bootstraps\na,1\nb,1\nc,1\n", "has a column n_bootstraps"),
        ("cell,a/b\na,1\nb,1\nc,1\n", "has a column a/b"),
        ("", "is empty, as after a full disk"),
        (
            "cell,type\na,T,x,y\n",
            "no table that can be read .line 2 has 4 columns, the first 2, separated by commas.;",
        ),
        (
            "cell;type\na;T\nb;T;x\n",
            "no table that can be read .line 3 has 3 columns, the first 2, separated by semicolons",
        ),
    ],
)
def test_tables_that_do_not_tell_of_the_cells(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message) as raised:
        cells_of(tmp_path, text, ["a", "b", "c"])
    assert str(raised.value).startswith(f"{tmp_path / 'cells.csv'}: ")
