"""The command ``exvae``."""

# Heavy imports are local so that the command line starts fast.
from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from ..data.errors import DataError, DataWarning
from .commands import (
    check,
    demo,
    export_isoforms,
    figures,
    filter_isoforms,
    group_differences,
    import_cells,
    isoforms,
    lda,
    simulate_isoforms,
)
from .commands.options import Fit
from .commands.reports import report
from .fitting.errors import ArgumentError, LossNotFinite, TrainingInterrupted

_INTERRUPTED = "interrupted"

app = typer.Typer(
    help="Exchangeable variational autoencoders in Pyro.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
lda.app.command("check")(check.check_documents)
app.add_typer(lda.app, name="lda")
isoforms.app.command("import")(import_cells.import_cells)
isoforms.app.command("filter")(filter_isoforms.filter_isoforms)
isoforms.app.command("export", cls=export_isoforms.ManyQuantiles)(export_isoforms.export)
isoforms.app.command("simulate")(simulate_isoforms.simulate)
isoforms.app.command("check")(check.check_cells)
isoforms.app.command("usage")(group_differences.usage)
isoforms.app.command("de")(group_differences.expression)
app.add_typer(isoforms.app, name="isoforms")
app.command("demo")(demo.demo)
app.command("figures")(figures.figures)


@app.command()
def info(
    fit: Fit,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show the model, data, versions, seeds and progress of a fit."""
    from .fitting import fits

    config = fits.read_config(fit)
    metrics = fits.read_metrics(fit)
    last = {} if metrics.empty else metrics.iloc[-1].to_dict()
    report({**config, "metrics": {**last, "epoch": int(last.get("epoch", 0))}}, as_json=json)


def main() -> None:
    """Run the command line; status 0, 2 for bad input, 1 for our own faults, 130 for Ctrl-C."""
    # Set before torch is loaded: its waiting threads otherwise spin for long, which makes processes
    # that share the cores ten times slower. Without any spinning the short loops of a compiled
    # likelihood take four times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        with _warnings_of_one_line():
            status = app(standalone_mode=False)
    except ArgumentError as error:
        _fail(error.on_command_line, 2)
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


@contextmanager
def _warnings_of_one_line() -> Iterator[None]:
    """Print warnings about data as one line each, without the place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        show = warnings.showwarning

        def show_one_line(
            message: Warning | str, category: type[Warning], *place: Any, **options: Any
        ) -> None:
            if issubclass(category, DataWarning):
                print("exvae:", " ".join(str(message).split()), file=sys.stderr)
            else:
                show(message, category, *place, **options)

        warnings.showwarning = show_one_line
        yield


def _fail(message: str, status: int) -> NoReturn:
    print("exvae:", " ".join(message.split()), file=sys.stderr)
    sys.exit(status)
