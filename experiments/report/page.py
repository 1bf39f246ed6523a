"""The HTML of a page, and its file."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.errors import DataError
from ...data.files import written_atomically
from ..fitting import fits
from .contents import Contents, number
from .encoding import packed

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = Path(__file__).parent
# In the order in which they are run.
_SCRIPTS = (
    "base.js",
    "tables.js",
    "curves.js",
    "maps.js",
    "genes.js",
    "groups.js",
    "topics.js",
    "start.js",
)
_NEEDED = ("plotly", "jinja2")
_ROUNDING = 1e-9


def require_libraries() -> None:
    """Raise a DataError unless the libraries of the extra ``report`` are installed."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise DataError(
            f"a report needs {' and '.join(missing)}; install what it needs: "
            f"{sys.executable} -m pip install 'exvae[report]'"
        )


def write_page(contents: Contents, path: Path) -> int:
    """Write a page; it appears only when it is complete. Returns its size in bytes."""
    html = page_of(contents).encode()
    with written_atomically(path) as temporary:
        temporary.write_bytes(html)
    return len(html)


def page_of(contents: Contents) -> str:
    """HTML of a page.

    All text from data is escaped by the template, or packed with the numbers and written by the
    scripts as text.
    """
    import plotly.offline
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    texts = {name: (_FOLDER / name).read_text(encoding="utf-8") for name in _SCRIPTS}
    return environment.get_template("page.html").render(
        contents=contents,
        checks=_rows_of_check(contents),
        style=Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join(texts.values())),
        numbers=packed(json.dumps(contents.numbers, allow_nan=False)),
        plotly=packed(plotly.offline.get_plotlyjs()),
        plotly_version=plotly.offline.get_plotlyjs_version(),
        version=fits.versions()["exvae"],
    )


def _spread(row: Any) -> str:
    """Write the standard deviation of replicates; 0 where it is rounding alone."""
    known = row.replicated_sd > _ROUNDING * abs(row.replicated_mean)
    return f"{row.replicated_sd:.2g}" if known else "0"


def _rows_of_check(contents: Contents) -> list[dict[str, Any]]:
    """Statistics of the check, a row for each."""
    if contents.check is None:
        return []
    table: pd.DataFrame = contents.check.statistics
    return [
        {
            "statistic": row.statistic,
            "observed": number(row.observed),
            "replicated": f"{number(row.replicated_mean)} ± {_spread(row)}",
            "level": row.level,
            # The label tells the level already.
            "verdict": row.verdict.removeprefix(row.level).lstrip(": "),
        }
        for row in table.itertuples()
    ]
