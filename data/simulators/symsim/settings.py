"""Settings of SymSim, for the expression of genes and for the observation of cells.

Names of YosefLab/SymSim (commit 76a674b) are given where ours differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from .population_tree import parse_newick
from .tables import KINETIC_PARAMETERS

# SymSim's Phyla5; a tip is a population. Numbers 4 and 5 are near twins, 1 is the outgroup.
PHYLA5 = "(1:3,((2:1,3:1):1,(4:0.2,5:0.2):1):1);"
PROTOCOLS = ("full-length", "umi")
LEAST_CAPTURE, LEAST_DEPTH = 0.0005, 200.0
# Entries (cells times genes) drawn at once: bounds the memory; draws of a seed depend on it.
DRAWN_AT_ONCE = 1_000_000


def require(holds: bool, message: str) -> None:
    """Raise a ValueError with this message unless the condition holds."""
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True)
class ExpressionSettings:
    """Settings of the expression of genes; the defaults come from SymSim's tutorial.

    Attributes
    ----------
    tree
        Tree of the populations, in Newick notation with branch lengths.
    smallest_population, smallest_population_share
        The position of the rarest population among the tips, from 0 (SymSim's i_minpop), and its
        share of the cells, at most one over the number of populations (min_popsize). The others
        are of one size.
    num_evfs, num_differential_evfs
        Number of extrinsic variability factors of each kinetic parameter, and number of factors
        that differ between populations (nevf, n_de_evf).
    differential_parameters
        Kinetic parameters with EVFs that differ: some of ``"kon"``, ``"koff"``, ``"s"``
        (vary).
    evf_center, evf_sd
        Mean of EVFs, and their standard deviation within a population (Sigma).
    effect_probability, effect_mean, effect_sd
        Effects of EVFs on genes are normal with this probability, otherwise 0.
    bimodality
        Decrease of the log10 of both switching rates in half of the genes (bimod).
    transcription_scale
        Factor of all transcription rates (scale_s).
    high_expression_share, high_expression_log2_factor
        Share of genes that are highly expressed, rounded up, and the largest log2 factor of their
        transcription (prop_hge, mean_hge); the least is smaller by 1.

    Raises
    ------
    ValueError
        If a setting is out of its range or the tree cannot be read.
    """

    tree: str = PHYLA5
    smallest_population: int = 1
    smallest_population_share: float = 50 / 300
    num_evfs: int = 10
    num_differential_evfs: int = 9
    differential_parameters: tuple[str, ...] = ("s",)
    evf_center: float = 1.0
    evf_sd: float = 0.4
    effect_probability: float = 0.3
    effect_mean: float = 0.0
    effect_sd: float = 1.0
    bimodality: float = 0.0
    transcription_scale: float = 1.0
    high_expression_share: float = 0.015
    high_expression_log2_factor: float = 5.0

    def __post_init__(self) -> None:
        num_populations = len(parse_newick(self.tree).populations)
        require(
            0 <= self.smallest_population < num_populations,
            f"smallest_population must be between 0 and {num_populations - 1}",
        )
        require(
            0 < self.smallest_population_share <= 1 / num_populations,
            f"smallest_population_share must be above 0 and at most 1/{num_populations}",
        )
        require(
            0 <= self.num_differential_evfs <= self.num_evfs and self.num_evfs >= 1,
            "num_evfs must be at least 1 and num_differential_evfs between 0 and num_evfs",
        )
        require(
            set(self.differential_parameters) <= set(KINETIC_PARAMETERS),
            f"differential_parameters must be some of {KINETIC_PARAMETERS}",
        )
        for name in ("evf_sd", "effect_sd", "bimodality"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("effect_probability", "high_expression_share"):
            require(0 <= getattr(self, name) <= 1, f"{name} must be between 0 and 1")
        require(self.transcription_scale > 0, "transcription_scale must be above 0")


@dataclass(frozen=True)
class ObservationSettings:
    """Settings of the observation of cells; the defaults come from SymSim's tutorial.

    Attributes
    ----------
    protocol
        ``"full-length"`` counts reads (SymSim's nonUMI), ``"umi"`` molecules that have a read.
    capture_mean, capture_sd
        Share of a cell's molecules that is captured: normal, between 0.0005 and 1.
    depth_mean, depth_sd
        Reads of a cell: normal, above 200.
    length_bias_slope, num_length_bins, amplification_bias_limit
        Short transcripts amplify better: the efficiency falls by the slope from each of so many
        bins of genes, by length, to the next; noise stays within the limit.
    amplification_efficiency, num_amplification_cycles
        Efficiency and cycles of the first amplification, before fragmentation.
    linear_amplification
        Copies of each molecule, in place of the first amplification; None to amplify by cycles.
    num_library_cycles
        Cycles of the second amplification, of fragments, at the same efficiency without bias. It
        matters only where a cell has fewer fragments than its depth.
    num_batches, batch_effect_size
        See :func:`~exvae.data.simulators.symsim.batches.draw_batches`.

    Raises
    ------
    ValueError
        If a setting is out of its range.
    """

    protocol: str = "full-length"
    capture_mean: float = 0.1
    capture_sd: float = 0.05
    depth_mean: float = 1e5
    depth_sd: float = 3e3
    length_bias_slope: float = 0.02
    num_length_bins: int = 20
    amplification_bias_limit: float = 0.2
    amplification_efficiency: float = 0.8
    num_amplification_cycles: int = 16
    linear_amplification: float | None = None
    num_library_cycles: int = 10
    num_batches: int = 1
    batch_effect_size: float = 1.0

    def __post_init__(self) -> None:
        slack = 1e-9  # sums such as 0.8 + 0.2 need not be exact
        limit, efficiency = self.amplification_bias_limit, self.amplification_efficiency
        require(self.protocol in PROTOCOLS, f"protocol must be one of {PROTOCOLS}")
        require(
            LEAST_CAPTURE < self.capture_mean <= 1,
            f"capture_mean must be above {LEAST_CAPTURE} and at most 1",
        )
        require(self.depth_mean > LEAST_DEPTH, f"depth_mean must be above {LEAST_DEPTH:.0f}")
        for name in ("capture_sd", "depth_sd", "batch_effect_size", "amplification_bias_limit"):
            require(getattr(self, name) >= 0, f"{name} must not be negative")
        for name in ("num_length_bins", "num_amplification_cycles", "num_batches"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1")
        require(self.num_library_cycles >= 0, "num_library_cycles must not be negative")
        require(
            limit - slack <= efficiency <= 1 - limit + slack,
            "amplification_efficiency must stay between 0 and 1 when amplification_bias_limit is "
            "added or taken away",
        )
        steepest = 2 * limit / max(self.num_length_bins - 1, 1)
        require(
            0 <= self.length_bias_slope <= steepest + slack,
            f"length_bias_slope must be between 0 and {steepest:.4g}, which is twice "
            "amplification_bias_limit over num_length_bins - 1",
        )
        require(
            self.linear_amplification is None or self.linear_amplification >= 1,
            "linear_amplification must be at least 1",
        )
