"""Class counts of salmon: classes of cells are matched by their isoforms."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from exvae.data.errors import DataError
from exvae.data.reads.salmon_classes import read_salmon_classes

ISOFORMS = ["t1", "t2", "t3"]


def write_cell(
    folder: Path,
    classes: list[str],
    isoforms: list[str] = ISOFORMS,
    effective: float = 400.0,
    packed: bool = False,
) -> Path:
    """Write what ``salmon quant --dumpEq`` leaves; a class is a line."""
    (folder / "aux_info").mkdir(parents=True)
    sizes = (f"{600 + 100 * i}\t{effective + 100 * i}" for i in range(len(isoforms)))
    rows = [f"{name}\t{own}\t1\t1" for name, own in zip(isoforms, sizes, strict=True)]
    header = "Name\tLength\tEffectiveLength\tTPM\tNumReads"
    (folder / "quant.sf").write_text("\n".join([header, *rows]) + "\n")
    lines = [str(len(isoforms)), str(len(classes)), *isoforms, *classes]
    text = "".join(f"{line}\n" for line in lines)
    if packed:
        (folder / "aux_info" / "eq_classes.txt.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "aux_info" / "eq_classes.txt").write_text(text)
    return folder


def counts_by_members(classes) -> list[dict[tuple[str, ...], int]]:
    ends = list(zip(classes.starts[:-1], classes.starts[1:], strict=True))
    names = [tuple(classes.isoforms[classes.members[start:end]].tolist()) for start, end in ends]
    return [
        {name: int(count) for name, count in zip(names, row, strict=True) if count}
        for row in classes.counts.toarray()
    ]


def test_classes_of_cells_are_matched(tmp_path: Path) -> None:
    one = write_cell(tmp_path / "one", ["1 0 5", "2 0 2 7"])
    # Another order of isoforms, members and classes; packed.
    order = ["t3", "t1", "t2"]
    other = write_cell(tmp_path / "other", ["2 0 1 4", "1 2 3", "2 1 2 6"], order, 500.0, True)
    classes, notes = read_salmon_classes({"A": one, "B": other})
    assert notes == ()
    assert counts_by_members(classes) == [
        {("t1",): 5, ("t1", "t3"): 7},
        {("t1", "t3"): 4, ("t2",): 3, ("t1", "t2"): 6},
    ]
    # The second cell lists t3 first: 500 for it, 600 for t1 and 700 for t2.
    np.testing.assert_allclose(classes.effective_lengths, [500.0, 600.0, 550.0])
    np.testing.assert_allclose(classes.weights, 1 / classes.effective_lengths[classes.members])


def test_weights_of_salmon_are_averaged_over_reads(tmp_path: Path) -> None:
    one = write_cell(tmp_path / "one", ["2 0 1 0.75 0.25 10", "1 2 1.0 3"])
    other = write_cell(tmp_path / "other", ["2 1 0 0.5 0.5 30", "2 0 1 0.9 0.1 10"])
    classes, _ = read_salmon_classes({"A": one, "B": other})
    assert counts_by_members(classes) == [{("t1", "t2"): 10, ("t3",): 3}, {("t1", "t2"): 40}]
    weights = classes.weights[classes.starts[0] : classes.starts[1]]
    expected = np.array([0.75 * 10 + 0.5 * 30 + 0.9 * 10, 0.25 * 10 + 0.5 * 30 + 0.1 * 10])
    np.testing.assert_allclose(weights / weights.sum(), expected / expected.sum())


BAD = {
    "no count": (["2 0 1"], "eq_classes.txt: truncated or damaged"),
    "an isoform too far": (["1 9 5"], "eq_classes.txt: truncated or damaged"),
    "words": (["1 0 five"], "eq_classes.txt: truncated or damaged"),
    "negative": (["1 0 -5"], "eq_classes.txt: truncated or damaged"),
}


@pytest.mark.parametrize(("lines", "message"), BAD.values(), ids=BAD)
def test_damage_is_told(tmp_path: Path, lines: list[str], message: str) -> None:
    cell = write_cell(tmp_path / "cell", lines)
    with pytest.raises(DataError, match=message):
        read_salmon_classes({"A": cell})


def test_cut_files_are_told(tmp_path: Path) -> None:
    cell = write_cell(tmp_path / "cell", ["1 0 5", "1 1 5"])
    path = cell / "aux_info" / "eq_classes.txt"
    path.write_text(path.read_text()[:-7])
    with pytest.raises(DataError, match="eq_classes.txt: truncated or damaged"):
        read_salmon_classes({"A": cell})


def test_cells_without_classes_or_of_other_isoforms_are_told(tmp_path: Path) -> None:
    good = write_cell(tmp_path / "good", ["1 0 5"])
    other = write_cell(tmp_path / "other", ["1 0 5"], ["t1", "t2", "t9"])
    with pytest.raises(DataError, match="other: has other transcripts than the cells before"):
        read_salmon_classes({"A": good, "B": other})
    (good / "aux_info" / "eq_classes.txt").unlink()
    with pytest.raises(DataError, match="holds no aux_info/eq_classes.txt; quantify .* --dumpEq"):
        read_salmon_classes({"A": good})
