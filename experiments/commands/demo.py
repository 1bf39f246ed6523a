"""The command ``exvae demo``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from ...data.errors import DataError
from . import panels
from .options import Json, Seed
from .reports import report


def demo(
    out: Annotated[Path, panels.common(metavar="DIR", help="Folder to write.")] = Path("demo"),
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Run both jobs on simulated data in a few minutes; print figures and draw pictures.

    $ exvae demo --out demo
    """
    from ..demo import demo_isoforms, demo_lda

    if out.exists() and not (out / "lda").is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: holds other files; choose an empty --out")
    for job in ("lda", "isoforms"):
        shutil.rmtree(out / job, ignore_errors=True)
    report(
        {
            "lda": demo_lda(out / "lda", seed),
            "isoforms": demo_isoforms(out / "isoforms", seed),
        },
        as_json=json,
    )
