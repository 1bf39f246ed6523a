"""The command ``exvae``."""

# What is heavy is imported where it is used, so that the command line starts at once.
from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from ..data.errors import DataError
from . import (
    check_commands,
    demo_command,
    figures_command,
    filter_command,
    import_command,
    isoform_commands,
    isoform_simulate_command,
    lda_commands,
    usage_command,
)
from .errors import LossNotFinite, TrainingInterrupted
from .options import Fit
from .reports import report

_INTERRUPTED = "interrupted"

app = typer.Typer(
    help="Exchangeable variational autoencoders in Pyro.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
lda_commands.app.command("check")(check_commands.check_documents)
app.add_typer(lda_commands.app, name="lda")
isoform_commands.app.command("import")(import_command.import_cells)
isoform_commands.app.command("filter")(filter_command.filter_isoforms)
isoform_commands.app.command("simulate")(isoform_simulate_command.simulate)
isoform_commands.app.command("check")(check_commands.check_cells)
isoform_commands.app.command("usage")(usage_command.usage)
app.add_typer(isoform_commands.app, name="isoforms")
app.command("demo")(demo_command.demo)
app.command("figures")(figures_command.figures)


@app.command()
def info(
    fit: Fit,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell what was fitted, on what, with which versions and seeds, and how far it is."""
    from . import fits

    config = fits.read_config(fit)
    metrics = fits.read_metrics(fit)
    last = {} if metrics.empty else metrics.iloc[-1].to_dict()
    report({**config, "metrics": {**last, "epoch": int(last.get("epoch", 0))}}, as_json=json)


def main() -> None:
    """Run the command line; status 0, 2 for bad input, 1 for our own faults, 130 for Ctrl-C."""
    # Before torch is loaded: its threads otherwise spin for long while they wait for each other,
    # and where another process wants the same cores that makes both ten times slower. Without
    # spinning at all the many short loops of a compiled likelihood take four times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        status = app(standalone_mode=False)
    except (DataError, LossNotFinite) as error:
        _fail(str(error), 2 if isinstance(error, DataError) else 1)
    except TrainingInterrupted as error:
        _fail(str(error), 130)
    except (KeyboardInterrupt, typer.Abort):
        _fail(_INTERRUPTED, 130)
    except MemoryError as error:
        _fail(f"out of memory ({error}); ask for less", 2)
    except Exception as error:
        # Usage errors come from typer or from click, depending on typer's version.
        if not hasattr(error, "format_message"):
            raise
        _fail(f"{error.format_message().rstrip('.')}. See exvae --help.", 2)
    if status == 130:  # some versions of typer turn the interrupt into this
        _fail(_INTERRUPTED, 130)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str, status: int) -> NoReturn:
    print("exvae:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
