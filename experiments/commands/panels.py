"""Panels of options in the help of commands.

The function of a panel makes an option in it: ``typer.Option`` with the panel's name.
"""

from __future__ import annotations

from functools import partial

import typer

common = partial(typer.Option, rich_help_panel="Common")
model = partial(typer.Option, rich_help_panel="Model")
data = partial(typer.Option, rich_help_panel="Data")
reads = partial(typer.Option, rich_help_panel="Reads")
training = partial(typer.Option, rich_help_panel="Training")
advanced = partial(typer.Option, rich_help_panel="Advanced")
