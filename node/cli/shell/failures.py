"""The list of files that failed, for the commands that go through many."""

import csv
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TextIO, TypeVar

from schema.text.harmless import in_list

if TYPE_CHECKING:
    from node.cli.shell.output import Output

_SHOWN = 5


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
        Where it is to be; a file that is there is replaced.

    Attributes
    ----------
    first
        A few of them, to be shown.
    problem
        Why it could not be written; empty unless that happened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
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
                # names that are no UTF-8 are written as they are
                self._file = self._draft.open(
                    "w", encoding="utf-8", errors="surrogateescape", newline=""
                )
                csv.writer(self._file).writerow(["path", "kind", "reason"])
            row = (one.path, one.why.value, one.reason)
            csv.writer(self._file).writerow(map(in_list, row))
        except OSError as error:
            self.problem = f"{self._draft}: {error.strerror}"

    def finish(self) -> Path | None:
        """Put the list in its place; None when there is none."""
        if self._file is None:
            return None
        try:
            self._file.close()
            self._draft.replace(self._path)
        except OSError as error:
            self.problem = self.problem or f"{self._path}: {error.strerror}"
            return None
        return self._path

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
