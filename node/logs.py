"""Logging to one stream, without patients.

Two things are kept out. Control characters, which a hostile peer could put into an AE title
to forge lines or to drive a terminal, are escaped. And what the libraries say is shown
without its words above the debug level, because they quote datasets and statements: their
debug and information records not at all, warnings and errors by their place only. Nor is what a
peer has put into words with a failure.
"""

import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

from node.errors import PeerFailure
from schema.text.document import rfc3339, to_json
from schema.text.harmless import escape

FOREIGN = ("pynetdicom", "pydicom", "sqlalchemy", "alembic", "aiosqlite", "asyncpg", "py.warnings")
"""Loggers of libraries whose records may hold patient data."""

_OF_VALUES = "pydicom"
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\](\w+)")

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
}


def setup(
    *, level: str = "info", style: str = "text", stream: TextIO | None = None
) -> logging.Handler:
    """Send all logging to one stream, replacing what an earlier call has set up.

    Parameters
    ----------
    level
        ``debug``, ``info``, ``warning`` or ``error``. Patient data only at ``debug``.
    style
        ``text``, or ``json`` for an object per line.
    stream
        The standard error stream when None.

    Returns
    -------
    logging.Handler
        The one handler of the root logger.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    discreet = number > logging.DEBUG
    handler = _Handler(stream if stream is not None else sys.stderr, discreet=discreet)
    handler.setFormatter(JSONFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(number)
    for name in FOREIGN:
        logging.getLogger(name).setLevel(max(number, logging.WARNING) if discreet else number)
    logging.captureWarnings(capture=True)
    return handler


class _Handler(logging.StreamHandler[TextIO]):
    """Writes records; a discreet one withholds the words of libraries."""

    def __init__(self, stream: TextIO, *, discreet: bool) -> None:
        super().__init__(stream)
        self._discreet = discreet
        self._warned: set[str] = set()

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, or what of it may be shown."""
        if self._discreet and _is_foreign(record):
            if record.levelno < logging.WARNING:
                return False
            kind, place = _source(record)
            if (warned := _warner(record, place)) is not None:
                if warned in self._warned:  # without its words, one of each says it all
                    return False
                self._warned.add(warned)
            record = _without_words(record, kind, place)
        elif self._discreet and isinstance(record.args, tuple):
            record.args = tuple(
                one.impersonal if isinstance(one, PeerFailure) else one for one in record.args
            )
        return super().handle(record)


def _is_foreign(record: logging.LogRecord) -> bool:
    return any(record.name == name or record.name.startswith(f"{name}.") for name in FOREIGN)


def _source(record: logging.LogRecord) -> tuple[str, str]:
    """Return what kind of thing a library reports, and where it stands in its code."""
    if record.name == "py.warnings":
        place, _, rest = record.getMessage().partition(": ")  # file:line: Category: words
        return rest.partition(":")[0], place
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "something"
    return kind, f"{record.module}:{record.lineno}"


def _warner(record: logging.LogRecord, place: str) -> str | None:
    """Return whose warning it is, of whom one is enough; None for what is no such warning.

    pydicom warns at dozens of places of values that are not as the standard has them, and says
    each both to `warnings` and to its log.
    """
    if record.levelno > logging.WARNING:
        return None
    if record.name == "py.warnings":
        installed = _INSTALLED.search(place)
        return installed[1] if installed else place
    return _OF_VALUES if record.name.partition(".")[0] == _OF_VALUES else None


def _without_words(record: logging.LogRecord, kind: str, place: str) -> logging.LogRecord:
    shown = {
        "msg": "the library reports %s at %s; log at debug level to see what",
        "args": (kind, place),
        "exc_info": None,
        "exc_text": None,
        "stack_info": None,
    }
    return logging.makeLogRecord(record.__dict__ | shown)


class TextFormatter(logging.Formatter):
    """One line for each record; the lines of a traceback are marked as such."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        time = datetime.fromtimestamp(record.created, tz=UTC).astimezone()
        head = f"{time:%Y-%m-%d %H:%M:%S} {record.levelname.lower():7} {record.name}: "
        lines = [head + escape(record.getMessage())]
        lines += [f"  | {escape(line)}" for line in _trace(self, record).splitlines()]
        return "\n".join(lines)


class JSONFormatter(logging.Formatter):
    """One JSON object for each record, with the `extra` fields of the call."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as JSON."""
        time = datetime.fromtimestamp(record.created, tz=UTC)
        entry = {
            "time": rfc3339(time, timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        if trace := _trace(self, record):
            entry["exception"] = trace
        return to_json(entry, ascii_only=True)


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)
