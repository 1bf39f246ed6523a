"""SymSim's observation molecule by molecule, slow and plain, to measure the fast one by."""

from __future__ import annotations

import numpy as np

from exvae.data.simulators.symsim.amplification import amplify_molecules
from exvae.data.simulators.symsim.library import LibraryPreparation
from exvae.data.simulators.symsim.settings import ObservationSettings


def cut_transcripts(length: int, size: int, generator: np.random.Generator) -> np.ndarray:
    """Cut transcripts and count pieces of 101 to 1000 bases, shape (size,).

    SymSim's table has none for transcripts of 101 bases.
    """
    counts = np.zeros(size, np.int64)
    if length <= 101:
        return counts
    for transcript in range(size):
        cuts = generator.uniform(0, length, generator.poisson(length / 400))
        pieces = np.diff(np.concatenate([[0], np.sort(cuts), [length]]))
        counts[transcript] = np.count_nonzero((pieces > 100) & (pieces <= 1000))
    return counts


def _library_cycles(fragments: np.ndarray, settings: ObservationSettings, generator) -> np.ndarray:
    """Amplify fragments: two random cycles, and others without noise."""
    for _ in range(2):
        fragments = fragments + generator.binomial(fragments, settings.amplification_efficiency)
    factor = (1 + settings.amplification_efficiency) ** (settings.num_library_cycles - 2)
    return np.rint(fragments * factor).astype(np.int64)


def _sequence(fragments: np.ndarray, depth: float, generator) -> np.ndarray:
    share = depth / max(fragments.sum(), 1)
    return fragments if share >= 1 else generator.binomial(fragments, share)


def _capture(true_counts, library, settings, cell, generator) -> list[np.ndarray]:
    """Capture molecules and amplify each; an array of copies for every gene."""
    captured = generator.binomial(true_counts, library.capture_efficiency[cell])
    efficiency = settings.amplification_efficiency + library.amplification_bias
    return [
        amplify_molecules(each, settings.num_amplification_cycles, molecules, generator)
        for each, molecules in zip(efficiency, captured, strict=True)
    ]


def count_reads(
    true_counts: np.ndarray,
    library: LibraryPreparation,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Full-length counts, shape (cells, genes)."""
    tables = [cut_transcripts(length, 4000, generator) for length in library.gene_lengths]
    counts = np.zeros(true_counts.shape, np.int64)
    for cell, molecules in enumerate(true_counts):
        copies = _capture(molecules, library, settings, cell, generator)
        fragments = np.array(
            [
                generator.choice(table, int(own.sum())).sum()
                for table, own in zip(tables, copies, strict=True)
            ]
        )
        fragments = _library_cycles(fragments, settings, generator)
        counts[cell] = _sequence(fragments, library.depth[cell], generator)
    return counts


def count_umis(
    true_counts: np.ndarray,
    library: LibraryPreparation,
    settings: ObservationSettings,
    generator: np.random.Generator,
) -> np.ndarray:
    """Molecules with a read, shape (cells, genes)."""
    counts = np.zeros(true_counts.shape, np.int64)
    for cell, molecules in enumerate(true_counts):
        copies = _capture(molecules, library, settings, cell, generator)
        owners = np.repeat(np.arange(len(copies)), [len(own) for own in copies])
        lengths = library.gene_lengths[owners]
        ends = np.where(lengths >= 1000, 0.7, np.where(lengths >= 100, 0.78, 0.0))
        fragments = generator.binomial(np.concatenate(copies).astype(np.int64), ends)
        fragments = _library_cycles(fragments, settings, generator)
        reads = _sequence(fragments, library.depth[cell], generator)
        counts[cell] = np.bincount(owners[reads > 0], minlength=len(copies))
    return counts
