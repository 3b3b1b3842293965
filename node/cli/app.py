"""The `dicom-node` command.

Commands are thin: they parse, call, and print. Modules of commands import only typer and
light modules at their top, and what they need when they run, so that ``--help`` and shell
completion are quick. Whatever goes wrong becomes one message and an exit code here.
"""

import contextlib
import gc
import io
import os
import signal
import sys
import traceback
from typing import Annotated

import typer

from node import __version__
from node.cli import (
    config,
    echo,
    find,
    move,
    parse,
    probe,
    quarantine,
    reconcile,
    sample,
    send,
    status,
    verify,
)
from node.cli import run as run_node
from node.cli.accounting import expect, report
from node.cli.asking import fetch, query
from node.cli.db import commands as db
from node.cli.explaining import explain as explaining
from node.cli.ledger import coverage, cycles, hooks
from node.cli.manifest import commands as manifest
from node.cli.project import commands as project
from node.cli.shell.answer import JsonAnswer, answering
from node.cli.shell.commands import NodeGroup, dress
from node.cli.shell.exits import Exit, explain
from node.cli.shell.hints import hinting, with_first_step, with_hints
from node.cli.shell.start import DEBUG_VARIABLE, debugging
from node.cli.simulator import demo, simulate
from node.cli.studies import hold
from schema.text.harmless import escape_lines

PROGRAM = "dicom-node"

app = typer.Typer(
    name=PROGRAM,
    cls=NodeGroup,
    help="Find, move and receive DICOM images, and keep them in a database you can query.",
    epilog="Exit codes: 0 done, 1 done in part or failed, 2 wrong usage or configuration, "
    "3 a peer could not be reached or refused, 130 ended by Control-C or SIGTERM.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(echo.echo)
app.command()(probe.probe)
app.command()(query.query)
app.command()(fetch.get)
app.command()(fetch.fetch)
app.command()(find.find)
app.command()(move.move)
app.command()(hold.hold)
app.command()(hold.release)
app.command()(hold.retry)
app.command()(hold.cancel)
app.command()(send.send)
app.command()(parse.parse)
app.command("run")(run_node.run)
app.command()(status.status)
app.command()(explaining.explain)
app.command()(report.report)
app.command()(expect.expect)
app.command()(coverage.coverage)
app.command()(verify.verify)
app.command()(sample.sample)
app.command()(reconcile.reconcile)
app.add_typer(cycles.app, name="cycles")
app.add_typer(hooks.app, name="hooks")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(project.app, name="project")
app.add_typer(manifest.app, name="manifest")
app.add_typer(db.app, name="db")
app.add_typer(config.app, name="config")
app.command()(simulate.simulate)
app.command()(demo.demo)
dress(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dicom-node {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[  # noqa: ARG001 - its callback has done all there is to do
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug", help="Log everything, patients too, and show tracebacks of errors."
        ),
    ] = False,
) -> None:
    """Take the options that come before a command."""
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"


def run(arguments: list[str] | None = None) -> int:
    """Run a command line, and return its exit code.

    Parameters
    ----------
    arguments
        Without the program's name; those of the process when None.
    """
    with answering(sys.argv[1:] if arguments is None else arguments) as answer, hinting():
        try:
            ended = app(arguments, prog_name=PROGRAM, standalone_mode=False)
            code, message = _ended(ended)
        except SystemExit as stop:
            code, message = _ended(stop.code)
        except BaseException as error:  # noqa: BLE001 - the last one to see it
            if isinstance(error, BrokenPipeError):
                return _abandon_output()
            code, message = _failed(error)
        return _answered(answer, code, message)


def main() -> None:
    """Be the `dicom-node` command. What it writes is patients' data: nobody else may read it."""
    gc.disable()  # what is imported stays: to look for garbage in it is a seventh of a start
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for them takes its time
    os.umask(0o077)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # a name that the terminal's encoding lacks is no reason to fail
        sys.stdout.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it ends a command as Control-C does
    sys.exit(run())


def _ended(code: object) -> tuple[int, str]:
    """Return the exit code of a command that has ended by itself, and why it failed."""
    if code == Exit.INTERRUPTED:
        return Exit.INTERRUPTED, _said("interrupted")
    if code is None:
        return Exit.DONE, ""
    return (int(code) if isinstance(code, int) else Exit.FAILED), ""


def _failed(error: BaseException) -> tuple[int, str]:
    """Return the exit code for an exception, and the message that was printed."""
    if debugging():
        lines = "".join(traceback.format_exception(error))
        sys.stderr.write(escape_lines(lines))
    explained = explain(error)
    if explained is None:
        hint = "" if debugging() else f"; {DEBUG_VARIABLE}=1 shows where"
        explained = f"unexpected error: {type(error).__name__}: {error}{hint}", Exit.FAILED
    message, code = explained
    return code, _said(message)


def _said(message: str) -> str:
    """Print a message about what went wrong, and return it."""
    message = with_hints(with_first_step(message))
    with contextlib.suppress(OSError):  # nobody listens
        if message:
            sys.stderr.write(f"{PROGRAM}: {escape_lines(message)}\n")
    return message


def _answered(answer: JsonAnswer, code: int, message: str) -> int:
    """Write the document, and flush it while an error can still be reported."""
    try:
        answer.finish(sys.stdout, code=code, message=message)
        sys.stdout.flush()
    except BrokenPipeError:
        return _abandon_output()
    return code


def _abandon_output() -> int:
    """Point the standard output nowhere, so that the interpreter's own flush succeeds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.FAILED
