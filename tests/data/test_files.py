"""Files that are complete or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from exvae.data.errors import DataError
from exvae.data.files import written_atomically


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_atomically(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_of_a_failure(failure: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with pytest.raises(failure), written_atomically(path) as temporary:
        temporary.write_text("half")
        raise failure
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file.txt"
    with (
        pytest.raises(DataError, match="file.txt: cannot be written"),
        written_atomically(path) as temporary,
    ):
        temporary.write_text("new")
