"""Parts of pages that scripts write: tables between two markers, and facts about the machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def replace_part(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of a part of a page, or add it at the end.

    Parameters
    ----------
    page
        A page in Markdown, which is made if it does not exist.
    name
        Name of the part.
    text
        Its new content.
    """
    begin, end = (f"<!-- {name}: {which} -->" for which in ("begin", "end"))
    before, after = (page.read_text(encoding="utf-8") if page.exists() else ""), "\n"
    if begin in before:
        before, _, rest = before.partition(begin)
        after = rest.partition(end)[2]
    elif before:
        before += "\n"
    part = f"{begin}\n\n{text.strip()}\n\n{end}"
    page.write_text(before + part + after, encoding="utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Make a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def digits(value: float) -> str:
    """Write a number with three significant digits, without an exponent."""
    if not value:
        return "0"
    return f"{float(f'{value:.3g}'):f}".rstrip("0").rstrip(".") if value < 100 else f"{value:.0f}"


def machine(packages: Sequence[str] = ()) -> str:
    """Describe the processor, Python and packages in a line."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"no {package}")
    return f"{os.cpu_count()} cores of {_processor()}; {', '.join(found)}."


def _processor() -> str:
    """Name the processor."""
    try:
        described = Path("/proc/cpuinfo").read_text()
    except OSError:
        described = ""
    named = re.search(r"model name\s*: (.*)", described)
    return named[1].strip() if named else platform.processor() or platform.machine()
