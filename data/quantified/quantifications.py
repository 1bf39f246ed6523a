"""The quantification of one cell, and requirements on its values.

Every process that reads cells loads this module, so that it loads neither torch nor anndata.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..centring import FEW_BOOTSTRAPS, FEW_ISOFORMS, FEW_READS
from ..errors import DataError

LEAVE_OUT = "leave it out (--skip-bad)"
QUANTIFY = "quantify the cell again"
AGAIN = f"{QUANTIFY} or {LEAVE_OUT}"
# Transcripts per million sum to a million, but for the rounding of printed numbers.
_MILLION, _ROUNDING = 1e6, 10.0


class NeedsPackage(DataError):
    """A format that an optional package reads, which is not installed; no cell is to blame."""


class Quantification(NamedTuple):
    """Estimates and bootstraps of one cell.

    Attributes
    ----------
    transcripts
        Distinct names, shape (isoforms,), bytes.
    lengths
        Lengths of the transcripts (bases), shape (isoforms,), int32.
    effective_lengths
        Effective lengths of the transcripts (bases), shape (isoforms,), float64.
    counts
        Estimated counts (reads), shape (isoforms,), float32.
    bootstraps
        Bootstrap estimates (reads), at least one, shape (bootstraps, isoforms), float32.
    quantifier, version
        ``kallisto``, ``salmon``, ``oarfish`` or ``piscem-infer``, and its version, empty if
        unknown.
    replicates
        Kind of the bootstraps: ``bootstrap``, or ``gibbs``, draws from salmon's posterior.
    notes
        Remarks on the cell and its files, without their folder.
    """

    transcripts: np.ndarray
    lengths: np.ndarray
    effective_lengths: np.ndarray
    counts: np.ndarray
    bootstraps: np.ndarray
    quantifier: str
    version: str
    replicates: str = "bootstrap"
    notes: tuple[str, ...] = ()


class Look(NamedTuple):
    """What a first look at the files of a cell tells.

    Attributes
    ----------
    version
        Version of the quantifier, empty if unknown.
    num_bootstraps
        Number of bootstraps.
    """

    version: str
    num_bootstraps: int


def text_of(name: bytes) -> str:
    """Decode the name of a transcript; bytes that are not UTF-8 become escapes."""
    return name.decode(errors="backslashreplace")


def check_values(path: Path, cell: Quantification) -> None:
    """Raise a DataError unless estimates and bootstraps are finite and not negative."""
    for what, values in (("estimate", cell.counts), ("bootstrap", cell.bootstraps)):
        # The smallest and largest of values with a NaN are NaN.
        if not (values.min(initial=0.0) >= 0 and values.max(initial=0.0) < np.inf):
            wrong = np.argwhere(~((values >= 0) & np.isfinite(values)))[0]
            name = text_of(cell.transcripts[wrong[-1]])
            number = f" {wrong[0]}" if what == "bootstrap" else ""
            raise DataError(
                f"{path}: {what}{number} of {name} is {values[tuple(wrong)]}, which is no "
                f"count; {AGAIN}"
            )


def check_bootstraps(path: Path, cell: Quantification) -> tuple[str, ...]:
    """Raise a DataError if a bootstrap has no reads, and remark on bootstraps that are the same."""
    empty = np.flatnonzero(~cell.bootstraps.any(1))
    if empty.size:
        which = (
            "all bootstraps are"
            if empty.size == len(cell.bootstraps)
            else (f"{empty.size} of {len(cell.bootstraps)} bootstraps, the first {empty[0]}, are")
        )
        raise DataError(f"{path}: {which} zero, as if they had not been written; {AGAIN}")
    if not are_the_same(cell.bootstraps):
        return ()
    copied = np.allclose(cell.bootstraps[0], cell.counts, rtol=1e-4, atol=1e-3)
    what = "copies of the estimates" if copied else "the same, as of runs with one seed"
    return (
        f"warning: all bootstraps are {what}, so that its intervals will have no width; "
        "quantify it again with bootstraps of one run (kallisto quant -b 30)",
    )


def are_the_same(bootstraps: np.ndarray) -> bool:
    """Tell whether bootstraps (reads), shape (bootstraps, isoforms), are the same, not by chance.

    Few reads, or reads of one isoform, may be drawn alike.
    """
    first = bootstraps[0]
    if len(bootstraps) < FEW_BOOTSTRAPS or np.count_nonzero(first) < FEW_ISOFORMS:
        return False
    return first.sum(dtype=np.float64) >= FEW_READS and bool((bootstraps == first).all())


def check_counts(
    path: Path,
    counts: np.ndarray,
    reads: float | None,
    tpm: Callable[[], np.ndarray] | None = None,
) -> None:
    """Raise a DataError unless the estimates are counts of reads and not all zero.

    Parameters
    ----------
    path
        Place of the cell, for the message.
    counts
        Estimated counts (reads), shape (isoforms,).
    reads
        Expected sum of the estimates (reads); None if unknown.
    tpm
        Function that reads the transcripts per million, shape (isoforms,).
    """
    if not counts.any():
        raise no_reads(path)
    total = counts.sum(dtype=np.float64)
    if abs(total - _MILLION) > _ROUNDING:
        return
    contradicted = reads is not None and abs(total - reads) > 0.01 * total
    if contradicted or (tpm is not None and np.array_equal(counts, tpm())):
        raise DataError(
            f"{path}: the counts sum to a million and so are transcripts per million (TPM); "
            "give estimated counts (reads), as kallisto and salmon write them"
        )


def require_distinct(path: Path, transcripts: np.ndarray) -> None:
    """Raise a DataError if a name occurs twice among transcripts, shape (isoforms,)."""
    distinct, counts = np.unique(transcripts, return_counts=True)
    if len(distinct) < len(transcripts):
        raise DataError(
            f"{path}: the transcript {text_of(distinct[counts.argmax()])} occurs "
            f"{counts.max()} times; make the names in the index distinct and quantify again"
        )


def reordered(path: Path, cell: Quantification, transcripts: np.ndarray) -> Quantification:
    """Put the values of a cell in the order of ``transcripts``, shape (isoforms,)."""
    if np.array_equal(cell.transcripts, transcripts):
        return cell
    order = positions_of(path, cell.transcripts, transcripts, "the other cells")
    return cell._replace(
        transcripts=transcripts,
        lengths=cell.lengths[order],
        effective_lengths=cell.effective_lengths[order],
        counts=cell.counts[order],
        bootstraps=cell.bootstraps[:, order],
    )


def positions_of(path: Path, found: np.ndarray, wanted: np.ndarray, other: str) -> np.ndarray:
    """Find the wanted transcripts among the same transcripts in another order.

    Parameters
    ----------
    path
        Place of the transcripts found, for the message.
    found, wanted
        Names, both of shape (isoforms,), bytes.
    other
        Place of the wanted transcripts, for the message.

    Returns
    -------
    numpy.ndarray
        Position in ``found`` of each wanted transcript, shape (isoforms,), int64.
    """
    if np.array_equal(found, wanted):
        return np.arange(len(found))
    require_distinct(path, found)
    missing = np.setdiff1d(wanted, found)
    if missing.size or len(found) != len(wanted):
        example = f", among them not {text_of(missing[0])}" if missing.size else ""
        raise DataError(
            f"{path}: has {len(found)} transcripts{example}, and {other} have {len(wanted)}; "
            "quantify all cells with the same index"
        )
    order = np.argsort(found)
    return order[np.searchsorted(found, wanted, sorter=order)]


def no_reads(path: Path) -> DataError:
    """Make the error for a cell without reads."""
    return DataError(f"{path}: is a cell without reads; {LEAVE_OUT}")


def no_bootstraps(path: Path, remedy: str, detail: str = "") -> DataError:
    """Make the error for a cell without bootstraps."""
    return DataError(f"{path}: has no bootstraps{detail}; {remedy}")
