"""Drawing: functions that take tables or arrays and return matplotlib axes or a Figure.

======================  ==============================================================
``style``               colours, empty figures, labels, logarithmic axes, legends
``saving``              the one way in which a Figure or its numbers are written
``panels``              panels that show several data sets, and the numbers behind them
``bands``               medians and ranges of replicates
``training``            loss and perplexity during training
``lda``                 topics
``proportions``         topics of documents
``genes``               isoforms of genes in cells, and their usage in groups
``group_means``         means of groups, and single cells, with intervals
``embeddings``          cells in a plane
``densities``           relative uncertainty of all entries
``checks``              posterior predictive checks
======================  ==============================================================

No function saves, closes or shows a figure, or touches pyplot and its backend.
"""
