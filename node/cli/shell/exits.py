"""Exit codes, and which exception means which."""

import re
import shlex
import sys
from enum import IntEnum
from typing import Any

import typer

from node.errors import ConfigurationError, NodeError, PeerRefused, PeerUnreachable, UsageError


class Exit(IntEnum):
    """What a command's exit code tells a script."""

    DONE = 0
    """Everything that was asked for is done."""
    FAILED = 1
    """Some of it is not done, or none."""
    USAGE = 2
    """The command line or the configuration is wrong; nothing was tried."""
    PEER = 3
    """A peer could not be reached, or refused."""
    INTERRUPTED = 130
    """Ended by Control-C, as shells expect it (128 + SIGINT), or by SIGTERM in the same order."""


_WORDS = (
    (r"Value error, ", ""),
    (r"Input should be a valid string, unable to parse.*", "it is not UTF-8"),
    (r"Input should be a valid integer.*", "a whole number is needed"),
    (r"Input should be a valid number.*", "a number is needed"),
    (r"Input should be greater than or equal to (\S+)", r"at least \1 is needed"),
    (r"Input should be less than or equal to (\S+)", r"at most \1 is possible"),
)
"""What pydantic says of a value by typer's mouth, and how we say it."""

_TOO_MANY = re.compile(r"Got unexpected extra arguments?(?:\(s\))? \((.{0,80}).*\)", re.DOTALL)
_KEY = re.compile(r"[A-Za-z0-9][\w.,\[\]()]*=")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


def explain(error: BaseException) -> tuple[str, Exit] | None:
    """Return the message and the exit code for an exception; None when it is unexpected."""
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted", Exit.INTERRUPTED
    if isinstance(error, NodeError):
        return str(error) or type(error).__name__, code_of(error)
    if (code := _schema_code(error)) is not None:
        return str(error) or type(error).__name__, code
    if (usage := _usage(error)) is not None:
        return usage, Exit.USAGE
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}", Exit.FAILED
    return None


def _usage(error: BaseException) -> str | None:
    """Return what typer says of a command line in our own style: where, what, what to do.

    Its exceptions have no public base of their own in all versions; they have their words.
    """
    words = getattr(error, "format_message", None)
    context = getattr(error, "ctx", None)
    if words is None or (context is None and getattr(error, "exit_code", None) != Exit.USAGE):
        return None
    if type(error).__name__ == "NoArgsIsHelpError":
        words_of_help: str = words()
        return words_of_help
    said = str(words()).rstrip(".")
    for theirs, ours in _WORDS:
        said = re.sub(theirs, ours, said)
    if extra := _TOO_MANY.fullmatch(said):
        said = f"'{extra[1]}' is one argument too many; {_forgotten(extra[1], context)}"
    path = (
        context.command_path if context is not None else "dicom-node"
    )  # some are raised without one
    program, _, command = str(path).partition(" ")
    where = f"{command}: " if command else ""
    what = f"{said[:1].lower()}{said[1:]}"
    return f"{where}{what}; `{program}{' ' * bool(command)}{command} --help` shows how it is used"


def _forgotten(words: str, context: Any) -> str:  # noqa: ANN401 - typer's own
    """Return what to do with an argument that is too many: mostly, its option is forgotten."""
    params = context.command.params if context is not None else ()
    options = {name for param in params for name in param.opts}
    first = next(iter(words.split()), "")
    if "-k" in options and _KEY.match(first):
        return f"say -k {shlex.quote(first)}"
    if "--study" in options and _UID.fullmatch(first):
        return f"say --study {first}"
    return "a value with blanks, * or ? goes in quotes"


def code_of(error: NodeError) -> Exit:
    """Return the exit code for an error of the node."""
    if isinstance(error, ConfigurationError | UsageError):
        return Exit.USAGE
    if isinstance(error, PeerUnreachable | PeerRefused):
        return Exit.PEER
    return Exit.FAILED


def _schema_code(error: BaseException) -> Exit | None:
    """Judge an error of the schema without importing it: whoever raised it has."""
    errors = sys.modules.get("schema.errors")
    if errors is None or not isinstance(error, errors.SchemaError):
        return None
    wrong = (
        errors.InvalidDatabaseSource,
        errors.UnknownTable,
        errors.DriverMissing,
        errors.MirrorRefused,
    )
    return Exit.USAGE if isinstance(error, wrong) else Exit.FAILED
