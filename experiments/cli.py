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

from ..data.errors import DataWarning
from ..data.stopping import stoppable
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
    panels,
    simulate_isoforms,
    torchrun,
)
from .commands import report as html_report
from .commands.failures import failure_of
from .commands.options import Fit, Json
from .commands.reports import report
from .commands.streams import discard, standard_streams
from .fitting.freed_memory import keep_freed_memory

app = typer.Typer(
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
app.command("report")(html_report.report)


def _show_version(asked: bool) -> None:
    if asked:
        from .. import __version__

        print(__version__)
        raise typer.Exit()


@app.callback()
def exvae(
    version: Annotated[
        bool,
        panels.common(
            "--version", callback=_show_version, is_eager=True, help="Show the version, and exit."
        ),
    ] = False,
) -> None:
    """Exchangeable variational autoencoders in Pyro.

    $ exvae isoforms fit cells.h5ad --out FIT

    $ exvae lda fit corpus.tsv --topics 20 --out TOPICS
    """


@app.command()
def info(
    fit: Fit,
    json: Json = False,
) -> None:
    """Show the model, data, versions, seeds and progress of a fit.

    $ exvae info FIT
    """
    from .fitting import fits

    config = fits.read_config(fit)
    metrics = fits.read_metrics(fit)
    last = {} if metrics.empty else metrics.iloc[-1].to_dict()
    report({**config, "metrics": {**last, "epoch": int(last.get("epoch", 0))}}, as_json=json)


def main() -> None:
    """Run the command line; see :class:`.commands.failures.Failure` for the exit status."""
    # Set before torch is loaded: its waiting threads otherwise spin for long, which makes processes
    # that share the cores ten times slower. Without any spinning the short loops of a compiled
    # likelihood take four times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    keep_freed_memory()
    try:
        torchrun.silence_others()
        with standard_streams():
            _run()
    except KeyboardInterrupt as error:  # before signals are heeded
        _end(error)


def _run() -> NoReturn:
    """Run a command and exit."""
    try:
        with _warnings_of_one_line(), stoppable():
            torchrun.require_shared(sys.argv[1:])
            status = app(standalone_mode=False)
            if status == 130:  # some versions of typer turn an interrupt into this
                raise KeyboardInterrupt
            sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        _end(error)
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


def _end(error: BaseException) -> NoReturn:
    """Tell an error in one line and exit; raise it if it is a fault of the package itself."""
    failure = failure_of(error)
    if not torchrun.may_tell():
        torchrun.end(1 if failure is None else failure.status)
    if failure is None:
        raise error
    if failure.message:
        print("exvae:", " ".join(failure.message.split()), file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        discard(sys.stdout)
    torchrun.end(failure.status)
