"""Cells quantified by kallisto or salmon, into AnnData."""
