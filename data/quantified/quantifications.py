"""Readers of what kallisto and salmon write about one cell: a directory with bootstraps.

===================== ==========================================================================
kallisto              ``abundance.h5``
kallisto --plaintext  ``abundance.tsv``, ``bs_abundance_0.tsv`` or ``bs_abundance_0.tsv.gz`` ...,
                      ``run_info.json``
salmon                ``quant.sf``, ``aux_info/bootstrap/bootstraps.gz`` and ``names.tsv.gz``,
                      ``aux_info/meta_info.json``
===================== ==========================================================================

Whatever is wrong with a directory ends in a DataError of one line that names it and the remedy.
This module loads neither torch nor anndata, because every process that reads cells imports it.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    import pandas as pd

KALLISTO_H5 = "abundance.h5"
KALLISTO_TABLE = "abundance.tsv"
SALMON_TABLE = "quant.sf"

_KALLISTO_BOOTSTRAP = re.compile(r"bs_abundance_(\d+)\.tsv(?:\.gz)?")
_AGAIN = "quantify the cell again or leave it out"
# Bytes of a number in bootstraps.gz; old versions of salmon wrote whole numbers.
_SALMON_TYPES = {8: "<f8", 4: "<i4"}
# Transcripts per million sum to a million, but for the rounding of what is printed.
_MILLION, _ROUNDING = 1e6, 10.0


class Quantification(NamedTuple):
    """What a quantifier says of one cell.

    Attributes
    ----------
    transcripts
        Shape (isoforms,), bytes, distinct.
    lengths
        Shape (isoforms,), int32 (bases).
    effective_lengths
        Shape (isoforms,), float64 (bases).
    counts
        The estimates (reads), shape (isoforms,), float32.
    bootstraps
        Shape (bootstraps, isoforms), float32 (reads); at least one.
    quantifier, version
        ``kallisto`` or ``salmon``, and its version, empty if it is not told.
    replicates
        What the bootstraps are: ``bootstrap``, or ``gibbs``, draws from salmon's posterior.
    """

    transcripts: np.ndarray
    lengths: np.ndarray
    effective_lengths: np.ndarray
    counts: np.ndarray
    bootstraps: np.ndarray
    quantifier: str
    version: str
    replicates: str = "bootstrap"


# Directories


def find_cells(paths: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Find the directories of cells.

    Parameters
    ----------
    paths
        Each the directory of a cell, or one that holds such directories at any depth.

    Returns
    -------
    dict
        The directory of each cell by its name, the name of the directory; in the order of
        ``paths``, and sorted within each.

    Raises
    ------
    DataError
        If a path holds no cell, or two directories have the same name.
    """
    cells: dict[str, Path] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            problem = "is a file" if path.exists() else "does not exist"
            raise DataError(f"{path}: {problem}; give directories of kallisto or salmon results")
        found = False
        for directory in _walk(path, ()):
            found = True
            # The name of "." is found in its full path; links keep their own name.
            name = os.path.basename(os.path.abspath(directory))
            known = cells.setdefault(name, directory)
            if known != directory and not os.path.samefile(known, directory):
                raise DataError(
                    f"{directory}: has the same name as the cell {known}; rename one of them or "
                    "give only one"
                )
        if not found:
            raise DataError(
                f"{path}: holds no cell, no directory with {KALLISTO_H5}, {KALLISTO_TABLE} or "
                f"{SALMON_TABLE}; give the output of kallisto quant or salmon quant"
            )
    return cells


def _walk(directory: Path, parents: tuple[str, ...]) -> Iterator[Path]:
    """Yield the directories of cells in a directory, itself among them, following links."""
    real = os.path.realpath(directory)
    if real in parents:
        return  # a link to a directory that it lies in
    try:
        with os.scandir(directory) as entries:
            entries = sorted(entries, key=lambda entry: entry.name)
            names = {entry.name for entry in entries}
            subdirectories = [entry.name for entry in entries if entry.is_dir()]
    except OSError as error:
        raise DataError(
            f"{directory}: cannot be listed ({error.strerror}); make it readable"
        ) from error
    if names & {KALLISTO_H5, KALLISTO_TABLE, SALMON_TABLE}:
        yield directory
        return
    for name in subdirectories:
        yield from _walk(directory / name, (*parents, real))


# One cell


