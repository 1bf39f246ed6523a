"""How to read the statistics of checks of isoform models."""

from __future__ import annotations

from ..isoforms.settings import EPOCHS
from .verdicts import Advice, Finding, Reading

# Titles of the panels.
ZEROS, VARIANCE, LIBRARY = "zeros of isoforms", "variance over cells", "library size"
NOISE, NOISE_ZEROS = "variance of bootstraps", "zeros of bootstraps"

# docs/checks.md has the numbers: each helped there.
_EFFECTIVE_READS = Advice("model", "effective-reads", "--model effective-reads", ("paper",))
_DROPOUT = Advice("dropout", "network", models=("effective-reads", "scvi"))
_DROPOUT_OF_COUNTS = Advice("dropout", "network", models=("scvi",))
_LONGER = Advice("epochs", EPOCHS, f"longer training (--epochs {EPOCHS})", at_least=True)

# Next steps where no option helps.
_LOOK = "before an isoform is called off in a cell, see its interval and bootstraps (pl.intervals)"
_COMPARE = "compare groups by usage and de, which take the bootstraps and not this variance"
_NORMALISE = "take normalised expression (library_size), from which library sizes drop out"
_WHICH = "pl.intervals shows intervals beside bootstraps, so for which isoforms it matters"

_VARIANCE = Reading(
    VARIANCE,
    0.1,
    True,
    Finding(
        "more variance over cells",
        "it overstates how much expression differs between cells",
        (_LONGER, _EFFECTIVE_READS, _DROPOUT),
        _COMPARE,
    ),
    Finding(
        "less variance over cells",
        "differences between cells are missed",
        (_EFFECTIVE_READS,),
        _COMPARE,
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
        _WHICH,
    ),
    Finding(
        "less noisy bootstraps",
        "it takes quantification for more certain than it is",
        step=_WHICH,
    ),
)
READINGS = {
    "share of entries without a read": Reading(
        ZEROS,
        0.02,
        False,
        Finding("more zeros", "isoforms with few reads are taken for off too often", step=_LOOK),
        Finding(
            "fewer zeros",
            "isoforms that are off in some cells are missed",
            (_EFFECTIVE_READS, _DROPOUT_OF_COUNTS),
            _LOOK,
        ),
    ),
    "variance / mean over cells, 50% quantile of isoforms (reads)": _VARIANCE,
    "variance / mean over cells, 90% quantile of isoforms (reads)": _VARIANCE,
    "mean log10 library size": Reading(
        LIBRARY,
        0.02,
        False,
        Finding("larger libraries", "library sizes are overestimated", step=_NORMALISE),
        Finding("smaller libraries", "library sizes are underestimated", (_LONGER,), _NORMALISE),
    ),
    "sd of log10 library size": Reading(
        LIBRARY,
        0.1,
        True,
        Finding(
            "library sizes that differ more",
            "depths of the cells differ too much",
            (_LONGER,),
            _NORMALISE,
        ),
        Finding(
            "library sizes that differ less",
            "depths of the cells differ too little",
            step=_NORMALISE,
        ),
    ),
    "share of entries with reads in some bootstraps": Reading(
        NOISE_ZEROS,
        0.02,
        False,
        Finding(
            "more isoforms in doubt",
            "bootstraps disagree too often on whether an isoform has reads",
            (_EFFECTIVE_READS,),
            _LOOK,
        ),
        Finding(
            "fewer isoforms in doubt",
            "bootstraps disagree too seldom on whether an isoform has reads",
            step=_LOOK,
        ),
    ),
    "variance / mean of bootstraps, 50% quantile of entries (reads)": _NOISE,
    "variance / mean of bootstraps, 90% quantile of entries (reads)": _NOISE,
}
