"""What all commands are dressed in: examples in their help, and the names that options had once.

An option has one name wherever it means the same. A name that it had before is understood, and
shown nowhere: not in the help, not in the documentation, not in messages.
"""

import re
from collections.abc import Iterable, Mapping
from inspect import getdoc
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from node.cli.shell.examples import EXAMPLES
from node.errors import UsageError

SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "find": {"--study-uid": "--study"},
    "parse": {"--failed": "--list"},
    "verify": {"--failed": "--list"},
    "db dump": {"-t": "--table"},
    "db mirror": {"--to": "--target"},
}
"""By command: what an option was called once, and what it is called."""

LARGEST_NUMBER = 2**31 - 1
"""What the databases hold in a column of whole numbers, and count rows by."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class NodeCommand(TyperCommand):
    """A command that understands the old names of its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer's own
        """Read the arguments."""
        synonyms = SYNONYMS.get(_path(ctx.command_path), {})
        left: list[str] = super().parse_args(ctx, list(_renamed(args, synonyms)))
        _refuse_large(ctx.params)
        _refuse_what_is_no_text(ctx)
        return left

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401
        """Return the parameters, as the help shows them."""
        return _shown(super().get_params(ctx))


class NodeGroup(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:  # noqa: ANN401
        """Return the parameters, as the help shows them."""
        return _shown(super().get_params(ctx))


def dress(app: typer.Typer, path: tuple[str, ...] = ()) -> None:
    """Give all commands of an application what they share; after they are registered."""
    for command in app.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        command.cls = NodeCommand
        command.help = _flowing(command.help or getdoc(command.callback) or "")
        examples = EXAMPLES.get(" ".join((*path, name)), ())
        command.epilog = "\n\n".join(f"Example: dicom-node {line}" for line in examples)
    for group in app.registered_groups:
        group.cls = NodeGroup
        if group.typer_instance is not None:
            dress(group.typer_instance, (*path, str(group.name)))


def _flowing(text: str) -> str:
    """Return a docstring whose lines are as long as the terminal has them."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _refuse_large(values: Mapping[str, object]) -> None:
    for value in values.values():
        for number in value if isinstance(value, list | tuple) else (value,):
            if isinstance(number, int) and abs(number) > LARGEST_NUMBER:
                raise UsageError(f"{number}: no number here may be larger than {LARGEST_NUMBER}")


def _refuse_what_is_no_text(ctx: Any) -> None:  # noqa: ANN401
    """Refuse what no database, network or file takes as text; a path may be of any bytes.

    Bytes that are not UTF-8 come in as surrogates (PEP 383).
    """
    if ctx.resilient_parsing:
        return
    for param in ctx.command.params:
        value = ctx.params.get(param.name)
        for text in value if isinstance(value, list | tuple) else (value,):
            if isinstance(text, str) and (found := _NO_TEXT.search(text)):
                what = "a NUL byte is in it" if found[0] == "\0" else "it is not UTF-8"
                shown = _SURROGATE.sub(_as_byte, text[max(0, found.start() - 20) :][:60])
                raise typer.BadParameter(f"'{shown}' is no text: {what}", ctx=ctx, param=param)


def _as_byte(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _path(command_path: str) -> str:
    return command_path.partition(" ")[2]


def _renamed(args: Iterable[str], synonyms: Mapping[str, str]) -> Iterable[str]:
    """Yield arguments with options under their names of today."""
    left = iter(args)
    for arg in left:
        if arg == "--":
            yield arg
            break
        name, sign, value = arg.partition("=")
        short = arg[:2] if arg[:1] == "-" != arg[1:2] else ""
        if name in synonyms:
            yield f"{synonyms[name]}{sign}{value}"
        elif short in synonyms:
            yield f"{synonyms[short]}={arg[2:]}"
        else:
            yield arg
    yield from left


def _shown(params: list[Any]) -> list[Any]:
    """Let switches have no type: there is nothing to write behind them."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params
