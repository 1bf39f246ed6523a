"""Rows of a block: the numbers of an entry, by their place (see :mod:`.blocks`)."""

# Rows of what the summand needs: mu (reads), theta and the logit of dropout;
MEAN, DISPERSION, DROPOUT = 0, 1, 2
# 1 / (mu + theta), log(1 + mu / theta) and log(mu);
PER_TOTAL, SPREAD, LOG_MEAN = 3, 4, 5
# of theta the remainder of Stirling's formula and log(theta) - digamma(theta);
REMAINDER, DEFICIT = 6, 7
# 1 / (2 f^2), f the noise scale (reads);
HALF_PRECISION = 8
# half of the number m of bootstraps that are not zero, their mean (reads), the weight kappa m of
# its squared distance from the count, and, where the noise depends on the count, the sum of
# squares around it, elsewhere 0.
HALF_POSITIVES, CENTRE, WEIGHT, SQUARES = 9, 10, 11, 12
ENTRY_ROWS = 13
# The panel at hand: its first count and number of counts.
FIRST, LENGTH = 13, 14
PANEL_ROWS = 15
# The mode; the counts from LOWEST to below ABOVE are summed, and the terms at both ends.
MODE, LOWEST, ABOVE, TERM_LOWEST, TERM_ABOVE = 15, 16, 17, 18, 19
# Nats that sums are relative to; sums over u >= 1 of terms, and of these times u - mu, their slope
# in theta and their squares in units of twice the variance.
REFERENCE, TOTAL, BY_EXCESS, BY_SLOPE, BY_SQUARES = 20, 21, 22, 23, 24
# The mode's bracket.
LOW, HIGH = 25, 26
# A second mode, or the first again.
OTHER = 29
# What does not depend on the count: log density of the bootstraps, and their squares.
CONSTANT, CONSTANT_SQUARES = 27, 28
ROWS = 30
