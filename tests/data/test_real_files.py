"""Kinds of files and folders that people have: read right, or told in one line with the remedy."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.data.quantified.directories import find_cells, read_quantification
from exvae.data.quantified.importing import ImportOptions, import_cells

from .bad_cells import BAD, CELLS, dead_well, missing_table, truncated_h5
from .quantified.quantifier_output import (
    write_kallisto_h5,
    write_kallisto_plaintext,
    write_salmon,
)

FIRST_TWO = ["S0", "S1"]


def sample_kallisto(root: Path) -> None:
    for name in FIRST_TWO:
        write_kallisto_h5(root / name / "kallisto", CELLS[name])


@pytest.mark.parametrize(("write", "message"), BAD.values(), ids=list(BAD))
def test_bad_cells_are_named_with_the_reason(
    write: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    root, out = tmp_path / "root", tmp_path / "cells.h5ad"
    write_kallisto_h5(root / "S0", CELLS["S0"])
    write(root / "bad")
    with pytest.raises(DataError, match=message) as raised:
        import_cells([root], out)
    assert str(root / "bad") in str(raised.value)
    assert not out.exists()
    summary = import_cells([root], out, options=ImportOptions(skip_bad=True))
    assert (summary.cells, summary.skipped) == (1, 1)
    assert any(note.startswith("1 of 2 cells are skipped") for note in summary.notes)
    assert anndata.read_h5ad(out).obs_names.tolist() == ["S0"]
    table = pd.read_csv(tmp_path / "bad_cells.csv")
    assert list(table) == ["cell", "path", "reason"]
    assert str(root / "bad") in table["path"].item()
    assert re.search(message.replace("abundance\\.h5: ", ""), table["reason"].item())


ALL_BAD = ["A0", "A1", "A2", "B1", "C1"]


def test_all_bad_cells_are_told_at_once(tmp_path: Path) -> None:
    root, out = tmp_path / "root", tmp_path / "cells.h5ad"
    for name in FIRST_TWO:
        write_kallisto_h5(root / name, CELLS[name])
    for number in range(3):
        dead_well(root / f"A{number}")
    truncated_h5(root / "B1")
    missing_table(root / "C1")
    with pytest.raises(DataError, match="5 of 7 cells cannot be imported") as raised:
        import_cells([root], out)
    told = str(raised.value)
    assert "A0, A1, A2: is a cell without reads" in told
    assert "B1: abundance.h5: truncated" in told
    assert "C1: has run_info.json" in told
    assert "--skip-bad" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
    options = ImportOptions(skip_bad=True, num_processes=2)
    summary = import_cells([root], out, options=options)
    assert (summary.cells, summary.skipped) == (2, 5)
    assert sorted(pd.read_csv(tmp_path / "bad_cells.csv")["cell"]) == ALL_BAD
    data = anndata.read_h5ad(out)
    assert data.obs_names.tolist() == FIRST_TWO
    np.testing.assert_array_equal(data.X.toarray()[1], CELLS["S1"].counts)
    assert sorted(data.uns["exvae_import"]["bad_cells"]) == ALL_BAD


def test_bad_cells_of_a_sheet(tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    missing_table(tmp_path / "root" / "S2")
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("name,path\na,root/S0\nb,root/S2\nc,root/S3\n")
    options = ImportOptions(skip_bad=True, sheet=sheet)
    assert import_cells([], tmp_path / "cells.h5ad", options=options).cells == 1
    table = pd.read_csv(tmp_path / "bad_cells.csv", index_col="cell")["reason"]
    assert table["b"].startswith("holds no abundance.h5")
    assert table["c"] == "does not exist; correct the path"


def test_there_must_be_a_good_cell(tmp_path: Path) -> None:
    for number in range(3):
        dead_well(tmp_path / "root" / f"A{number}")
    with pytest.raises(DataError, match="3 of 3 cells cannot be imported"):
        options = ImportOptions(skip_bad=True)
        import_cells([tmp_path / "root"], tmp_path / "cells.h5ad", options=options)


def test_one_odd_cell_does_not_set_the_transcripts(tmp_path: Path) -> None:
    for number in range(4):
        write_kallisto_h5(tmp_path / "root" / f"S{number}", CELLS[f"S{number}"])
    names = [*CELLS["S0"].transcripts[:-1], "other"]
    write_kallisto_h5(tmp_path / "root" / "S0", CELLS["S0"]._replace(transcripts=names))
    options = ImportOptions(skip_bad=True)
    import_cells([tmp_path / "root"], tmp_path / "cells.h5ad", options=options)
    assert pd.read_csv(tmp_path / "bad_cells.csv")["cell"].tolist() == ["S0"]


def test_a_locked_file_is_not_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
    path = write_kallisto_h5(tmp_path / "cell", CELLS["S0"]) / "abundance.h5"
    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="locked by another process"):
            read_quantification(tmp_path / "cell")
    assert read_quantification(tmp_path / "cell").counts.any()


def test_salmon_need_not_write_names(tmp_path: Path) -> None:
    write_salmon(tmp_path / "cell", CELLS["S0"])
    (tmp_path / "cell" / "aux_info" / "bootstrap" / "names.tsv.gz").unlink()
    cell = read_quantification(tmp_path / "cell")
    np.testing.assert_array_equal(cell.bootstraps, CELLS["S0"].bootstraps)


@pytest.mark.parametrize("version", ["", "0.7.2"])
def test_whole_numbers_of_old_salmon(version: str, tmp_path: Path) -> None:
    whole = CELLS["S0"]._replace(bootstraps=CELLS["S0"].bootstraps.round())
    write_salmon(tmp_path / "cell", whole, kind="<i4", salmon_version=version)
    np.testing.assert_array_equal(
        read_quantification(tmp_path / "cell").bootstraps, whole.bootstraps
    )


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_kallisto_plaintext, "run_info.json"), (write_salmon, "cmd_info.json")],
)
def test_information_never_stops_an_import(
    write: Callable[..., Path], name: str, tmp_path: Path
) -> None:
    for number, cell in enumerate(FIRST_TWO):
        write(tmp_path / "root" / cell, CELLS[cell])
        if number:
            # As kallisto h5dump 0.51 writes it.
            text = '{\n\t"n_bootstraps": 5,\n\t"call": "kallisto "quant""\n\t"k": 31\n}\n'
            (tmp_path / "root" / cell / name).write_text(text)
    summary = import_cells([tmp_path / "root"], tmp_path / "cells.h5ad")
    assert summary.cells == 2
    assert f"in 1 of 2 cells, the first S1, {name} is no valid JSON" in " ".join(summary.notes)


def test_names_of_genes_are_kept(tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    lines = [f"{name}\tG{number // 3}\tname{number // 3}\n" for number, name in
             enumerate(CELLS["S0"].transcripts)]  # fmt: skip
    (tmp_path / "t2g.tsv").write_text("".join(lines))
    import_cells([tmp_path / "root"], tmp_path / "cells.h5ad", tmp_path / "t2g.tsv")
    var = anndata.read_h5ad(tmp_path / "cells.h5ad").var
    assert var["gene_name"].astype(str).tolist() == [f"name{n // 3}" for n in range(len(lines))]


TABLES_OF_CELLS = {
    "only some": ("cell,type\nS1,T\n", {"only_listed": True}, ["S1"]),
    "row numbers": (",cell,type\n0,S1,T\n1,S0,B\n", {"obs_key": "cell"}, ["S0", "S1"]),
    "some, by number": (
        ",cell,type\n0,S1,T\n1,S7,B\n",
        {"obs_key": "cell", "only_listed": True},
        ["S1"],
    ),
}


@pytest.mark.parametrize(
    ("text", "options", "cells"), TABLES_OF_CELLS.values(), ids=list(TABLES_OF_CELLS)
)
def test_tables_of_cells(
    text: str, options: dict[str, object], cells: list[str], tmp_path: Path
) -> None:
    sample_kallisto(tmp_path / "root")
    (tmp_path / "cells.csv").write_text(text)
    arguments = ([tmp_path / "root"], tmp_path / "cells.h5ad", None, tmp_path / "cells.csv")
    with pytest.raises(DataError, match="--only-listed|'cell' names [12] of them.*--obs-key"):
        import_cells(*arguments)
    summary = import_cells(*arguments, ImportOptions(**options))
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert data.obs_names.tolist() == cells
    assert "type" in data.obs
    assert "Unnamed: 0" not in data.obs
    assert any("are left out" in note for note in summary.notes) == (len(cells) == 1)


# As R's write.table writes it, and with a comment above the header.
TABLES_OF_R = {
    "R": '"type" "score"\n"S0" "a b" 1\n"S1" "c" 2\n',
    "R, one column": '"type"\n"S0" "a b"\n"S1" "c"\n',
    "R with tabs": "type\tscore\nS0\ta b\t1\nS1\tc\t2\n",
    "R with numbers": '"cell" "type"\n"1" "S0" "a b"\n"2" "S1" "c"\n',
    "aligned": 'cell  type\nS0    "a b"\nS1    c\n',
    "comment": "# made by hand, in May\n#\ncell,type\nS0,a b\nS1,c\n",
    "header like a comment": "# made by hand\n#cell\ttype\nS0\ta b\nS1\tc\n",
    "Excel's separator": "sep=;\ncell;type\nS0;a b\nS1;c\n",
    "Excel's separator, BOM, Windows": "\ufeffsep=;\r\ncell;type\r\nS0;a b\r\nS1;c\r\n",
    "BOM and comment": "\ufeff# by hand\ncell,type\nS0,a b\nS1,c\n",
    "line feed in a field": 'cell,note,type\nS0,"two\nlines",a b\nS1,,c\n',
    "old Mac": "cell,type\rS0,a b\rS1,c\r",
}


@pytest.mark.parametrize("text", TABLES_OF_R.values(), ids=list(TABLES_OF_R))
def test_tables_of_cells_that_r_writes_or_with_comments(text: str, tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    (tmp_path / "cells.txt").write_text(text)
    options = ImportOptions(obs_key="cell" if '"1"' in text else None)
    out = tmp_path / "cells.h5ad"
    import_cells([tmp_path / "root"], out, None, tmp_path / "cells.txt", options)
    assert anndata.read_h5ad(out).obs["type"].tolist() == ["a b", "c"]


NAMES = CELLS["S0"].transcripts
TABLES_OF_GENES = {
    "R": ('"TXNAME" "GENEID"\n', '"{0}" "{1}" "G{2}"\n'),
    "R with tabs": ('"TXNAME"\t"GENEID"\n', '"{0}"\t"{1}"\t"G{2}"\n'),
    "spaces": ("", "{1} G{2}\n"),
    "comment": ("# Ensembl 109, made by hand\n", "{1}\tG{2}\n"),
    "comment and commas": ("# Ensembl 109\n", "{1},G{2}\n"),
}


@pytest.mark.parametrize(("header", "row"), TABLES_OF_GENES.values(), ids=list(TABLES_OF_GENES))
def test_tables_of_genes_that_r_writes_or_with_comments(
    header: str, row: str, tmp_path: Path
) -> None:
    sample_kallisto(tmp_path / "root")
    rows = (row.format(number + 1, name, number // 4) for number, name in enumerate(NAMES))
    (tmp_path / "t2g.txt").write_text(header + "".join(rows))
    import_cells([tmp_path / "root"], tmp_path / "cells.h5ad", tmp_path / "t2g.txt")
    genes = anndata.read_h5ad(tmp_path / "cells.h5ad").var["gene"]
    assert genes.tolist() == [f"G{number // 4}" for number in range(len(NAMES))]


@pytest.mark.parametrize("write", [write_kallisto_plaintext, write_salmon])
def test_windows_ends_of_lines(write: Callable[..., Path], tmp_path: Path) -> None:
    for path in write(tmp_path / "cell", CELLS["S0"]).rglob("*[.][ts][sf]*"):
        if path.suffix != ".gz":
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    cell = read_quantification(tmp_path / "cell")
    np.testing.assert_array_equal(cell.counts, CELLS["S0"].counts)
    np.testing.assert_array_equal(cell.bootstraps, CELLS["S0"].bootstraps)


NO_TEXT = {
    "xlsx": (b"PK\x03\x04 \xff", r"is a workbook \(\.xlsx\) or a zip archive; unpack"),
    "xls": (b"\xd0\xcf\x11\xe0 ...", r"is a workbook \(\.xls\); save"),
    "Parquet": (b"PAR1 \xff", "is a Parquet table; save it as text"),
    "R": (gzip.compress(b"X\n\0\0 \xff"), "is an R object; save it as text"),
    "packed": (gzip.compress(b"cell,type"), "is packed by gzip; unpack it"),
    "latin-1": ("cell,site\nS0,Zürich\n".encode("latin-1"), "not UTF-8 text; convert it"),
}


@pytest.mark.parametrize(("content", "message"), NO_TEXT.values(), ids=list(NO_TEXT))
def test_tables_that_are_no_text_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    path = tmp_path / "table"
    path.write_bytes(content)
    for tables in ((path, None), (None, path)):
        with pytest.raises(DataError, match=f"^{path}: {message}"):
            import_cells([tmp_path / "root"], tmp_path / "cells.h5ad", *tables)


def test_columns_of_a_sheet_may_have_capitals(tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    (tmp_path / "sheet.csv").write_bytes(b"\xef\xbb\xbfName,Path\r\nb,root/S1\r\na,root/S0\r\n")
    options = ImportOptions(sheet=tmp_path / "sheet.csv")
    import_cells([], tmp_path / "cells.h5ad", options=options)
    assert anndata.read_h5ad(tmp_path / "cells.h5ad").obs_names.tolist() == ["b", "a"]


@pytest.mark.parametrize("write", [write_kallisto_plaintext, write_salmon])
def test_comments_above_tables_of_quantifiers(write: Callable[..., Path], tmp_path: Path) -> None:
    for table in write(tmp_path / "cell", CELLS["S0"]).glob("*[.][ts][sf]*"):
        table.write_text(f"# copied from the cluster\n{table.read_text()}")
        assert table.read_text().startswith("#")
    cell = read_quantification(tmp_path / "cell")
    np.testing.assert_array_equal(cell.counts, CELLS["S0"].counts)


def test_options_of_a_table_of_cells_that_is_not_right(tmp_path: Path) -> None:
    sample_kallisto(tmp_path / "root")
    table = tmp_path / "cells.csv"
    table.write_text("cell,type\nX1,T\n")
    headless = tmp_path / "headless.csv"
    headless.write_text("S0,T\nS1,T\n")
    for obs, options, message in (
        (None, {"only_listed": True}, r"need a table \(--obs\)"),
        (table, {"obs_key": "name"}, "no column name .* it has cell, type"),
        (table, {"only_listed": True}, "lacks 2 of 2 cells.* name the cells as their folders"),
        (headless, {"only_listed": True}, "has the cell S0, so that the header is missing"),
        (headless, {"obs_key": "cell"}, "has the cell S0, so that the header is missing"),
        (headless, {}, "has the cell S0, so that the header is missing"),
    ):
        with pytest.raises(DataError, match=message):
            import_cells(
                [tmp_path / "root"], tmp_path / "cells.h5ad", None, obs, ImportOptions(**options)
            )


def test_folders_that_lead_to_each_other_are_searched_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    folders = [root / f"F{number}" for number in range(10)]
    for folder in folders:
        write_kallisto_h5(folder / folder.name.replace("F", "S"), CELLS["S0"])
    for folder in folders:
        for other in folders:
            if folder != other:
                (folder / f"to_{other.name}").symlink_to(other)
        (folder / "up").symlink_to(root)
    found = find_cells([root])
    assert list(found.cells) == [f"S{number}" for number in range(10)]
    assert found.cells["S3"] == root / "F3" / "S3"


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    write_kallisto_h5(tmp_path / "store" / "x1", CELLS["S0"])
    write_kallisto_h5(tmp_path / "root" / "S1", CELLS["S1"])
    (tmp_path / "empty").mkdir()
    (tmp_path / "root" / "S0").symlink_to(tmp_path / "store" / "x1")
    (tmp_path / "root" / "S2").symlink_to(tmp_path / "empty")
    found = find_cells([tmp_path / "root"])
    assert found.cells == {name: tmp_path / "root" / name for name in FIRST_TWO}
    assert f"belong to no cell: {tmp_path / 'root' / 'S2'}" in found.notes[0]


@pytest.fixture
def real_kallisto(shared_data: Path) -> Path:
    if not (shared_data / "real_kallisto").is_dir():
        pytest.skip("needs real_kallisto")
    return shared_data / "real_kallisto"


def test_real_samples_of_sleuth(real_kallisto: Path, tmp_path: Path) -> None:
    summary = import_cells([real_kallisto / "ellahi"], tmp_path / "cells.h5ad")
    data = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert data.obs_names.tolist() == ["SRR1811834", "SRR1812754", "SRR1812759"]
    assert (summary.isoforms, summary.min_bootstraps) == (6713, 30)
    assert not any("warning" in note for note in summary.notes)
    assert read_cells(tmp_path / "cells.h5ad").num_cells == 3  # without a warning about centring


def test_real_folders_of_quant_tcc(real_kallisto: Path) -> None:
    folder = real_kallisto / "kallisto_0_52"
    found = find_cells([folder / "quant_tcc"])
    assert list(found.cells) == ["c0", "c1"]
    cell = read_quantification(found.cells["c0"])
    quantified = read_quantification(folder / "h5_c0", None, cell.transcripts)
    np.testing.assert_allclose(cell.counts, quantified.counts, atol=1e-2, rtol=1e-3)
    text = read_quantification(folder / "plaintext_c0", None, cell.transcripts)
    np.testing.assert_allclose(text.bootstraps, quantified.bootstraps, rtol=1e-4, atol=1e-4)


def test_the_real_well_without_reads(real_kallisto: Path, tmp_path: Path) -> None:
    folder = real_kallisto / "kallisto_0_52"
    options = ImportOptions(skip_bad=True)
    summary = import_cells([folder], tmp_path / "cells.h5ad", options=options)
    assert (summary.cells, summary.skipped) == (4, 1)
    table = pd.read_csv(tmp_path / "bad_cells.csv")
    assert table["cell"].tolist() == ["no_reads_c7"]
    assert "without reads" in table["reason"].item()


def test_files_that_macos_adds_to_an_archive_are_no_cells(tmp_path: Path) -> None:
    root = tmp_path / "root"
    sample_kallisto(root)
    write_kallisto_plaintext(root / "S2", CELLS["S2"])
    for path in [path for path in root.rglob("*") if path.is_file()]:
        beside = root / "__MACOSX" / path.relative_to(root)
        beside.parent.mkdir(parents=True, exist_ok=True)
        for place in (path, beside):
            place.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    found = find_cells([root])
    assert list(found.cells) == [*FIRST_TWO, "S2"]
    assert (found.incomplete, found.notes) == ((), ())
    assert import_cells([root], tmp_path / "cells.h5ad").cells == 3
