"""A fit on disk: its configuration, data, and the state from which training resumes.

``config.json``     model, guide, training, data, versions and seed
``checkpoint.pt``   tensors and numbers only, loads with ``weights_only=True``
``metrics.csv``     a row for each epoch
``vocabulary.txt``  topic models: one word per line
``isoforms.txt``    isoform models: one isoform per line
``genes.txt``       isoform models: the gene of each isoform, one per line

Every file is written under a temporary name and then moved, so that none is ever half-written.
Only functions for checkpoints import torch.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from ...data.errors import DataError
from ...data.files import written_atomically
from .errors import ArgumentError

if TYPE_CHECKING:
    import torch
    from torch import nn

Config = TypeVar("Config")

CONFIG = "config.json"
CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.csv"
VOCABULARY = "vocabulary.txt"
ISOFORMS = "isoforms.txt"
GENES = "genes.txt"


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file, then move it to its place.

    Raises
    ------
    DataError
        If the folder cannot be written to.
    """
    with written_atomically(path) as temporary:
        write(temporary)


def check_folder(folder: Path, *, resume: bool) -> None:
    """Check that a folder is free for a new fit, or holds the one to resume.

    Raises
    ------
    DataError
        If the folder already holds a fit that is not to be resumed, or none to resume.
    """
    if resume and not (folder / CHECKPOINT).is_file():
        raise DataError(f"{folder}: holds no fit to resume; begin one")
    if not resume and (folder / CONFIG).exists():
        told = f"{folder}: holds a fit already; choose another folder, remove this one, or give"
        raise ArgumentError(f"{told} resume=True", f"{told} --resume")


def begin(
    folder: Path,
    description: dict[str, Any],
    vocabularies: Mapping[str, Sequence[str]],
    *,
    resume: bool,
) -> None:
    """Make the folder of a new fit and describe the fit in it, or check a fit to resume.

    Parameters
    ----------
    folder
        The folder.
    description
        Content of ``config.json``.
    vocabularies
        Lines of further text files, by file name.
    resume
        Whether the folder holds the fit already.

    Raises
    ------
    DataError
        If the folder holds another fit, or cannot be made.
    """
    check_folder(folder, resume=resume)
    if resume:
        check_same_fit(folder, description)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); choose another") from error
    write_config(folder, description)
    for name, words in vocabularies.items():
        write_vocabulary(folder, words, name)


def save(
    folder: Path,
    description: dict[str, Any],
    vocabularies: Mapping[str, Sequence[str]],
    metrics: Sequence[dict[str, float]],
    state: dict[str, Any],
    *,
    overwrite: bool,
) -> None:
    """Write a fit from memory.

    Parameters
    ----------
    folder
        The folder.
    description, vocabularies
        As for :func:`begin`.
    metrics
        Rows of ``metrics.csv``.
    state
        Content of ``checkpoint.pt``.
    overwrite
        Whether a fit in the folder is replaced; its pictures stay.

    Raises
    ------
    DataError
        If the folder holds a fit that is not to be replaced, or cannot be written.
    """
    if (folder / CONFIG).exists():
        if not overwrite:
            raise DataError(
                f"{folder}: holds a fit already; choose another folder, or replace the fit "
                "(overwrite=True)"
            )
        for name in (CHECKPOINT, CONFIG):  # so that no parts of two fits are ever read as one
            (folder / name).unlink(missing_ok=True)
    begin(folder, description, vocabularies, resume=False)
    write_metrics(folder, metrics)
    write_checkpoint(folder, state)


