"""Check a manifest: the manifest itself, the files that it lists, and what the index has by now."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import BinaryIO

from node.errors import StorageError
from node.ops.manifest.fault import Differing, ManifestFault
from node.ops.manifest.ordered import in_order
from node.ops.manifest.written import About, DigestLine, ManifestFiles, read_line, sha256_of
from schema.parsing.extract import file_digest
from schema.parsing.scan import reason_of

_PAGE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What became of a check, so far.

    Attributes
    ----------
    listed
        How many images the manifest says it has; None where it does not say so.
    images
        How many of them have been looked at.
    whole, bytes
        The files that are as they were, and their bytes.
    faults
        What is not, by the values of `ManifestFault`.
    seconds
        How long it took.
    """

    listed: int | None = None
    images: int = 0
    whole: int = 0
    bytes: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        """How much differs."""
        return sum(self.faults.values())


class Check:
    """One check. `report` may be asked for at any time; `run` is called once, after `read_about`.

    Parameters
    ----------
    threads
        How many files are read at once.
    watch
        Called now and then with what has been done so far.
    found
        Called for each thing that is not as it should be.
    """

    def __init__(
        self,
        files: ManifestFiles,
        *,
        threads: int,
        watch: Callable[[CheckReport], None] = lambda _: None,
        found: Callable[[Differing], None] = lambda _: None,
    ) -> None:
        self._files = files
        self._threads = threads
        self._watch = watch
        self._found = found
        self._about: About | None = None
        self._tally: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._started = time.monotonic()

    def report(self) -> CheckReport:
        """Return what has been done so far."""
        return CheckReport(
            listed=self._about.images if self._about else None,
            faults=dict(self._faults),
            seconds=time.monotonic() - self._started,
            **self._tally,
        )

    def differs(self, path: str, why: ManifestFault, reason: str) -> None:
        """Count and tell something that is not as it should be."""
        self._faults[why.value] += 1
        self._found(Differing(path=path, why=why, reason=reason))

    async def read_about(self, sha256: str | None = None) -> About | None:
        """Check the manifest itself, and return what it says it is of; None where nobody knows.

        Parameters
        ----------
        sha256
            What its JSON document must have, as its creation has told.

        Raises
        ------
        StorageError
            There is no list, or it cannot be read.
        """
        files = self._files
        try:
            listed = await asyncio.to_thread(sha256_of, files.listed)
        except OSError as error:
            raise StorageError(f"{files.listed}: {reason_of(error)}") from error
        try:
            text = await asyncio.to_thread(files.about.read_bytes)
            if sha256 is not None and await asyncio.to_thread(sha256_of, files.about) != sha256:
                self._manifest(files.about, "its SHA-256 is not the one that was given")
            self._about = About.read(text)
        except OSError as error:
            reason = f"{reason_of(error)}; whether the list was changed cannot be told"
            self._manifest(files.about, reason)
        except ValueError as error:
            self._manifest(files.about, str(error))
        if self._about is not None:
            if listed != self._about.list_sha256:
                self._manifest(files.listed, f"it is not as {files.about.name} has it")
            await self._check_details(self._about)
        return self._about

    async def run(self, base: Path) -> None:
        """Read all files that the list names.

        Parameters
        ----------
        base
            The folder that paths start from.
        """
        results = in_order(
            self._lines(),
            lambda line: self._compared(base, line),
            threads=self._threads,
            name="manifest",
        )
        async with aclosing(results):
            async for portion in results:
                for line, result in portion:
                    self._tally["images"] += 1
                    if isinstance(result, int):
                        self._tally["whole"] += 1
                        self._tally["bytes"] += result
                    else:
                        self.differs(line.path, *result)
                self._watch(self.report())

    async def _check_details(self, about: About) -> None:
        details = self._files.details
        try:
            if await asyncio.to_thread(sha256_of, details) != about.details_sha256:
                self._manifest(details, f"it is not as {self._files.about.name} has it")
        except OSError as error:
            self._manifest(details, reason_of(error))

    async def _lines(self) -> AsyncGenerator[list[DigestLine], None]:
        with await asyncio.to_thread(self._files.listed.open, "rb") as file:
            number = 0
            while lines := await asyncio.to_thread(_next_lines, file):
                page = []
                for line in lines:
                    number += 1
                    try:
                        page.append(read_line(line))
                    except ValueError as error:
                        self._manifest(self._files.listed, f"line {number}: {error}")
                yield page

    def _manifest(self, path: Path, reason: str) -> None:
        self.differs(str(path), ManifestFault.MANIFEST, reason)

    @staticmethod
    def _compared(base: Path, line: DigestLine) -> int | tuple[ManifestFault, str]:
        """Return the size of a file that is as it was; or what is wrong with it."""
        path = PurePath(line.path)
        if path.is_absolute() or ".." in path.parts:
            return ManifestFault.OUTSIDE, "its path leads out of the folder"
        try:
            digest = file_digest(str(base / path))
            size = (base / path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return ManifestFault.MISSING, "there is no such file"
        except (OSError, ValueError) as error:
            said = reason_of(error) if isinstance(error, OSError) else str(error)
            return ManifestFault.UNREADABLE, said
        if digest != line.sha256:
            return ManifestFault.CHANGED, "its SHA-256 is another one"
        return size


def _next_lines(file: BinaryIO) -> Sequence[bytes]:
    return list(itertools.islice(file, _PAGE))
