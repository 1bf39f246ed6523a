"""Limits of a page, which keep it small and legible; this module imports nothing heavy."""

from __future__ import annotations

# Cells, or documents, of which a page has numbers; of more as many are drawn at random.
MOST_CELLS = 5000
# Bytes of the genes' numbers before they are packed; the whole page then has less than 10 MB.
MOST_BYTES = 5_000_000
# Isoforms of a gene that are drawn, the most expressed ones: as many as there are colours.
MOST_ISOFORMS = 8
# Cells whose intervals are drawn: more are not told apart on a screen.
CELLS_WITH_INTERVALS = 200
# Groups, or labels, that a legend can show.
MOST_GROUPS = 30
# Means (groups x isoforms) whose draws memory has room for.
MOST_MEANS = 300_000
# Columns of obs by which cells can be coloured.
MOST_COLUMNS = 20
# Fewer points than these are mapped by principal components.
FEWEST_MAPPED = 10
INTERVAL = (0.025, 0.975)
TOP_WORDS, TOP_DOCUMENTS, WORDS_OF_A_DOCUMENT = 15, 10, 12
# Values (cells x isoforms x draws) that one measure of quality may take.
MOST_SCORED = 10_000_000
# Cells that are checked; of more as many are drawn at random.
MOST_CHECKED = 500
