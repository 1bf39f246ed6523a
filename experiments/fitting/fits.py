"""A fit on disk: its configuration, data, and the state from which training resumes.

``config.json``     model, guide, training, data, versions and seed
``checkpoint.pt``   tensors and numbers only, loads with ``weights_only=True``
``metrics.csv``     a row for each epoch
``vocabulary.txt``  topic models: one word per line
``isoforms.txt``    isoform models: one isoform per line
``genes.txt``       isoform models: the gene of each isoform, one per line

Files are written under temporary names and then moved, never half-written. Digests tell damage.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from ...data.errors import DataError
from ...data.files import folder_locked, written_atomically
from . import descriptions
from .checkpoints import (
    CHECKPOINT,
    load_module,
    load_modules,
    read_checkpoint,
    size_bounded,
    write_checkpoint,
)
from .errors import ArgumentError

__all__ = ["CHECKPOINT", "load_module", "load_modules", "read_checkpoint", "write_checkpoint"]

Config = TypeVar("Config")

CONFIG = "config.json"
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

    A fit exists from its first checkpoint on: what was begun without one may be begun again.

    Raises
    ------
    DataError
        If the folder already holds a fit that is not to be resumed, or none to resume.
    """
    begun = (folder / CHECKPOINT).is_file()
    if resume and not begun:
        raise DataError(f"{folder}: holds no fit to resume; begin one")
    if not resume and begun:
        told = f"{folder}: holds a fit already; choose another folder, remove this one, or give"
        raise ArgumentError(f"{told} resume=True", f"{told} --resume")
    if not resume and (folder / CONFIG).exists():
        try:
            read_config(folder)
        except DataError as error:
            raise ArgumentError(
                f"{folder}: holds a {CONFIG} that is not of a fit; choose another folder",
                f"{folder}: holds a {CONFIG} that is not of a fit; choose another --out",
            ) from error


@contextmanager
def begun(
    folder: Path,
    description: dict[str, Any],
    vocabularies: Mapping[str, Sequence[str]],
    *,
    resume: bool,
) -> Iterator[None]:
    """Make the folder of a new fit and describe the fit in it, or check a fit to resume.

    Within the block no other process can begin or resume a fit in the folder.

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
        If the folder holds another fit, cannot be made, or another process writes to it.
    """
    check_folder(folder, resume=resume)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made ({error.strerror}); choose another") from error
    with folder_locked(folder, (CHECKPOINT, METRICS)):
        check_folder(folder, resume=resume)
        if resume:
            check_same_fit(folder, description)
        digests = {name: write_vocabulary(folder, own, name) for name, own in vocabularies.items()}
        write_config(folder, description, digests)
        yield


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
        As for :func:`begun`.
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
    if (folder / CHECKPOINT).exists():
        if not overwrite:
            raise DataError(
                f"{folder}: holds a fit already; choose another folder, or replace the fit "
                "(overwrite=True)"
            )
        with folder_locked(folder):
            # First the checkpoint, so that no parts of two fits are ever read as one.
            for name in (CHECKPOINT, CONFIG):
                (folder / name).unlink(missing_ok=True)
    with begun(folder, description, vocabularies, resume=False):
        if metrics:
            write_metrics(folder, metrics)
        write_checkpoint(folder, state)


