"""Records as text: CSV with a header, or one JSON array; written as they come.

The columns are those of the table `images`, without what only a database gives: the keys, and
the comparison with the other images of a series.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import orjson

from schema.parsing.report import Verdict
from schema.parsing.scan import File, Passed
from schema.parsing.seen import Seen
from schema.parsing.sink import verdict_on
from schema.record import ImageRecord
from schema.tables.rows import COLUMNS, row_of
from schema.text.document import plain
from schema.text.harmless import in_json_bytes, in_spreadsheet

_HEADER = (",".join(COLUMNS) + "\r\n").encode()


class TextSink:
    """Writes images to a stream, each once.

    Parameters
    ----------
    stream
        Where to; the caller closes it.
    form
        `csv` or `json`, in UTF-8. In CSV texts are quoted and NULL is an empty field; times
        are ISO 8601, with a space behind the date.
    safe
        CSV for spreadsheets: texts that would be run as formulas get an apostrophe in front.
        This changes the data.
    """

    def __init__(
        self, stream: BinaryIO, form: Literal["csv", "json"], *, safe: bool = False
    ) -> None:
        self._stream = stream
        self._safe = safe
        self._json = form == "json"
        self._first = True
        self._seen = Seen()

    async def known(self, files: Sequence[File]) -> set[str]:  # noqa: ARG002 - a sink's
        """Return nothing: every file is read."""
        return set()

    async def add(self, records: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        """Write images; return what became of each."""
        return await asyncio.to_thread(self._add, records)

    async def __aenter__(self) -> Self:
        self._write(b"[" if self._json else _HEADER)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._seen.close()
        if not isinstance(error, OSError):  # a stream that takes no more takes no end either
            self._write(b"\n]\n" if self._json else b"")
            self._stream.flush()

    def _add(self, records: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        verdicts: list[Verdict | Passed] = []
        fresh = []
        for record in records:
            verdict = self._judge(record)
            verdicts.append(verdict)
            if verdict is Verdict.INDEXED:
                fresh.append(record)
        if fresh:
            self._write(self._as_json(fresh) if self._json else self._as_csv(fresh))
        return verdicts

    def _judge(self, record: ImageRecord) -> Verdict | Passed:
        known = self._seen.get(record.image_uid)
        if known is None:
            self._seen.put(record)
            return Verdict.INDEXED
        verdict = verdict_on(record, known)
        return Verdict.KNOWN if verdict is Verdict.RELOCATED else verdict

    def _as_json(self, records: Sequence[ImageRecord]) -> bytes:
        rows = [orjson.dumps(_object(record)) for record in records]
        opening = b"\n" if self._first else b",\n"
        self._first = False
        return in_json_bytes(opening + b",\n".join(rows))

    def _as_csv(self, records: Sequence[ImageRecord]) -> bytes:
        text = in_spreadsheet if self._safe else str
        return "".join(_line(record, text) for record in records).encode()

    def _write(self, data: bytes) -> None:
        self._stream.write(data)


def _object(record: ImageRecord) -> dict[str, Any]:
    row: dict[str, Any] = plain(row_of(record) | {"meta": None})
    row["meta"] = orjson.Fragment(record.meta)
    return row


def _line(record: ImageRecord, text: Callable[[str], str]) -> str:
    return ",".join(_cell(value, text) for value in row_of(record).values()) + "\r\n"


def _cell(value: object, text: Callable[[str], str]) -> str:
    """Return a value as RFC 4180 has it; only NULL is a field without anything."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, bytes):
        value = value.decode()
    elif isinstance(value, datetime):
        value = value.isoformat(sep=" ")
    return '"' + text(str(value)).replace('"', '""') + '"'
