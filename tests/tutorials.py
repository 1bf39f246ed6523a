"""The tutorials: notebooks that are kept as text, and a way to run one in this process."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
FILES = sorted(path for path in FOLDER.glob("*.md") if path.stem != "index")


def cells_of(path: Path) -> list[str]:
    """Give the code of each cell of a notebook, without the cell's options."""
    cells = re.findall(
        r"^```\{code-cell\} ipython3\n(.*?)^```", path.read_text("utf-8"), re.S | re.M
    )
    return [re.sub(r"^:\w+:.*\n", "", cell, flags=re.MULTILINE) for cell in cells]


def run_command(line: str) -> None:
    """Run a line ``!exvae ...`` of a cell by this interpreter."""
    words = shlex.split(line.split(" 2> ")[0])
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)


def run(path: Path) -> dict[str, Any]:
    """Run the cells of a notebook in the current folder, and give its names."""
    scope: dict[str, Any] = {"_run_command": run_command}
    for number, cell in enumerate(cells_of(path), 1):
        code = re.sub(r"^!(.*)$", lambda own: f"_run_command({own[1]!r})", cell, flags=re.M)
        exec(compile(code, f"{path.name}, cell {number}", "exec"), scope)
    return scope
