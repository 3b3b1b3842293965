"""The list of files that failed, for `dicom-node parse`."""

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from schema.parser import Passed


class FailedList:
    """The list of files that failed: made with the first of them, in place when it is whole.

    Parameters
    ----------
    path
        Where it is to be; a file that is there is replaced.

    Attributes
    ----------
    problem
        Why it could not be written; empty unless that happened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.getpid()}")
        self._file: TextIO | None = None
        self.problem = ""

    def add(self, one: "Passed") -> None:
        """List a file; a list that cannot be written is no reason to stop."""
        if self.problem:
            return
        try:
            if self._file is None:
                # names that are no UTF-8 are written as they are
                self._file = self._draft.open(
                    "w", encoding="utf-8", errors="surrogateescape", newline=""
                )
                csv.writer(self._file).writerow(["path", "kind", "reason"])
            csv.writer(self._file).writerow([one.path, one.why.value, one.reason])
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
