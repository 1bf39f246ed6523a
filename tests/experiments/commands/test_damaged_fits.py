"""Fits that were damaged, changed or made up: one line, no traceback, no foreign code."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import exvae as package
from exvae.data.corpora import write_corpus
from exvae.data.errors import DataError
from exvae.data.h5ad.reading import read_cells
from exvae.experiments.fitting import descriptions, fits
from exvae.experiments.fitting.training import TrainingConfig
from exvae.experiments.isoforms import fitting as isoforms
from exvae.experiments.isoforms.settings import IsoformConfig
from exvae.experiments.lda import fitting as lda

from ...small_data import draw_cells, draw_corpus

KINDS = ("lda", "isoforms")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make data and a small fit of either kind."""
    folder = tmp_path_factory.mktemp("made")
    training = TrainingConfig(2, 8, 5e-3, device="cpu")
    write_corpus(draw_corpus(), folder / "corpus.npz")
    draw_cells().write_h5ad(folder / "cells.h5ad")
    lda.fit(draw_corpus(), lda.LDAConfig(3), training, folder / "lda")
    isoforms.fit(read_cells(draw_cells()), IsoformConfig(), training, folder / "isoforms")
    return folder


@pytest.fixture
def fit_of(made: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Copy a fit, so that a test may damage it."""

    def copy(kind: str) -> Path:
        shutil.copytree(made / kind, tmp_path / kind)
        return tmp_path / kind

    return copy


def commands(kind: str, fit: Path, made: Path) -> list[list[object]]:
    """Make commands that read all of a fit."""
    if kind == "lda":
        own = ["lda", "fit", made / "corpus.npz", "--topics", 3, "--batch-size", 8]
        data = made / "corpus.npz"
    else:
        own = ["isoforms", "fit", made / "cells.h5ad", "--batch-size", 8]
        data = made / "cells.h5ad"
    resume = [*own, "--device", "cpu", "--epochs", 3, "--out", fit, "--resume"]
    return [[kind, "evaluate", fit, data], resume]


def rewrite(fit: Path, change: Callable[[dict], object]) -> None:
    """Change a configuration with a digest that is right, as nobody does by accident."""
    path = fit / "config.json"
    config, digests = descriptions.parse(path.read_text())
    changed = change(config)
    path.write_text(descriptions.text_of(config if changed is None else changed, digests))


def assert_one_line(result, told: str, status: int = 2) -> None:
    assert result.status == status, result.err
    lines = [line for line in result.err.splitlines() if not line.startswith("epoch")]
    assert len(lines) == 1, result.err
    assert told in lines[0]


# Accidents


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["config.json", "vocabulary", "genes.txt", "checkpoint.pt"])
def test_a_flipped_bit_is_told(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str, name: str
) -> None:
    fit = fit_of(kind)
    if name == "vocabulary":
        name = "vocabulary.txt" if kind == "lda" else "isoforms.txt"
    if not (made / kind / name).exists():
        pytest.skip("fits of topics have no genes")
    path = fit / name
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    start, length = 0, len(whole)
    if name == "checkpoint.pt":  # within its largest tensor: bits of the archive may mean nothing
        tensors = fits.read_checkpoint(fit)["guide"].values()
        numbers = max(tensors, key=torch.numel).numpy().tobytes()
        start, length = whole.index(numbers), len(numbers)
    for place in start + rng.integers(0, length, 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        for command in commands(kind, fit, made):
            assert_one_line(exvae(*command), str(fit))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "content", ["", "[]", "3", '{"kind": "lda"}', "\xff", "{" * 5000, '{"kind": NaN}', "[" * 10**5]
)
def test_a_configuration_that_is_none(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str, content: str
) -> None:
    fit = fit_of(kind)
    (fit / "config.json").write_text(content, encoding="latin-1")
    for command in (*commands(kind, fit, made), ["info", fit]):
        assert_one_line(exvae(*command), "config.json: is damaged")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", ["", "epoch\none\n", "a,b\n1,2\n", "\xff\xfe", "epoch,b\n,1\n"])
def test_metrics_that_are_none(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str, content: str
) -> None:
    fit = fit_of(kind)
    (fit / "metrics.csv").write_text(content, encoding="latin-1")
    for command in (commands(kind, fit, made)[1], ["info", fit]):
        assert_one_line(exvae(*command), "metrics.csv: is damaged")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_without_a_checkpoint_is_begun_again(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str
) -> None:
    fit = fit_of(kind)
    (fit / "checkpoint.pt").unlink()
    evaluate, resume = commands(kind, fit, made)
    assert_one_line(exvae(*evaluate), "is no fit (it has no checkpoint.pt yet)")
    assert_one_line(exvae(*resume), "holds no fit to resume; begin one")
    again = exvae(*resume[:-1], "--json")
    assert again.status == 0
    assert again.json["epoch"] == 3


# Malice


def values_of(kind: str) -> list[tuple[str, str]]:
    fields = descriptions._FIELDS[kind]
    return [(part, name) for part, names in fields.items() for name in names]


OF_ANOTHER_TYPE = ([1], None), (-1, True, 10**12, {"a": 1}, "x" * 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "values", [OF_ANOTHER_TYPE[0], pytest.param(OF_ANOTHER_TYPE[1], marks=pytest.mark.slow)]
)
def test_a_value_of_another_type_is_told(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str, values: tuple
) -> None:
    fit = fit_of(kind)
    original = (fit / "config.json").read_text()
    for part, name in values_of(kind):
        for value in values:
            rewrite(fit, lambda config, p=part, n=name, v=value: config[p].update({n: v}))
            for command in commands(kind, fit, made)[:1]:
                result = exvae(*command)
                assert result.status in (0, 2), (part, name, value, result.err)
                assert "Traceback" not in result.err
                if result.status:
                    assert_one_line(result, "")
            (fit / "config.json").write_text(original)


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_is_missing_or_unknown_is_told(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str
) -> None:
    fit = fit_of(kind)
    original = (fit / "config.json").read_text()

    def without(part: str, name: str | None = None) -> Callable[[dict], None]:
        def change(config: dict) -> None:
            del (config if name is None else config[part])[name or part]

        return change

    changes: list[Callable[[dict], Any]] = [
        *map(without, ("kind", "model", "training", "split", "data")),
        *(without(part, name) for part, name in values_of(kind)),
        lambda config: config["model"].update(other=1),
        lambda config: config["model"]["options"].update(other=1),
    ]
    for change in changes:
        rewrite(fit, change)
        assert_one_line(exvae(*commands(kind, fit, made)[0]), "")
        (fit / "config.json").write_text(original)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["nan", "missing", "list", "shape", "no tensors"])
def test_a_checkpoint_of_other_content_is_told(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str, how: str
) -> None:
    fit = fit_of(kind)
    state = fits.read_checkpoint(fit)
    name, own = next((n, v) for n, v in state["guide"].items() if v.is_floating_point() and v.dim())
    if how == "missing":
        del state["guide"][name]
    elif how == "no tensors":
        state["guide"] = [1, 2]
    else:
        changed = {"nan": own * torch.nan, "list": [1.0], "shape": torch.zeros(2, 2, 2)}
        state["guide"][name] = changed[how]
    fits.write_checkpoint(fit, state)
    for command in commands(kind, fit, made):
        assert_one_line(exvae(*command), "its guide does not fit")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["progress", "random", "optimizer", "data_order_seed"])
def test_a_state_that_cannot_go_on_is_told(
    exvae, fit_of: Callable[[str], Path], made: Path, kind: str, part: str
) -> None:
    fit = fit_of(kind)
    state = fits.read_checkpoint(fit)
    for value in (None, [1], {"cpu": "x"}):
        fits.write_checkpoint(fit, {**state, part: value})
        assert_one_line(exvae(*commands(kind, fit, made)[1]), str(fit))
    del state[part]
    fits.write_checkpoint(fit, state)
    assert_one_line(exvae(*commands(kind, fit, made)[1]), str(fit))


def test_files_outside_the_folder_are_never_named(
    exvae, fit_of: Callable[[str], Path], made: Path
) -> None:
    fit = fit_of("lda")
    config, _ = descriptions.parse((fit / "config.json").read_text())
    (fit.parent / "secret.txt").write_text("secret")
    (fit / "config.json").write_text(descriptions.text_of(config, {"../secret.txt": "0"}))
    assert_one_line(exvae("info", fit), f"{fit}/secret.txt: cannot be read")


# Code of others

CODE = """
from pathlib import Path
Path("ran").touch()
from exvae.guides.cells import CellGuide
from exvae.guides.lda import ExchangeableGuide

class Cells(CellGuide):
    pass

class Topics(ExchangeableGuide):
    pass
"""
CLASSES = {"lda": "guides_of_others:Topics", "isoforms": "guides_of_others:Cells"}


@pytest.mark.parametrize("kind", KINDS)
def test_code_of_others_runs_only_if_it_is_trusted(
    exvae,
    fit_of: Callable[[str], Path],
    made: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "guides_of_others.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "guides_of_others", raising=False)
    fit = fit_of(kind)
    evaluate = commands(kind, fit, made)[0]
    rewrite(fit, lambda config: config["model"].update(guide=CLASSES[kind]))
    told = f"its guide is {CLASSES[kind]}, code of another package that loading runs"
    assert_one_line(exvae(*evaluate), f"{told}; if you trust it, give --trust")
    with pytest.raises(DataError, match="if you trust it, give trust=True"):
        package.load(fit)
    assert not (tmp_path / "ran").exists()
    assert exvae(*evaluate, "--trust").status == 0
    assert (tmp_path / "ran").exists()
    assert package.load(fit, trust=True).__class__.__module__.startswith("exvae.")


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_that_the_command_names_is_trusted(
    exvae, made: Path, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "guides_of_others.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "guides_of_others", raising=False)
    fit = tmp_path / "fit"
    begin = [own for own in commands(kind, fit, made)[1] if own != "--resume"]
    assert exvae(*begin, "--guide", CLASSES[kind]).status == 0
    assert exvae(*begin, "--guide", CLASSES[kind], "--resume").status == 0
    config = json.loads((fit / "config.json").read_text())
    assert config["model"]["guide"] == CLASSES[kind]


@pytest.mark.parametrize(
    "options", [{"hidden_sizes": [10**9]}, {"hidden_sizes": [10**5, 10**5]}, {"latent_size": 10**9}]
)
def test_options_that_ask_for_any_amount_of_memory_are_refused(
    exvae, fit_of: Callable[[str], Path], made: Path, options: dict
) -> None:
    fit = fit_of("isoforms")
    rewrite(fit, lambda config: config["model"].update(options=options))
    result = exvae(*commands("isoforms", fit, made)[0])
    assert_one_line(result, "")
    assert "asks for more parameters" in result.err or "memory" in result.err
