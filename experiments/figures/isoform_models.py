"""The isoform models that figures compare, by the names that the figures show."""

from __future__ import annotations

from ..isoforms.settings import IsoformConfig

EFFECTIVE_READS, SCVI = "effective reads", "scVI"
PAPER_SHARED, PAPER_INDEPENDENT = "paper, shared error", "paper, independent errors"

CONFIGS = {
    EFFECTIVE_READS: IsoformConfig(),
    SCVI: IsoformConfig(model="scvi"),
    PAPER_SHARED: IsoformConfig("paper", options={"error": "shared"}),
    PAPER_INDEPENDENT: IsoformConfig("paper", options={}),
}