def versions() -> dict[str, str]:
    """Versions of the packages that a fit depends on."""
    packages = ("exvae", "torch", "pyro-ppl", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def write_config(
    folder: Path, config: Mapping[str, Any], files: Mapping[str, str] | None = None
) -> None:
    """Write ``config.json``, with the digests of text files by name."""
    text = descriptions.text_of(config, files or {})
    write_atomically(folder / CONFIG, lambda path: path.write_text(text, encoding="utf-8"))


def read_config(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read ``config.json``, and check the text files that it names.

    Parameters
    ----------
    folder
        Folder of the fit.
    kind
        Required kind of the fit, ``lda`` or ``isoforms``; None accepts both.

    Raises
    ------
    DataError
        If the folder holds no fit, a damaged one, or one of another kind.
    """
    path = folder / CONFIG
    try:
        config, digests = descriptions.parse(_text_of(path))
        descriptions.check(config)
    except OSError as error:
        raise DataError(
            f"{folder}: is no fit ({CONFIG} cannot be read); give its folder"
        ) from error
    except ValueError as error:
        raise DataError(f"{path}: is damaged ({error}); fit again") from error
    if kind is not None and config["kind"] != kind:
        raise DataError(f"{folder}: is a fit of {config['kind']!r}, not of {kind!r}")
    for name, digest in digests.items():
        _check_file(folder, name, digest)
    return config


def _text_of(path: Path) -> str:
    """Read a text file of bounded size."""
    if path.stat().st_size > descriptions.MOST_BYTES:
        raise ValueError("it is too large")
    return path.read_text(encoding="utf-8")


def _check_file(folder: Path, name: str, digest: str) -> None:
    """Raise a DataError unless a text file of the fit is as it was written."""
    path = folder / Path(name).name
    try:
        found = _digest(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); fit again") from error
    if found != digest:
        raise DataError(f"{path}: is damaged (its digest is another); fit again")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_metrics(folder: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write ``metrics.csv``."""
    table = pd.DataFrame(list(rows), columns=None if rows else ["epoch"])
    write_atomically(folder / METRICS, lambda path: table.to_csv(path, index=False))


def read_metrics(folder: Path) -> pd.DataFrame:
    """Read ``metrics.csv``; an empty table before the first epoch.

    Raises
    ------
    DataError
        If it is damaged.
    """
    path = folder / METRICS
    if not path.exists():
        return pd.DataFrame({"epoch": []})
    try:
        # A resumed fit writes these rows again; by default pandas reads floats inexactly.
        table = pd.read_csv(path, float_precision="round_trip")
        if "epoch" not in table or table["epoch"].isna().any():
            raise ValueError("epochs are missing")
        if any(kind.kind not in "iuf" for kind in table.dtypes) and len(table):
            raise ValueError("it holds something else than numbers")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is damaged ({error}); remove it, or fit again") from error
    return table


def write_vocabulary(folder: Path, words: Sequence[str], name: str = VOCABULARY) -> str:
    """Write ``vocabulary.txt``, or another file by ``name``, one word per line; give its digest."""
    text = "".join(f"{word}\n" for word in words).encode()
    write_atomically(folder / name, lambda path: path.write_bytes(text))
    return _digest(text)


def read_vocabulary(folder: Path, name: str = VOCABULARY) -> list[str]:
    """Read ``vocabulary.txt``, or another file by ``name``, one word per line.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    path = folder / name
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read; fit again") from error
    return text.removesuffix("\n").split("\n")


def read_columns(folder: Path, *names: str) -> tuple[list[str], ...]:
    """Read files with one text per line, all for the same rows.

    Raises
    ------
    DataError
        If one is missing or damaged, or has another number of lines.
    """
    columns = tuple(read_vocabulary(folder, name) for name in names)
    if len(set(map(len, columns))) > 1:
        raise DataError(f"{folder}: {' and '.join(names)} differ in length; fit again")
    return columns


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
            before = begun[part].get(key)
            if key not in changeable and before != value:
                raise DataError(
                    f"{source}: was begun with {key} {before}, not {value}; "
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
        written = (config.get("versions") or {}).get("exvae", "another version")
        raise DataError(
            f"{folder}: its configuration is of exvae {written} ({error}); fit again"
        ) from error


@contextmanager
def building(
    folder: Path,
    config: object,
    registered: Mapping[str, Mapping[str, str | type]],
    *,
    trust: bool,
) -> Iterator[None]:
    """Bound what building the objects of a fit may do: run code and take memory.

    Parameters
    ----------
    folder
        Folder of the fit.
    config
        Its configuration.
    registered
        Registered classes by field of the configuration.
    trust
        Whether code of other packages may run.

    Raises
    ------
    DataError
        If the fit needs other code, or more memory than its checkpoint accounts for.
    """
    from .classes import require_own

    if not trust:
        require_own(folder, config, registered)
    with size_bounded(folder):
        yield
