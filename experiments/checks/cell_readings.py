"""How to read the statistics of checks of isoform models."""

from __future__ import annotations

from .verdicts import Finding, Reading

# Titles of the panels.
ZEROS, VARIANCE, LIBRARY = "zeros of isoforms", "variance over cells", "library size"
NOISE, NOISE_ZEROS = "variance of bootstraps", "zeros of bootstraps"

_VARIANCE = Reading(
    VARIANCE,
    0.1,
    True,
    Finding("more variance over cells", "it overstates how much expression differs between cells"),
    Finding("less variance over cells", "differences between cells are missed"),
)
_NOISE = Reading(
    NOISE,
    0.1,
    True,
    Finding("noisier bootstraps", "it takes quantification for less certain than it is"),
    Finding("less noisy bootstraps", "it takes quantification for more certain than it is"),
)
READINGS = {
    "share of entries without a read": Reading(
        ZEROS,
        0.02,
        False,
        Finding("more zeros", "isoforms with few reads are taken for off too often"),
        Finding("fewer zeros", "isoforms that are off in some cells are missed"),
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
        ),
        Finding(
            "fewer isoforms in doubt",
            "bootstraps disagree too seldom on whether an isoform has reads",
        ),
    ),
    "variance / mean of bootstraps, 50% quantile of entries (reads)": _NOISE,
    "variance / mean of bootstraps, 90% quantile of entries (reads)": _NOISE,
}
