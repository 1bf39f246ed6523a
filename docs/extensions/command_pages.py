"""A Sphinx extension that writes a reference of the commands, made from the commands themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from typer.cli import get_docs_for_click
from typer.main import get_command

from exvae.experiments import cli

FOLDER = "reference/commands"
# The page of commands that belong to no group.
OTHERS = "others"


def pages() -> dict[str, str]:
    """Write the pages in Markdown, by name: one for each group of commands, one for the others."""
    root = get_command(cli.app)
    context = typer.Context(root, info_name="exvae")
    written = {OTHERS: "# Other commands\n\n"}
    for name, command in root.commands.items():
        own = typer.Context(command, parent=context, info_name=name)
        grouped = hasattr(command, "commands")
        text = get_docs_for_click(
            obj=command, ctx=own, name=name, call_prefix="exvae", indent=0 if grouped else 1
        )
        if grouped:
            written[name] = with_whole_sentences(text, name, command)
        else:
            written[OTHERS] += text
    return {name: with_example_blocks(text) for name, text in written.items()}


def with_example_blocks(text: str) -> str:
    """Make blocks of code of the examples, which are paragraphs that begin with a prompt."""

    def block(found: re.Match[str]) -> str:
        lines = found[0].strip().replace("\n\n", "\n")
        return f"```console\n{lines}\n```\n\n"

    return re.sub(r"(?<=\n\n)(?:\$ .+\n\n)+", block, text)


def with_whole_sentences(text: str, group: str, command: Any) -> str:
    """Give the list of a group's commands links, and whole sentences where it cuts them off."""
    for name, own in command.commands.items():
        sentence = own.help.splitlines()[0]
        item = f"* [`{name}`](#exvae-{group}-{name}): {sentence}"
        text = re.sub(rf"^\* `{name}`: .*$", lambda _, item=item: item, text, flags=re.MULTILINE)
    return text


def write(app: Any) -> None:
    """Write the pages into the folder of the sources, where they have changed."""
    folder = Path(app.srcdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
