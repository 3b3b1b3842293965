"""Commands that messages name, as they work when they are pasted.

A message has a command in backquotes, from whichever layer it comes. Where the user has named a
configuration file, the command goes with that one.
"""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import LogRecord

_COMMAND = re.compile(r"`(dicom-node [a-z][^`\n]*)`")
_HAS_ONE = re.compile(r" (-f|--config)\b")
_WITHOUT = ("dicom-node config init", "dicom-node simulate", "dicom-node demo")
"""Commands that take no configuration."""

_LACKING = ("(they go under peers)", "; run `dicom-node db init`")
"""What is in messages about what a configuration file would say."""

_named: ContextVar[Path | None] = ContextVar("configuration", default=None)
_unconfigured: ContextVar[bool] = ContextVar("unconfigured", default=False)


@contextmanager
def hinting() -> Iterator[None]:
    """Forget at the end of the block which configuration was named in it."""
    named, unconfigured = _named.set(None), _unconfigured.set(False)
    try:
        yield
    finally:
        _named.reset(named)
        _unconfigured.reset(unconfigured)


def name_configuration(path: Path | None) -> None:
    """Take notice of the configuration file that the command line names, if it does."""
    _named.set(path)


def note_defaults() -> None:
    """Take notice that nobody has configured anything: there is no file, and no other source."""
    _unconfigured.set(True)


def with_first_step(text: str) -> str:
    """Return a message that says how to begin, where it is about what nobody has configured."""
    if not _unconfigured.get() or not any(one in text for one in _LACKING):
        return text
    return f"{text}; there is no configuration file here: `dicom-node config init` writes one"


def pasteable(command: str) -> str:
    """Return a command with the configuration that the user has named."""
    path = _named.get()
    if path is None or _HAS_ONE.search(command) or command.startswith(_WITHOUT):
        return command
    return f"{command} -f {shlex.quote(str(path))}"


def with_hints(text: str) -> str:
    """Return a message in which each command works when it is pasted."""
    return _COMMAND.sub(lambda match: f"`{pasteable(match[1])}`", text)


def complete(record: "LogRecord") -> bool:
    """Do the same to a record of the log: a filter that lets all through."""
    if "`dicom-node " in str(record.msg):
        record.msg, record.args = with_hints(record.getMessage()), None
    return True
