"""Errors inside classes of a user."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from exvae.data.errors import DataError
from exvae.experiments.fitting.user_code import told_in_one_line
from exvae.models.isoforms import EffectiveReadIsoforms


class Mine(nn.Module):
    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values @ values


# Code that counts as ours: what a user's class is called by.
OURS = {"__name__": "exvae.models.cells", "told_in_one_line": told_in_one_line}
exec(
    """
def run(parts, call):
    with told_in_one_line(parts, "in forward"):
        call()

def divide():
    1 / 0
""",
    OURS,
)
run, divide = OURS["run"], OURS["divide"]


def test_the_place_is_the_users_last_line() -> None:
    here = r"^test_user_code.py:\d+ in .*forward: RuntimeError: mat1 and mat2"
    with pytest.raises(DataError, match=here):
        run([("model", Mine)], lambda: Mine()(torch.ones(2, 3)))


def test_errors_of_ours_beneath_a_users_class_name_it() -> None:
    parts = [("model", EffectiveReadIsoforms), ("decoder", Mine)]
    with pytest.raises(DataError, match="^decoder Mine fails in forward: ZeroDivisionError: div"):
        run(parts, divide)


def test_errors_without_a_user_are_raised_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError):
        run([("model", EffectiveReadIsoforms)], divide)


def test_lines_that_we_wrote_stay() -> None:
    def fail() -> None:
        raise DataError("as it is")

    with pytest.raises(DataError, match="^as it is$"):
        run([("model", Mine)], fail)


def test_long_messages_are_cut() -> None:
    def fail() -> None:
        raise ValueError("no\n" * 500)

    with pytest.raises(DataError) as raised:
        run([], fail)
    assert str(raised.value).endswith("no ...")
    assert len(str(raised.value)) < 400