def read_quantification(
    directory: Path,
    max_bootstraps: int | None = None,
    transcripts: np.ndarray | None = None,
) -> Quantification:
    """Read one cell.

    Parameters
    ----------
    directory
        Of the cell. Where it holds both ``abundance.h5`` and plain text, the former is read.
    max_bootstraps
        Read the first so many; None reads all.
    transcripts
        Shape (isoforms,), bytes: the order in which to give the values; None keeps that of the
        files.

    Raises
    ------
    DataError
        If files are missing, damaged or without bootstraps, if values are no counts, or if the
        transcripts are others than those wanted.
    """
    is_salmon = (directory / SALMON_TABLE).exists()
    is_h5 = (directory / KALLISTO_H5).exists()
    if is_salmon and (is_h5 or (directory / KALLISTO_TABLE).exists()):
        raise DataError(
            f"{directory}: holds results of both kallisto and salmon; give each a directory"
        )
    read = _read_kallisto_h5 if is_h5 else _read_kallisto_plaintext
    # Estimates that float32 cannot hold become infinite, and are refused as such.
    with np.errstate(over="ignore"):
        cell = (_read_salmon if is_salmon else read)(directory, max_bootstraps)
    _check_values(directory, cell)
    if transcripts is None:
        _check_distinct(directory, cell.transcripts)
        return cell
    return _reordered(directory, cell, transcripts)


def text_of(name: bytes) -> str:
    """Name of a transcript as a string, whatever its bytes are."""
    return name.decode(errors="backslashreplace")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn the ways in which reading a file can fail into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{path}: is missing; {_AGAIN}") from error
    except (
        OSError,
        EOFError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
        zlib.error,
    ) as error:
        raise DataError(f"{path}: truncated or damaged ({error}); {_AGAIN}") from error


def _check_values(directory: Path, cell: Quantification) -> None:
    """Require counts that are neither negative nor missing."""
    for what, values in (("estimate", cell.counts), ("bootstrap", cell.bootstraps)):
        # The smallest and largest of values with a NaN are NaN.
        if not (values.min(initial=0.0) >= 0 and values.max(initial=0.0) < np.inf):
            wrong = np.argwhere(~((values >= 0) & np.isfinite(values)))[0]
            name = text_of(cell.transcripts[wrong[-1]])
            number = f" {wrong[0]}" if what == "bootstrap" else ""
            raise DataError(
                f"{directory}: {what}{number} of {name} is {values[tuple(wrong)]}, which is no "
                f"count; {_AGAIN}"
            )


def _check_counts(
    directory: Path,
    counts: np.ndarray,
    reads: float | None,
    tpm: Callable[[], np.ndarray] | None = None,
) -> None:
    """Require that estimates are of reads, and of some.

    Parameters
    ----------
    directory
        Of the cell.
    counts
        The estimates, shape (isoforms,).
    reads
        What they should sum to; None if that is not told.
    tpm
        Reads the transcripts per million, shape (isoforms,).
    """
    if not counts.any():
        raise DataError(f"{directory}: is a cell without reads; leave it out")
    total = counts.sum(dtype=np.float64)
    if abs(total - _MILLION) > _ROUNDING:
        return
    contradicted = reads is not None and abs(total - reads) > 0.01 * total
    if contradicted or (tpm is not None and np.array_equal(counts, tpm())):
        raise DataError(
            f"{directory}: the counts sum to a million and so are transcripts per million (TPM); "
            "give estimated counts (reads), as kallisto and salmon write them"
        )


def _check_distinct(path: Path, transcripts: np.ndarray) -> None:
    distinct, counts = np.unique(transcripts, return_counts=True)
    if len(distinct) < len(transcripts):
        raise DataError(
            f"{path}: the transcript {text_of(distinct[counts.argmax()])} occurs "
            f"{counts.max()} times; make the names in the index distinct and quantify again"
        )


def _reordered(directory: Path, cell: Quantification, transcripts: np.ndarray) -> Quantification:
    """Put the values of a cell in the order of ``transcripts``."""
    if np.array_equal(cell.transcripts, transcripts):
        return cell
    order = _positions(directory, cell.transcripts, transcripts, "the other cells")
    return cell._replace(
        transcripts=transcripts,
        lengths=cell.lengths[order],
        effective_lengths=cell.effective_lengths[order],
        counts=cell.counts[order],
        bootstraps=cell.bootstraps[:, order],
    )