def versions() -> dict[str, str]:
    """Versions of the packages that a fit depends on."""
    packages = ("exvae", "torch", "pyro-ppl", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write ``config.json``."""
    text = json.dumps(config, indent=2) + "\n"
    write_atomically(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))


def read_config(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read ``config.json``.

    Parameters
    ----------
    folder
        Folder of the fit.
    kind
        Required kind of the fit, ``lda`` or ``isoforms``; None accepts both.

    Raises
    ------
    DataError
        If the folder holds no fit, or one of another kind.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"{folder}: is no fit ({CONFIG} cannot be read); give its folder"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: is damaged ({error}); fit again") from error
    if kind is not None and config.get("kind") != kind:
        raise DataError(f"{folder}: is a fit of {config.get('kind')!r}, not of {kind!r}")
    return config


def write_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write ``checkpoint.pt``."""
    import torch

    write_atomically(folder / CHECKPOINT, lambda path: torch.save(state, path))


def read_checkpoint(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read ``checkpoint.pt`` onto any device.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    import torch

    path = folder / CHECKPOINT
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); fit again") from error


def write_metrics(folder: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write ``metrics.csv``."""
    table = pd.DataFrame(list(rows), columns=None if rows else ["epoch"])
    write_atomically(folder / METRICS, lambda path: table.to_csv(path, index=False))


def read_metrics(folder: Path) -> pd.DataFrame:
    """Read ``metrics.csv``; an empty table before the first epoch."""
    path = folder / METRICS
    if not path.exists():
        return pd.DataFrame({"epoch": []})
    # A resumed fit writes these rows again; by default pandas reads floats inexactly.
    return pd.read_csv(path, float_precision="round_trip")


def write_vocabulary(folder: Path, words: Sequence[str], name: str = VOCABULARY) -> None:
    """Write ``vocabulary.txt``, or another file by ``name``, one word per line."""
    text = "".join(f"{word}\n" for word in words)
    write_atomically(folder / name, lambda path: path.write_text(text, encoding="utf-8"))


def read_vocabulary(folder: Path, name: str = VOCABULARY) -> list[str]:
    """Read ``vocabulary.txt``, or another file by ``name``, one word per line.

    Raises
    ------
    DataError
        If it is missing.
    """
    path = folder / name
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read; fit again") from error


def check_same_fit(folder: Path, description: dict[str, Any]) -> None:
    """Require that the resumed fit is the one begun; only epochs and device may change.

    Raises
    ------
    DataError
        If model, training, split or data differ from those in the folder.
    """
    require_same(read_config(folder, description["kind"]), description, str(folder))


def require_same(
    begun: dict[str, Any],
    description: dict[str, Any],
    source: str,
    changeable: Collection[str] = (),
) -> None:
    """Require that a description is of the fit begun.

    Parameters
    ----------
    begun, description
        Content of ``config.json`` of the fit begun, and of the one that goes on.
    source
        Name of the fit, for messages.
    changeable
        What may change beside epochs and device.

    Raises
    ------
    DataError
        If model, training, split or data differ.
    """
    changeable = {"epochs", "device", "source", *changeable}
    for part in ("model", "training", "split", "data"):
        for key, value in description[part].items():
            if key not in changeable and begun[part][key] != value:
                raise DataError(
                    f"{source}: was begun with {key} {begun[part][key]}, not {value}; "
                    "resume with the same data and options"
                )


def config_of(kind: type[Config], folder: Path, config: dict[str, Any]) -> Config:
    """Make the configuration of a model from ``config.json``.

    Raises
    ------
    DataError
        If another version of exvae wrote it.
    """
    try:
        return kind(**config["model"])
    except TypeError as error:
        written = config.get("versions", {}).get("exvae", "another version")
        raise DataError(
            f"{folder}: its configuration is of exvae {written} ({error}); fit again"
        ) from error


def load_modules(folder: Path, device: torch.device, modules: dict[str, nn.Module]) -> None:
    """Move a new model and guide to a device and load their state from a checkpoint.

    Raises
    ------
    DataError
        If the checkpoint is missing or damaged, or belongs to other modules.
    """
    state = read_checkpoint(folder, device)
    for name, module in modules.items():
        load_module(module.to(device), state.get(name, {}), f"{folder}: its {name}")
        module.eval()


def load_module(module: nn.Module, saved: dict[str, torch.Tensor], owner: str) -> None:
    """Load the state of a module.

    Raises
    ------
    DataError
        If the state belongs to another module; ``owner`` names it.
    """
    if reason := _difference(module, saved):
        raise DataError(
            f"{owner} does not fit {type(module).__name__} as it is now ({reason}); restore the "
            "class, or fit again"
        )
    module.load_state_dict(saved)


def _difference(module: nn.Module, saved: dict[str, torch.Tensor]) -> str:
    """Name the first difference between tensors of a module and saved ones; empty for none."""
    wanted = module.state_dict()
    for name in wanted:
        if name not in saved:
            return f"{name} is not in the checkpoint"
        if wanted[name].shape != saved[name].shape:
            return f"{name} has shape {tuple(saved[name].shape)}, not {tuple(wanted[name].shape)}"
    surplus = [name for name in saved if name not in wanted]
    return f"{surplus[0]} is no longer there" if surplus else ""
