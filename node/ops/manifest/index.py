"""Compare a manifest with the index: which images have come since, and which have gone."""

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

from node.ops.manifest.check import Check
from node.ops.manifest.fault import ManifestFault
from node.ops.manifest.written import About, ManifestFiles, read_details
from node.ops.projects import project_named
from schema import Database
from schema.inventory import Selection
from schema.project.listing import ImageKey, keys_in_order, studies_in_order

_PAGE = 512
_LAST: tuple[ImageKey, str] | None = None


async def selection_of(database: Database, about: About) -> Selection:
    """Return what a manifest is of, as the index has it by now.

    Raises
    ------
    UsageError
        Its project is not there any more.
    """
    if about.project is not None:
        return Selection(project_id=(await project_named(database, about.project)).id)
    return Selection(study_uids=about.studies)


async def compare_with_index(
    check: Check, files: ManifestFiles, database: Database, selection: Selection
) -> None:
    """Tell a check of the images that only the manifest has, or only the index.

    Both are read side by side, in one order, so that neither has to be in memory.
    """
    try:
        file = await asyncio.to_thread(files.details.open, encoding="utf-8", newline="")
    except OSError:
        return  # that it is not there has been told
    with file:
        ours, theirs = _keys(database, selection), _rows(read_details(file))
        try:
            async with aclosing(ours), aclosing(theirs):
                await _merge(check, ours, theirs)
        except ValueError as error:
            check.differs(str(files.details), ManifestFault.MANIFEST, str(error))


async def _merge(
    check: Check, ours: AsyncIterator[ImageKey], theirs: AsyncIterator[tuple[ImageKey, str]]
) -> None:
    here, there = await anext(ours, None), await anext(theirs, _LAST)
    while here is not None or there is not None:
        if there is None or (here is not None and here < there[0]):
            assert here is not None, "one of the two is left"  # noqa: S101
            check.differs(
                here.image_uid, ManifestFault.ADDED, f"an image of the study {here.study_uid}"
            )
            here = await anext(ours, None)
        elif here is None or there[0] < here:
            check.differs(there[1], ManifestFault.GONE, "the index does not have its image")
            there = await anext(theirs, _LAST)
        else:
            here, there = await anext(ours, None), await anext(theirs, _LAST)


async def _keys(database: Database, selection: Selection) -> AsyncGenerator[ImageKey, None]:
    async with database.session() as session:
        batches = await studies_in_order(session, selection)
    for batch in batches:
        async with database.session() as session:
            keys = await keys_in_order(session, batch)
        for key, _ in keys:
            yield key


async def _rows(
    rows: Iterator[tuple[ImageKey, str]],
) -> AsyncGenerator[tuple[ImageKey, str], None]:
    while page := await asyncio.to_thread(lambda: list(itertools.islice(rows, _PAGE))):
        for row in page:
            yield row
