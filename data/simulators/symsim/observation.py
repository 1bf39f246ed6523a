"""From molecules in cells to counts, as in SymSim: capture, amplification and sequencing.

SymSim (Zhang, Xu & Yosef 2019; YosefLab/SymSim commit 76a674b, True2ObservedCounts and
DivideBatches) follows every molecule. Here the molecules of a gene in a cell are drawn together,
about ten thousand times faster:

* the copies after the first amplification are drawn per gene, see
  :class:`~exvae.data.simulators.symsim.amplification.Amplification`;
* each copy yields the average number of fragments of a transcript of its length, and the second
  amplification multiplies fragments by its average; the noise of both averages out over the
  hundreds of copies that each molecule has by then;
* reads are Poisson where SymSim's are binomial with a probability of about 1e-4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...row_blocks import blocks
from .amplification import Amplification, LinearAmplification
from .batches import add_batch_effects
from .library import LibraryPreparation, draw_library
from .settings import DRAWN_AT_ONCE, ObservationSettings, require

# Fragments of this many bases can be sequenced; transcripts are cut once in 400 bases on average.
_SHORTEST, _LONGEST, _BASES_PER_CUT = 100, 1000, 400.0


@dataclass(frozen=True, eq=False)
class Observation:
    """Counts as a laboratory reports them.

    Attributes
    ----------
    counts
        Reads, or molecules with a UMI, shape (cells, genes), int32.
    expected
        Their mean given the molecules captured and amplified, shape (cells, genes), float32; the
        same with batch effects.
    library
        Parameters of these cells and genes.
    batches
        Batch of each cell, from 0, shape (cells,), int32.
    batch_log2_factors
        Log2 of the batch effects, shape (batches, genes), float64.
    """

    counts: np.ndarray
    expected: np.ndarray
    library: LibraryPreparation
    batches: np.ndarray
    batch_log2_factors: np.ndarray


def observe(
    true_counts: np.ndarray,
    gene_lengths: np.ndarray,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> Observation:
    """Observe cells: prepare a library, sequence it, add batch effects.

    Parameters
    ----------
    true_counts
        Molecules, whole numbers, shape (cells, genes).
    gene_lengths
        Lengths of the genes (bases), shape (genes,).

    Raises
    ------
    ValueError
        If counts are not whole or negative, lengths do not fit the genes, or there are fewer genes
        than bins of lengths.
    """
    library = draw_library(len(true_counts), gene_lengths, settings, generator)
    observe_protocol = observe_full_length if settings.protocol == "full-length" else observe_umi
    observation = observe_protocol(true_counts, library, settings, generator)
    counts, batches, factors = add_batch_effects(
        observation.counts, settings.num_batches, settings.batch_effect_size, generator
    )
    return replace(
        observation,
        counts=counts,
        expected=observation.expected * np.exp2(factors, dtype=np.float32)[batches],
        batches=batches,
        batch_log2_factors=factors,
    )


def fragments_per_copy(gene_lengths: np.ndarray) -> np.ndarray:
    """Mean number of sequenceable fragments of transcripts; both of shape (genes,) (bases).

    Transcripts are cut by a Poisson process; pieces of 101 to 1000 bases are kept. This is the mean
    of SymSim's table ``len2nfrag``, where transcripts of 101 bases never yield a fragment either.
    """
    longer_than_shortest, longer_than_longest = (
        np.exp(-bound / _BASES_PER_CUT)
        * np.where(gene_lengths > bound, 1 + (gene_lengths - bound) / _BASES_PER_CUT, 0.0)
        for bound in (_SHORTEST, _LONGEST)
    )
    pieces = longer_than_shortest - longer_than_longest
    return np.where(gene_lengths > _SHORTEST + 1, pieces, 0.0)


def share_of_three_prime_ends(gene_lengths: np.ndarray) -> np.ndarray:
    """Probability that the end with the UMI can be sequenced, by length (bases); both (genes,)."""
    return np.select([gene_lengths >= 1000, gene_lengths >= 100], [0.7, 0.78], 0.0)


def observe_full_length(
    true_counts: np.ndarray,
    library: LibraryPreparation,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> Observation:
    """Count reads of whole transcripts, without UMIs.

    The fragments of a gene compete for the cell's depth; a cell without captured molecules has no
    reads.

    Parameters
    ----------
    true_counts
        Molecules, whole numbers, shape (cells, genes).

    Raises
    ------
    ValueError
        If counts are not whole or negative, or the library has other cells or genes.
    """
    true_counts = _checked(true_counts, library)
    fragments = fragments_per_copy(library.gene_lengths) * _library_factor(settings)
    counts = np.empty(true_counts.shape, np.int32)
    expected = np.empty(true_counts.shape, np.float32)
    for rows, copies in _copies(true_counts, library, settings, generator):
        weights = copies * fragments
        share = _share_sequenced(weights.sum(-1), library.depth[rows])[:, None]
        expected[rows] = weights * share
        reads = generator.poisson(weights * share)
        counts[rows] = np.where(share < 1, reads, np.rint(weights))
    return _without_batches(counts, expected, library)


def draw_copies(
    true_counts: np.ndarray,
    library: LibraryPreparation,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draw the copies of the captured molecules of each gene after the first amplification.

    Arguments and errors as in :func:`observe_full_length`. The copies have shape
    (cells, genes), float64; 0 where nothing is captured.
    """
    true_counts = _checked(true_counts, library)
    drawn = np.empty(true_counts.shape)
    for rows, copies in _copies(true_counts, library, settings, generator):
        drawn[rows] = copies
    return drawn


