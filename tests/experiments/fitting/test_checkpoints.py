"""Checkpoints: what was written is read, and nothing else."""

from __future__ import annotations

import io
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from exvae.data.errors import DataError
from exvae.experiments.fitting.checkpoints import (
    CHECKPOINT,
    digest_of,
    read_checkpoint,
    size_bounded,
    write_checkpoint,
)

STATE = {
    "model": {"weight": torch.arange(600.0).reshape(20, 30), "empty": torch.zeros(0, 3)},
    "half": torch.ones(5, dtype=torch.bfloat16),
    "progress": {"epoch": 3, "best_score": float("inf"), "done": True, "name": "a", "none": None},
    "optimizer": {"weight": {"param_groups": [{"betas": (0.9, 0.999)}], "step": torch.tensor(7)}},
}


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, STATE)
    found = read_checkpoint(tmp_path)
    assert found.keys() == STATE.keys()
    assert found["progress"] == STATE["progress"]
    assert torch.equal(found["model"]["weight"], STATE["model"]["weight"])
    assert torch.equal(found["half"], STATE["half"])
    assert found["optimizer"]["weight"]["param_groups"] == [{"betas": (0.9, 0.999)}]
    # And by torch alone.
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True).keys() > STATE.keys()


def test_no_flipped_bit_changes_a_state(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, STATE)
    path = tmp_path / CHECKPOINT
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    # Every byte of the tensor, and places anywhere.
    start = whole.index(STATE["model"]["weight"].numpy().tobytes())
    tensor = range(start, start + 2400, 40)
    for place in (*tensor, *rng.integers(0, len(whole), 150).tolist()):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(tmp_path)
        except DataError as error:
            assert str(error).startswith(f"{path}: cannot be read (")
            assert "\n" not in str(error)
            refused += 1
        else:  # a bit that means nothing, such as one of padding
            assert place not in tensor
            assert torch.equal(found["model"]["weight"], STATE["model"]["weight"])
            assert found["progress"] == STATE["progress"]
    assert refused >= len(tensor)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    write_checkpoint(tmp_path, STATE)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match="cannot be read"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("state", [[1, 2], 3.0, torch.ones(3), {"model": {}}, {}])
def test_what_has_no_digest_is_refused(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / CHECKPOINT)
    with pytest.raises(DataError, match="cannot be read"):
        read_checkpoint(tmp_path)


# Malice


class Touches:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def with_digest(state: dict) -> dict:
    return {**state, "digest": digest_of(state)}


def save_code(path: Path) -> None:
    torch.save({"model": Touches(path.with_name("touched")), "digest": ""}, path)


def save_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"model": Touches(path.with_name("touched"))}))


def save_view_of_a_number(path: Path) -> None:
    # A tensor of 400 TB that takes four bytes on the disk.
    torch.save({"model": torch.ones(1).expand(10**14), "digest": ""}, path)


def save_nested(path: Path) -> None:
    own: list[Any] = [1.0]
    for _ in range(40):  # 2 ** 40 numbers
        own = [own, own]
    torch.save({"model": own, "digest": ""}, path)


def save_packed(path: Path) -> None:
    plain = io.BytesIO()
    torch.save(with_digest({"model": torch.zeros(10**7)}), plain)
    with (
        zipfile.ZipFile(plain) as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert path.stat().st_size < 10**6


@pytest.mark.parametrize(
    "save", [save_code, save_pickle, save_view_of_a_number, save_nested, save_packed]
)
def test_a_malicious_checkpoint_is_refused(tmp_path: Path, save: Callable[[Path], None]) -> None:
    save(tmp_path / CHECKPOINT)
    started = time.monotonic()
    with pytest.raises(DataError, match="cannot be read") as refused:
        read_checkpoint(tmp_path)
    assert "\n" not in str(refused.value)
    assert time.monotonic() - started < 10
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "build",
    [
        lambda size: nn.Linear(size, size),
        lambda size: nn.Embedding(num_embeddings=size, embedding_dim=size),
        lambda size: torch.zeros((size, size)),
        lambda size: torch.randn(size=(size, size)),
        lambda size: torch.eye(size),
        lambda size: torch.full((size, size), 1.0),
    ],
)
def test_nothing_larger_than_the_checkpoint_is_built(
    tmp_path: Path, build: Callable[[int], object]
) -> None:
    write_checkpoint(tmp_path, STATE)
    with size_bounded(tmp_path):
        build(10)
    with (
        pytest.raises(DataError, match="asks for more parameters"),
        size_bounded(tmp_path),
    ):
        build(10**6)
