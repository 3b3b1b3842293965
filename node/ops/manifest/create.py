"""Make a manifest: read each file of a selection once, hold it against its row, write it down."""

import hashlib
import os
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from node.ops.checking.home import Holder, Home
from node.ops.manifest.fault import Differing, ManifestFault
from node.ops.manifest.ordered import in_order
from node.ops.manifest.written import (
    About,
    DigestLine,
    ManifestFiles,
    details_heading,
    details_line,
)
from node.storage.inspect import Fault, Inspected, inspect
from schema import Database
from schema.inventory import PAGE, Selection, count_held
from schema.project.listing import ListedImage, keys_in_order, listed_page, studies_in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateReport:
    """What became of a manifest, so far.

    Attributes
    ----------
    selected
        How many images the selection had at the beginning.
    images, studies, bytes
        What is in the manifest.
    faults
        How many images cannot be in it, by the values of `ManifestFault`.
    sha256
        Of its JSON document, which vouches for all of it; empty before it is whole.
    seconds
        How long it took.
    """

    selected: int = 0
    images: int = 0
    studies: int = 0
    bytes: int = 0
    faults: Mapping[str, int] = field(default_factory=dict)
    sha256: str = ""
    seconds: float = 0.0

    @property
    def wrong(self) -> int:
        """How many images cannot be in it."""
        return sum(self.faults.values())


async def pages_in_order(
    database: Database, selection: Selection
) -> AsyncGenerator[list[ListedImage], None]:
    """Yield the images of a selection in the order of manifests, page by page."""
    async with database.session() as session:
        batches = await studies_in_order(session, selection)
    for batch in batches:
        async with database.session() as session:
            keys = await keys_in_order(session, batch)
        for start in range(0, len(keys), PAGE):
            async with database.session() as session:
                yield await listed_page(session, keys[start : start + PAGE])


class Creation:
    """One manifest. `report` may be asked for at any time, `write` is called once.

    Parameters
    ----------
    home
        This node's storage directory: whose a file is.
    base
        The folder that paths start from, absolute.
    threads
        How many files are read at once.
    watch
        Called now and then with what has been done so far.
    found
        Called for each image that cannot be in it.
    """

    def __init__(
        self,
        database: Database,
        *,
        home: Home,
        base: Path,
        selection: Selection,
        project: str | None,
        threads: int,
        watch: Callable[[CreateReport], None] = lambda _: None,
        found: Callable[[Differing], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._home = home
        self._base = base
        self._selection = selection
        self._project = project
        self._threads = threads
        self._watch = watch
        self._found = found
        self._selected = 0
        self._study: str | None = None
        self._tally: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._sha256 = ""
        self._started = time.monotonic()

    def report(self) -> CreateReport:
        """Return what has been done so far."""
        return CreateReport(
            selected=self._selected,
            faults=dict(self._faults),
            sha256=self._sha256,
            seconds=time.monotonic() - self._started,
            **self._tally,
        )

    async def write(self, files: ManifestFiles) -> CreateReport:
        """Read all images, and write the three files; what is there is replaced.

        Where an image cannot be in it, the manifest is not whole, and nobody should use it.

        Raises
        ------
        OSError
            They cannot be written.
        DatabaseUnavailable
            When the database is away.
        StorageError
            The id of the storage directory cannot be read.
        """
        self._home.identify()
        async with self._database.session() as session:
            self._selected = await count_held(session, self._selection)
        with files.listed.open("wb") as listed, files.details.open("wb") as details:
            lists = _Digested(listed), _Digested(details)
            lists[1].write(details_heading())
            pages = pages_in_order(self._database, self._selection)
            results = in_order(pages, self._inspected, threads=self._threads, name="manifest")
            async with aclosing(results):
                async for portion in results:
                    for image, result in portion:
                        self._add(image, result, *lists)
                    self._watch(self.report())
        about = About(
            project=self._project,
            studies=() if self._project else tuple(sorted(self._selection.study_uids)),
            directory=None if self._base == self._home.directory else str(self._base),
            images=self._tally["images"],
            size=self._tally["bytes"],
            list_sha256=lists[0].digest.hexdigest(),
            details_sha256=lists[1].digest.hexdigest(),
        ).written()
        files.about.write_bytes(about)
        self._sha256 = hashlib.sha256(about).hexdigest()
        return self.report()

    def _inspected(self, image: ListedImage) -> Inspected | Differing:
        held = image.held
        if held.filepath is None and not held.lost:
            return _differing(image, ManifestFault.MISSING, "it was indexed without a file")
        if held.filepath is not None:
            if not Path(held.filepath).is_relative_to(self._base):
                reason = f"it lies outside of {self._base}, from which paths start"
                return _differing(image, ManifestFault.OUTSIDE, reason)
            if self._home.shadows(held):
                reason = "it lies in another node's storage directory, which is not this one"
                return _differing(image, ManifestFault.OUTSIDE, reason)
        found = inspect(held, whole=True)
        if found.fault is Fault.MISSING and self._home.holder(held) is Holder.ANOTHERS:
            reason = f"{found.reason}; it is a file of the node {held.node}"
            return _differing(image, ManifestFault.MISSING, reason)
        if found.fault is not None:
            return _differing(image, ManifestFault(found.fault.value), found.reason)
        return found

    def _add(
        self,
        image: ListedImage,
        result: Inspected | Differing,
        listed: "_Digested",
        details: "_Digested",
    ) -> None:
        if isinstance(result, Differing):
            self._faults[result.why.value] += 1
            self._found(result)
            return
        path = os.path.relpath(image.held.filepath or "", self._base)
        line = DigestLine(result.file_sha256 or "", path)
        listed.write(line.written())
        dataset = result.sha256 or ""
        details.write(details_line(line, image, size=result.size, dataset_sha256=dataset))
        self._tally["images"] += 1
        self._tally["bytes"] += result.size
        self._tally["studies"] += image.key.study_uid != self._study
        self._study = image.key.study_uid


class _Digested:
    """A file that is being written, with its digest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self.digest.update(data)


def _differing(image: ListedImage, why: ManifestFault, reason: str) -> Differing:
    return Differing(path=image.held.filepath or image.key.image_uid, why=why, reason=reason)
