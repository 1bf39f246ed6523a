"""Progress bars on standard error and in notebooks."""

from __future__ import annotations

import sys

import pytest
from tqdm import auto

from exvae.data.progress import progress_bar, with_progress


def test_items_pass_and_are_counted(capsys: pytest.CaptureFixture) -> None:
    assert list(with_progress("abc", 3, "letters", "letters")) == ["a", "b", "c"]
    told = capsys.readouterr()
    assert told.out == ""
    assert "letters: 100%" in told.err and "3/3" in told.err


def test_nothing_is_shown_if_told(capsys: pytest.CaptureFixture) -> None:
    assert list(with_progress("abc", 3, "letters", shown=False)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_bar_of_short_work_does_not_appear(capsys: pytest.CaptureFixture) -> None:
    with progress_bar(3, "work", delay=60.0) as bar:
        bar.update()
    assert "work" not in capsys.readouterr().err


def test_a_bar_begins_where_work_was_left(capsys: pytest.CaptureFixture) -> None:
    with progress_bar(10, "work", "steps", done=4) as bar:
        bar.update(2)
    assert "4/10" in capsys.readouterr().err
    assert bar.n == 6


@pytest.mark.parametrize(("terminal", "notebook"), [(False, False), (True, False), (False, True)])
def test_files_get_a_line_only_now_and_then(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, notebook: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    if notebook:
        monkeypatch.setattr(auto, "notebook_tqdm", auto.tqdm)
    with progress_bar(10, "work", "steps") as bar:
        assert bar.mininterval == (0.2 if terminal or notebook else 10.0)
