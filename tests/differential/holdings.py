"""What is held, looked up by the entities of an answer."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from node.dicom.querying.levels import UNIQUE_KEYS, Level
from node.simulator.archive import SimulatedArchive
from node.simulator.instances import describe
from schema import Database, add_images, read_record
from schema.header.dicomjson import read_header
from schema.header.header import Header
from tests.differential.asking import texts_by_tag, unique_of
from tests.differential.corpus import pictures

_BATCH = 1000

Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image that is held."""

    file: bytes
    header: Header
    dataset: Dataset


class Holdings:
    """A corpus, and what its entities have."""

    def __init__(self, count: int, *, seed: int = 0) -> None:
        self.images: Sequence[Image] = [
            Image(file=one.file, header=read_header(one.file), dataset=one.dataset)
            for one in pictures(count, seed=seed)
        ]
        self._of: dict[Level, dict[str, list[Image]]] = {}
        for level, keyword in UNIQUE_KEYS.items():
            images = self._of[level] = defaultdict(list)
            for image in self.images:
                images[unique_of(image.header, keyword)].append(image)
        self._known: dict[tuple[Level, str, str], frozenset[Texts]] = {}

    @property
    def datasets(self) -> list[Dataset]:
        """The headers."""
        return [image.dataset for image in self.images]

    def values(self, level: Level, unique: str, keyword: str) -> frozenset[Texts]:
        """Return the values of an attribute that an entity's images have, each once."""
        key = (level, unique, keyword)
        if key not in self._known:
            images = self._of[level].get(unique, ())
            self._known[key] = frozenset(
                texts_by_tag(image.header, keyword, "\0") for image in images
            )
        return self._known[key]

    async def index(self, database: Database) -> None:
        """Put all of it into a database."""
        for begin in range(0, len(self.images), _BATCH):
            records = [read_record(one.file) for one in self.images[begin : begin + _BATCH]]
            async with database.begin() as session:
                await add_images(session, records)

    def archive(self, order: Sequence[str]) -> SimulatedArchive:
        """Return all of it as a simulator holds it.

        Parameters
        ----------
        order
            SOP Instance UIDs: the first image of an entity stands for it.
        """
        files = {image.dataset.SOPInstanceUID: image.file for image in self.images}
        archive = SimulatedArchive()
        for uid in order:
            archive.add(describe(io.BytesIO(files[uid]), Path()))
        return archive