def _positions(path: Path, found: np.ndarray, wanted: np.ndarray, other: str) -> np.ndarray:
    """Where each wanted transcript is among those found, which must be the same set."""
    if np.array_equal(found, wanted):
        return np.arange(len(found))
    _check_distinct(path, found)
    missing = np.setdiff1d(wanted, found)
    if missing.size or len(found) != len(wanted):
        example = f", among them not {text_of(missing[0])}" if missing.size else ""
        raise DataError(
            f"{path}: has {len(found)} transcripts{example}, and {other} have {len(wanted)}; "
            "quantify all cells with the same index"
        )
    order = np.argsort(found)
    return order[np.searchsorted(found, wanted, sorter=order)]


# Files


def _read_json(path: Path) -> dict[str, Any]:
    with _reading(path):
        values = json.loads(path.read_bytes())
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        return values


def _read_table(path: Path, identifier: str, columns: dict[str, type]) -> pd.DataFrame:
    """Read columns of a tab-separated table with a header, of them ``identifier`` as strings."""
    import pandas as pd  # slow to load, and not needed for HDF5

    with _reading(path):
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        if not content.endswith(b"\n"):
            raise ValueError("its last line has no end")
        table = pd.read_csv(
            BytesIO(content),
            sep="\t",
            usecols=[identifier, *columns],
            dtype={identifier: str, **columns},
            na_values=dict.fromkeys(columns, ["nan", "-nan", "NaN"]),
            keep_default_na=False,  # a name may be NA
            index_col=False,
            quoting=3,  # names may hold quotation marks
        )
        if table.empty:
            raise ValueError("no rows")
        return table


def _read_tpm(path: Path, identifier: str, column: str) -> np.ndarray:
    return _read_table(path, identifier, {column: np.float64})[column].to_numpy()


def _as_bytes(names: pd.Series) -> np.ndarray:
    return np.array([name.encode() for name in names], dtype=np.bytes_)


def _no_bootstraps(directory: Path, remedy: str) -> DataError:
    return DataError(f"{directory}: has no bootstraps; {remedy}")


_KALLISTO_REMEDY = (
    "quantify the cell again with kallisto quant --plaintext -b 30 (by default kallisto makes "
    "none, and built without HDF5 it writes them only with --plaintext)"
)


def _read_kallisto_h5(directory: Path, max_bootstraps: int | None) -> Quantification:
    path = directory / KALLISTO_H5
    with _reading(path), h5py.File(path, "r") as file:
        auxiliary = file["aux"]
        transcripts = auxiliary["ids"][:].astype(np.bytes_)
        size = len(transcripts)
        counts = _read_dataset(file, "est_counts", np.empty(size))
        lengths = _read_dataset(auxiliary, "lengths", np.empty(size, np.int32))
        effective_lengths = _read_dataset(auxiliary, "eff_lengths", np.empty(size))
        processed = None
        if b"num_processed" in auxiliary.id:
            processed = _read_dataset(auxiliary, "num_processed", np.empty(1, np.int64))[0]
        # Not every read is aligned, so that only too few of them tell something.
        too_few = processed is not None and processed < counts.sum()
        _check_counts(directory, counts, processed if too_few else None)
        num_bootstraps = _read_dataset(auxiliary, "num_bootstrap", np.empty(1, np.int64))[0]
        if num_bootstraps == 0:
            beside = any(map(_KALLISTO_BOOTSTRAP.fullmatch, os.listdir(directory)))
            remedy = f"remove {KALLISTO_H5} so that the bs_abundance files beside it are read"
            raise _no_bootstraps(directory, remedy if beside else _KALLISTO_REMEDY)
        group = file["bootstrap"]
        if len(group) != num_bootstraps:
            raise ValueError(f"{len(group)} of {num_bootstraps} bootstraps")
        num_read = min(num_bootstraps, max_bootstraps or num_bootstraps)
        bootstraps = np.empty((num_read, size), np.float32)
        for number, row in enumerate(bootstraps):
            _read_dataset(group, f"bs{number}", row)
        version = ""
        if b"kallisto_version" in auxiliary.id:
            version = bytes(auxiliary["kallisto_version"][0]).decode()
    return Quantification(
        transcripts,
        lengths,
        effective_lengths,
        counts.astype(np.float32),
        bootstraps,
        "kallisto",
        version,
    )


