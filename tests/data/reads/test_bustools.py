"""Class counts of kallisto | bustools: what is read, and what is refused in one line."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.reads.bustools import read_bustools

from .bus_folder import CLASSES, COUNTS, ISOFORMS, LENGTHS, write_bus


def test_counts_classes_and_lengths(tmp_path: Path) -> None:
    classes, notes = read_bustools(write_bus(tmp_path / "bus"))
    assert notes == ()
    assert classes.cells.tolist() == ["A", "B", "C"]
    assert classes.isoforms.tolist() == ISOFORMS
    assert classes.lengths.tolist() == LENGTHS
    np.testing.assert_array_equal(classes.counts.toarray(), COUNTS)
    ends = zip(classes.starts[:-1], classes.starts[1:], strict=True)
    assert [classes.members[start:end].tolist() for start, end in ends] == CLASSES
    # Fragments have 200 bases on average, and all are shorter than the isoforms.
    np.testing.assert_allclose(classes.effective_lengths, np.array(LENGTHS) - 199)
    np.testing.assert_allclose(classes.weights, 1 / classes.effective_lengths[classes.members])


def test_packed_files_in_one_folder(tmp_path: Path) -> None:
    expected, _ = read_bustools(write_bus(tmp_path / "bus"))
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (tmp_path / "bus").rglob("*"):
        if path.is_file():
            (flat / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    found, _ = read_bustools(flat)
    np.testing.assert_array_equal(found.counts.toarray(), expected.counts.toarray())
    assert found.cells.tolist() == expected.cells.tolist()


def test_other_names_and_barcodes(tmp_path: Path) -> None:
    """The older matrix.ec beside the matrix, and names from barcodes."""
    folder = write_bus(tmp_path / "bus")
    (folder / "counts" / "tcc.ec.txt").rename(folder / "matrix.ec")
    (folder / "counts" / "tcc.mtx").rename(folder / "counts" / "cells_x_tcc.mtx")
    (folder / "matrix.cells").rename(folder / "counts" / "cells_x_tcc.barcodes.txt")
    classes, _ = read_bustools(folder)
    assert classes.cells.tolist() == ["A", "B", "C"]


@pytest.mark.parametrize("text", ["t1 1000\nt2\t1500\nt3 800\nt4 600\nt5 7\n", None])
def test_lengths_from_another_file(tmp_path: Path, text: str | None) -> None:
    folder = write_bus(tmp_path / "bus")
    (folder / "q" / "transcript_lengths.txt").unlink()
    with pytest.raises(DataError, match=r"holds no transcript_lengths.txt; give .*--lengths"):
        read_bustools(folder)
    if text is None:
        sequences = zip(ISOFORMS, LENGTHS, strict=True)
        text = "".join(f">{name} more\n{'A' * 500}\n{'C' * (n - 500)}\n" for name, n in sequences)
    (tmp_path / "lengths").write_text(text)
    classes, _ = read_bustools(folder, tmp_path / "lengths")
    assert classes.lengths.tolist() == LENGTHS


def test_without_fragment_lengths(tmp_path: Path) -> None:
    folder = write_bus(tmp_path / "bus")
    (folder / "flens.txt").unlink()
    classes, notes = read_bustools(folder)
    assert "fragments of 200 bases are assumed" in notes[0]
    np.testing.assert_allclose(classes.effective_lengths, np.array(LENGTHS) - 199)


def test_reads_of_ends_of_transcripts_are_told(tmp_path: Path) -> None:
    folder = write_bus(tmp_path / "bus")
    for technology, told in (("10XV3", 1), ("BULK", 0)):
        call = f'{{"call": "kallisto bus -i x.idx -x {technology} -o bus"}}'
        (folder / "run_info.json").write_text(call)
        notes = read_bustools(folder)[1]
        assert len(notes) == told
    (folder / "run_info.json").write_text("{")
    assert read_bustools(folder)[1] == ()


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: next(folder.rglob(name)).unlink()


def written(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: next(folder.rglob(name)).write_text(text)


HEADER = "%%MatrixMarket matrix coordinate real general\n"
BAD = {
    "no matrix": (without("tcc.mtx"), r"holds no matrix of class counts \(.mtx\); count them"),
    "no classes": (without("tcc.ec.txt"), "holds no matrix.ec; count them with `bustools"),
    "no transcripts": (without("transcripts.txt"), "holds no transcripts.txt; run kallisto bus"),
    "no names": (without("matrix.cells"), "neither matrix.cells nor tcc.barcodes.txt names the 3"),
    "too few names": (written("matrix.cells", "A\nB\n"), "names 2 cells, and tcc.mtx has 3 rows"),
    "a name twice": (written("matrix.cells", "A\nB\nA\n"), "names a cell twice; make"),
    "no lengths": (without("transcript_lengths.txt"), "give the lengths of transcripts"),
    "other isoforms": (written("transcript_lengths.txt", "t1 5\n"), "lacks 3 of 4 isoforms, the"),
    "words for lengths": (written("transcript_lengths.txt", "t1 five\n"), "is no name and length"),
    "classes of other isoforms": (written("transcripts.txt", "t1\n"), "line 2 is no class 1 of"),
    "classes out of order": (written("tcc.ec.txt", "1\t0\n"), "line 1 is no class 0 of some"),
    "words for classes": (written("tcc.ec.txt", "0\tt1\n"), "line 1 is no class 0 of some"),
    "other classes": (written("tcc.ec.txt", "0\t0\n"), "has 6 columns, and tcc.ec.txt 1 classes"),
    "empty": (written("tcc.ec.txt", ""), "tcc.ec.txt: is empty"),
    "fractions": (written("tcc.mtx", f"{HEADER}3 6 1\n1 1 0.5\n"), "holds 0.5, which is no number"),
    "negative": (written("tcc.mtx", f"{HEADER}3 6 1\n1 1 -2\n"), "holds -2, which is no number"),
    "not a number": (written("tcc.mtx", f"{HEADER}3 6 1\n1 1 nan\n"), "holds nan, which is no"),
    "huge": (written("tcc.mtx", f"{HEADER}3 6 1\n1 1 1e12\n"), "holds 1e.12 reads of one class"),
    "cut": (written("tcc.mtx", f"{HEADER}3 6 4\n1 1 2\n"), "tcc.mtx: truncated or damaged"),
    "outside": (written("tcc.mtx", f"{HEADER}3 6 1\n9 1 2\n"), "tcc.mtx: truncated or damaged"),
    "dense": (written("tcc.mtx", "%%MatrixMarket matrix array real general\n1 1\n2\n"), "columns"),
    "bad fragments": (written("flens.txt", "1 two\n"), "flens.txt: truncated or damaged"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_what_does_not_fit_is_told(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    folder = write_bus(tmp_path / "bus")
    change(folder)
    with pytest.raises(DataError, match=message) as error:
        read_bustools(folder)
    assert str(error.value).startswith(str(folder))
    assert "\n" not in str(error.value)


def test_two_matrices_are_told(tmp_path: Path) -> None:
    folder = write_bus(tmp_path / "bus")
    for ending in (".mtx", ".ec.txt"):
        other = folder / "counts" / f"other{ending}"
        other.write_bytes((folder / "counts" / f"tcc{ending}").read_bytes())
    with pytest.raises(DataError, match="holds several matrices, other.mtx and tcc.mtx among them"):
        read_bustools(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder"):
        read_bustools(tmp_path / "none")
