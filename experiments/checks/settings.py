"""Defaults of checks; this module imports nothing heavy, so that the command line starts fast."""

from __future__ import annotations

# Replicated data sets: enough to tell p-values of 0.025 and 0.975.
REPLICATES = 20
# Cells above which as many, chosen at random, are checked: enough for shares and variances.
MAX_CELLS = 1000
