"""Pictures for notebooks.

Every function returns a Figure that is drawn but neither shown, saved nor known to pyplot; a
notebook shows it as the value of a cell. With ``ax=`` it draws on axes of yours and returns them.
To save a Figure, call its method ``savefig``; to show several from one cell, ``display`` each.

==========================  ==============================================================
:func:`gene`                isoforms of genes in every cell, with intervals
:func:`usage`               usage of a gene's isoforms by groups of cells
:func:`groups`              means of groups of cells with intervals
:func:`intervals`           posteriors in some cells, beside estimates and bootstraps
:func:`uncertainty`         relative uncertainty of all entries, or of a gene in every cell
:func:`states`              states of the cells in a plane
:func:`training`            loss, and perplexity of topic models, during training
:func:`topics`              words of topics
:func:`topic_proportions`   topics of documents, or of the documents of each label
==========================  ==============================================================
"""

from .cell_pictures import states, uncertainty
from .gene_pictures import gene, groups, intervals, usage
from .model_pictures import topic_proportions, topics, training

__all__ = [
    "gene",
    "groups",
    "intervals",
    "states",
    "topic_proportions",
    "topics",
    "training",
    "uncertainty",
    "usage",
]
