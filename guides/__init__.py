"""Amortised guides; each approximates the posterior of a model.

==================== =========================================== ==================
name                 class                                       model
==================== =========================================== ==================
``cells``            cells.CellGuide                             any model of cells
``paper``            paper_isoforms.PaperGuide                   ``paper``
``exchangeable``     lda.ExchangeableGuide                       LDA
``fixed-length``     lda.FixedLengthGuide                        LDA
==================== =========================================== ==================
"""

CELL_GUIDES = {
    "cells": "exvae.guides.cells:CellGuide",
    "paper": "exvae.guides.paper_isoforms:PaperGuide",
}
LDA_GUIDES = {
    "exchangeable": "exvae.guides.lda:ExchangeableGuide",
    "fixed-length": "exvae.guides.lda:FixedLengthGuide",
}