def _read_dataset(group: h5py.Group, name: str, out: np.ndarray) -> np.ndarray:
    """Read a dataset into an array of its shape, and give that.

    A file of kallisto has many small datasets; the low-level interface reads them twice as fast.
    """
    dataset = h5py.h5d.open(group.id, name.encode())
    if dataset.shape != out.shape:
        raise ValueError(f"{name} has the shape {dataset.shape} and not {out.shape}")
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, out)
    return out


def _read_kallisto_plaintext(directory: Path, max_bootstraps: int | None) -> Quantification:
    path = directory / KALLISTO_TABLE
    columns = {"length": np.int32, "eff_length": np.float64, "est_counts": np.float64}
    table = _read_table(path, "target_id", columns)
    info_path = directory / "run_info.json"
    info = _read_json(info_path) if info_path.exists() else {}
    counts = table["est_counts"].to_numpy()
    _check_counts(
        directory, counts, info.get("n_pseudoaligned"), lambda: _read_tpm(path, "target_id", "tpm")
    )
    matches = filter(None, map(_KALLISTO_BOOTSTRAP.fullmatch, os.listdir(directory)))
    files = sorted((int(match[1]), match[0]) for match in matches)
    if not files:
        raise _no_bootstraps(directory, _KALLISTO_REMEDY)
    with _reading(directory):
        promised = int(info.get("n_bootstraps", len(files)))
        if [number for number, _ in files] != list(range(promised)):
            raise ValueError(f"{len(files)} files bs_abundance, but {promised} bootstraps")
    bootstraps = np.empty((len(files[:max_bootstraps]), len(table)), np.float32)
    for (_, name), row in zip(files[:max_bootstraps], bootstraps, strict=True):
        bootstrap_path = directory / name
        bootstrap = _read_table(bootstrap_path, "target_id", {"est_counts": np.float64})
        with _reading(bootstrap_path):
            if not bootstrap["target_id"].equals(table["target_id"]):
                raise ValueError(f"its transcripts are not those of {KALLISTO_TABLE}")
        row[:] = bootstrap["est_counts"]
    return Quantification(
        _as_bytes(table["target_id"]),
        table["length"].to_numpy(),
        table["eff_length"].to_numpy(),
        counts.astype(np.float32),
        bootstraps,
        "kallisto",
        str(info.get("kallisto_version", "")),
    )


def _read_salmon(directory: Path, max_bootstraps: int | None) -> Quantification:
    path = directory / SALMON_TABLE
    columns = {"Length": np.int32, "EffectiveLength": np.float64, "NumReads": np.float64}
    table = _read_table(path, "Name", columns)
    command_path = directory / "cmd_info.json"
    command = _read_json(command_path) if command_path.exists() else {}
    auxiliary = directory / str(command.get("auxDir", "aux_info"))
    meta_path = auxiliary / "meta_info.json"
    meta = _read_json(meta_path)
    counts = table["NumReads"].to_numpy()
    _check_counts(directory, counts, meta.get("num_mapped"), lambda: _read_tpm(path, "Name", "TPM"))
    with _reading(meta_path):
        num_bootstraps = int(meta.get("num_bootstraps", 0))
    if num_bootstraps == 0:
        remedy = "quantify the cell again with salmon quant --numBootstraps 30"
        raise _no_bootstraps(directory, remedy)
    names_path = auxiliary / "bootstrap" / "names.tsv.gz"
    with _reading(names_path):
        names = np.array(gzip.decompress(names_path.read_bytes()).split(), dtype=np.bytes_)
    transcripts = _as_bytes(table["Name"])
    order = _positions(names_path, names, transcripts, f"the rows of {SALMON_TABLE}")
    bootstraps_path = auxiliary / "bootstrap" / "bootstraps.gz"
    with _reading(bootstraps_path):
        content = gzip.decompress(bootstraps_path.read_bytes())
        kind = _SALMON_TYPES.get(len(content) / (num_bootstraps * len(names)))
        if kind is None:
            raise ValueError(f"not {num_bootstraps} bootstraps of {len(names)} transcripts")
        values = np.frombuffer(content, kind).reshape(num_bootstraps, -1)
    return Quantification(
        transcripts,
        table["Length"].to_numpy(),
        table["EffectiveLength"].to_numpy(),
        counts.astype(np.float32),
        values[:max_bootstraps, order].astype(np.float32),
        "salmon",
        str(meta.get("salmon_version", "")),
        str(meta.get("samp_type", "bootstrap")),
    )
