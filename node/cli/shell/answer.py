"""The one JSON document of a command that was asked for JSON, whatever becomes of the command.

1. `answering` opens an answer for the length of a command line, before anything can fail.
2. `Output.document` gives the result to the answer that is open.
3. `finish` writes it, with the failure in it where there was one: one document, never two.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from node.cli.shell.exits import Exit
from schema.text.document import plain, to_json

_JSON = "--json"
_NOTHING = object()


class JsonAnswer:
    """What a command line will have answered in JSON.

    Parameters
    ----------
    arguments
        The command line: it says whether JSON is wanted also where it cannot be understood.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        options = list(arguments)
        if "--" in options:
            options = options[: options.index("--")]
        self._wanted = _JSON in options
        self._document: object = _NOTHING

    def take(self, document: object) -> None:
        """Keep what the command has to say; the last word counts."""
        self._document = document

    def finish(self, stream: TextIO, *, code: int, message: str = "") -> None:
        """Write the document, where there is one to write.

        Parameters
        ----------
        stream
            Where to.
        code
            The command's exit code.
        message
            Why it failed; empty where the command itself has said how it ended.
        """
        document = self._document
        if document is _NOTHING and not (self._wanted and code):
            return
        self._document = _NOTHING
        if document is _NOTHING:
            message = message or "it failed; the standard error stream says why"
        if message:
            document = _with_error(document, code, message)
        write(document, stream)


_open: ContextVar[JsonAnswer | None] = ContextVar("answer", default=None)


@contextmanager
def answering(arguments: Sequence[str]) -> Iterator[JsonAnswer]:
    """Open an answer for the length of the block."""
    answer = JsonAnswer(arguments)
    token = _open.set(answer)
    try:
        yield answer
    finally:
        _open.reset(token)


def open_answer() -> JsonAnswer | None:
    """Return the answer of the command line that is being run; None where none is."""
    return _open.get()


def write(document: object, stream: TextIO) -> None:
    """Write a document to a stream, in what the stream can speak."""
    speaks = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    stream.write(f"{to_json(document, indent=2, ascii_only=speaks != 'utf8')}\n")


def failure(code: int, message: str) -> dict[str, object]:
    """Return what went wrong, as every document has it under `error`."""
    return {"kind": _kind(code), "message": message, "exit_code": int(code)}


def _with_error(document: object, code: int, message: str) -> dict[str, object]:
    error = failure(code, message)
    if document is _NOTHING:
        return {"error": error}
    said = plain(document)
    return {**(said if isinstance(said, Mapping) else {"result": said}), "error": error}


def _kind(code: int) -> str:
    return Exit(code).name.lower() if code in set(Exit) else Exit.FAILED.name.lower()