def _copies(
    true_counts: np.ndarray,
    library: LibraryPreparation,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some cells at a time, and copies of their captured molecules (cells, genes)."""
    amplification = _amplification(library, settings, generator)
    for rows, captured in _captured(true_counts, library, generator):
        yield rows, amplification.draw_copies(captured, generator)


def _captured(
    true_counts: np.ndarray, library: LibraryPreparation, generator: np.random.Generator
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some cells at a time, and their captured molecules, shape (cells, genes)."""
    for rows in blocks(*true_counts.shape, DRAWN_AT_ONCE):
        yield rows, generator.binomial(true_counts[rows], library.capture_efficiency[rows, None])


def observe_umi(
    true_counts: np.ndarray,
    library: LibraryPreparation,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> Observation:
    """Count molecules that have a read, by their UMIs.

    Each captured molecule is amplified and has Poisson reads in proportion to its copies and to the
    probability that the end of a copy, which carries the UMI, can be sequenced; it is counted once
    if it has a read. One approximation more than for whole transcripts: the depth of a cell is
    shared by the mean copies of its captured molecules, where SymSim takes the actual copies. The
    two differ by about 80 % over the square root of the number of molecules.

    Arguments and errors as in :func:`observe_full_length`.
    """
    true_counts = _checked(true_counts, library)
    amplification = _amplification(library, settings, generator)
    ends = share_of_three_prime_ends(library.gene_lengths) * _library_factor(settings)
    fragments = ends * amplification.mean
    counts = np.empty(true_counts.shape, np.int32)
    expected = np.empty(true_counts.shape, np.float32)
    for rows, captured in _captured(true_counts, library, generator):
        share = _share_sequenced(captured @ fragments, library.depth[rows])[:, None]
        seen = amplification.share_seen(share * fragments)
        expected[rows] = captured * seen
        counts[rows] = generator.binomial(captured, seen)
    return _without_batches(counts, expected, library)


def _checked(true_counts: np.ndarray, library: LibraryPreparation) -> np.ndarray:
    """Give the counts as integers, shape (cells, genes); refuse others than the library's."""
    shape = len(library.capture_efficiency), len(library.gene_lengths)
    require(
        np.shape(true_counts) == shape,
        f"true_counts has shape {np.shape(true_counts)}, but the library is of {shape[0]} cells "
        f"and {shape[1]} genes",
    )
    counts = np.asarray(true_counts)
    if counts.dtype.kind not in "iu":
        whole = np.isfinite(counts) & (counts == np.rint(counts))
        require(bool(whole.all()), "true_counts must be whole numbers of molecules")
        counts = counts.astype(np.int64)
    require(counts.size == 0 or counts.min() >= 0, "true_counts must not be negative")
    return counts


def _amplification(
    library: LibraryPreparation, settings: ObservationSettings, generator: np.random.Generator
) -> Amplification | LinearAmplification:
    """Set up the first amplification."""
    if settings.linear_amplification is not None:
        return LinearAmplification(settings.linear_amplification, len(library.gene_lengths))
    efficiency = settings.amplification_efficiency + library.amplification_bias
    return Amplification(efficiency.clip(0, 1), settings.num_amplification_cycles, generator)


def _library_factor(settings: ObservationSettings) -> float:
    """Give the copies of a fragment after the second amplification, on average."""
    return (1 + settings.amplification_efficiency) ** settings.num_library_cycles


def _share_sequenced(fragments: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Share of a cell's fragments that become reads, at most 1; all shapes (cells,)."""
    return np.divide(depth, fragments, out=np.ones_like(depth), where=fragments > depth)


def _without_batches(
    counts: np.ndarray, expected: np.ndarray, library: LibraryPreparation
) -> Observation:
    num_cells, num_genes = counts.shape
    return Observation(
        counts, expected, library, np.zeros(num_cells, np.int32), np.zeros((1, num_genes))
    )
