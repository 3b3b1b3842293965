"""Where records go, and what it means when an image is there already."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from schema.errors import InvalidDicom
from schema.parsing.extract import dataset_digest
from schema.parsing.report import Verdict
from schema.parsing.scan import File, Passed, Why
from schema.record import ImageRecord

_REPLACEMENT = "\ufffd"


class Sink(Protocol):
    """Takes what was read: the index of a database, or a stream of text."""

    async def known(self, files: Sequence[File]) -> set[str]:
        """Return the paths of the files that need not be read again."""

    async def add(self, records: Sequence[ImageRecord]) -> list[Verdict | Passed]:
        """Keep records; return what became of each, in their order."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept under a SOP Instance UID."""

    filepath: str | None
    sha256: str | None
    size: int | None


def judge(record: ImageRecord, known: Known) -> Verdict | Passed:
    """Say what an image is whose SOP Instance UID is kept already; looks at the kept file.

    Equal digests of the datasets are the same image. Where a digest is missing, the kept
    file's is computed, or, when the record has none, the sizes decide.
    """
    path = record.filepath or ""
    if known.filepath == path:
        if _differ(record, known, known.sha256):
            return Passed(path, Why.CONFLICT, "the file has changed since it was indexed")
        return Verdict.KNOWN
    kept = known.filepath or ""
    there = os.path.isfile(kept)  # noqa: PTH113
    if not there and known.sha256 is None:
        return Verdict.RELOCATED  # nothing is left to compare with
    digest = known.sha256
    if digest is None and record.sha256 is not None:
        digest = _digest(kept)
    if _differ(record, known, digest):
        reason = f"another object with this SOP Instance UID is indexed, in {kept}"
        return Passed(path, Why.CONFLICT, reason)
    # A path with a character that could not be stored is not the path of the file.
    return Verdict.KNOWN if there or _REPLACEMENT in kept else Verdict.RELOCATED


def _differ(record: ImageRecord, known: Known, digest: str | None) -> bool:
    if record.sha256 is not None and digest is not None:
        return record.sha256 != digest
    return None not in (record.size, known.size) and record.size != known.size


def _digest(path: str) -> str | None:
    try:
        return dataset_digest(path)
    except (OSError, InvalidDicom):
        return None
