"""The command, as users type it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from exvae.experiments import cli


class Result:
    """Exit status and what was printed."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> dict:
        """The one object on standard output."""
        return json.loads(self.out)


@pytest.fixture
def exvae(monkeypatch, capsys) -> Callable[..., Result]:
    """Run the command in this process."""

    def run(*arguments: object) -> Result:
        monkeypatch.setattr("sys.argv", ["exvae", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Result(ended.value.code, captured.out, captured.err)

    return run
