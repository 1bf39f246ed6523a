"""How to read the statistics of checks of isoform models."""

from __future__ import annotations

from .verdicts import Advice, Finding, Reading

# Titles of the panels.
ZEROS, VARIANCE, LIBRARY = "zeros of isoforms", "variance over cells", "library size"
NOISE, NOISE_ZEROS = "variance of bootstraps", "zeros of bootstraps"

# docs/checks.md has the numbers: each helped on the deep cells.
_EFFECTIVE_READS = Advice("model", "effective-reads", "--model effective-reads", ("paper",))
_DROPOUT = Advice("dropout", "network", models=("effective-reads", "scvi"))
_DROPOUT_OF_COUNTS = Advice("dropout", "network", models=("scvi",))

_VARIANCE = Reading(
    VARIANCE,
    0.1,
    True,
    Finding(
        "more variance over cells",
        "it overstates how much expression differs between cells",
        (_EFFECTIVE_READS, _DROPOUT),
    ),
    Finding(
        "less variance over cells", "differences between cells are missed", (_EFFECTIVE_READS,)
    ),
)
_NOISE = Reading(
    NOISE,
    0.1,
    True,
    Finding(
        "noisier bootstraps",
        "it takes quantification for less certain than it is",
        (_EFFECTIVE_READS,),
    ),
    Finding("less noisy bootstraps", "it takes quantification for more certain than it is"),
)
READINGS = {
    "share of entries without a read": Reading(
        ZEROS,
        0.02,
        False,
        Finding("more zeros", "isoforms with few reads are taken for off too often"),
        Finding(
            "fewer zeros",
            "isoforms that are off in some cells are missed",
            (_EFFECTIVE_READS, _DROPOUT_OF_COUNTS),
        ),
    ),
    "variance / mean over cells, 50% quantile of isoforms (reads)": _VARIANCE,
    "variance / mean over cells, 90% quantile of isoforms (reads)": _VARIANCE,
    "mean log10 library size": Reading(
        LIBRARY,
        0.02,
        False,
        Finding("larger libraries", "library sizes are overestimated"),
        Finding("smaller libraries", "library sizes are underestimated"),
    ),
    "sd of log10 library size": Reading(
        LIBRARY,
        0.1,
        True,
        Finding("library sizes that differ more", "depths of the cells differ too much"),
        Finding("library sizes that differ less", "depths of the cells differ too little"),
    ),
    "share of entries with reads in some bootstraps": Reading(
        NOISE_ZEROS,
        0.02,
        False,
        Finding(
            "more isoforms in doubt",
            "bootstraps disagree too often on whether an isoform has reads",
            (_EFFECTIVE_READS,),
        ),
        Finding(
            "fewer isoforms in doubt",
            "bootstraps disagree too seldom on whether an isoform has reads",
        ),
    ),
    "variance / mean of bootstraps, 50% quantile of entries (reads)": _NOISE,
    "variance / mean of bootstraps, 90% quantile of entries (reads)": _NOISE,
}
