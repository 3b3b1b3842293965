"""The list of files that failed, for the commands that go through many."""

import csv
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TextIO, TypeVar

from node.cli.shell.options import needs_its_folder
from schema.text.harmless import in_list

if TYPE_CHECKING:
    from node.cli.shell.output import Output
    from schema.dumping.drafts import Drafts

_SHOWN = 5
_HEADING = ("path", "kind", "reason")


class Failed(Protocol):
    """A file that failed: where it is, and why, as a word and in words."""

    @property
    def path(self) -> str:
        """Where it is."""

    @property
    def why(self) -> StrEnum:
        """The word."""

    @property
    def reason(self) -> str:
        """The words."""


F = TypeVar("F", bound=Failed)


class FailedList(Generic[F]):
    """The list of files that failed: made with the first of them, in place when it is whole.

    Parameters
    ----------
    path
        Where it is to be; a list of an earlier run that is there is replaced.

    Raises
    ------
    UsageError
        Another file is there, which may be anything, an image for example; or there is no folder
        for it.

    Attributes
    ----------
    first
        A few of them, to be shown.
    problem
        Why it could not be written; empty unless that happened.
    """

    def __init__(self, path: Path) -> None:
        needs_its_folder("--list", path)
        if not _is_free(path):
            from node.errors import UsageError

            raise UsageError(
                f"--list {path}: this file is there already, and is no list of an earlier run; name"
                " another one"
            )
        self._path = path
        self._drafts: Drafts | None = None
        self._file: TextIO | None = None
        self.first: list[F] = []
        self.problem = ""

    def add(self, one: F) -> None:
        """List a file; a list that cannot be written is no reason to stop."""
        if len(self.first) < _SHOWN:
            self.first.append(one)
        if self.problem:
            return
        try:
            if self._file is None:
                self._file = self._opened()
                csv.writer(self._file).writerow(_HEADING)
            row = (one.path, one.why.value, one.reason)
            csv.writer(self._file).writerow(map(in_list, row))
        except OSError as error:
            self.problem = f"{self._path}: {error.strerror}"

    def finish(self) -> Path | None:
        """Put the list in its place; None when there is none."""
        if self._drafts is None:
            return None
        try:
            if self._file is not None:
                self._file.close()
            if not self.problem:
                self._drafts.finish()
        except OSError as error:
            self.problem = self.problem or f"{self._path}: {error.strerror}"
        finally:
            self._drafts.close()
        return None if self.problem else self._path

    def _opened(self) -> TextIO:
        from schema.dumping.drafts import Drafts

        self._drafts = Drafts(self._path.parent, self._path.name)
        self._drafts.start()
        # names that are no UTF-8 are written as they are
        return self._drafts.path(self._path.name).open(
            "w", encoding="utf-8", errors="surrogateescape", newline=""
        )

    def tell(
        self, output: "Output", listed: Path | None, *, what: str, name: Callable[[F], str]
    ) -> None:
        """Say where the list is, or why there is none, and show the first of the files.

        Parameters
        ----------
        listed
            What `finish` returned.
        what
            What is in it, with its verb: "the failed files are".
        name
            Returns what one of them is called.
        """
        if listed is not None:
            output.print(f"{what} listed in {listed}")
        elif self.problem:
            output.note(f"{what} not listed: {self.problem}")
        for one in self.first:
            output.note(f"  {name(one)}: {one.reason}")


def _is_free(path: Path) -> bool:
    """Tell whether a list may be written: where there is no file, or an earlier list."""
    try:
        if not path.is_file():
            return True
        with path.open("rb") as file:
            return file.readline(80).strip() in (b"", ",".join(_HEADING).encode())
    except OSError:  # writing will say why
        return True
