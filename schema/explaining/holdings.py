"""What of a study is here, how it came, what is missing of it, and what is in quarantine."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.explaining.story import MissingSeries, Sent, SetAside
from schema.moving.listing import Listing
from schema.tables.ledger import Quarantined
from schema.tables.models import Image, Study, StudyFind
from schema.tables.projects import Project, ProjectStudy
from schema.tables.sources import StudySource


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptImage:
    """An image of the index, as far as its whereabouts go; the columns of `images`."""

    image_uid: str
    series_uid: str | None
    filepath: str | None
    size: int | None
    source: str | None
    source_address: str | None
    attempt_id: int | None
    received_on: datetime | None
    node: str | None
    storage_id: str | None

    @property
    def lost(self) -> bool:
        """Whether it had a file that is known to be gone."""
        return self.filepath is None and self.size is not None


_COLUMNS = (
    *("image_uid", "series_uid", "filepath", "size", "source", "source_address"),
    *("attempt_id", "received_on", "node", "storage_id"),
)


async def read_images(session: AsyncSession, study_uid: str) -> list[KeptImage]:
    """Return the images that the index has of a study."""
    query = select(*(getattr(Image, name) for name in _COLUMNS)).where(Image.study_uid == study_uid)
    rows = await session.execute(query)
    return [KeptImage(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def how_they_came(images: Sequence[KeptImage]) -> tuple[Sent, ...]:
    """Return images by who has sent them, and for which attempt; the first to come first."""
    groups: dict[tuple[str, str, int], list[KeptImage]] = defaultdict(list)
    for one in images:
        key = (one.source or "", one.source_address or "", one.attempt_id or 0)
        groups[key].append(one)
    sent = []
    for several in groups.values():
        moments = sorted(one.received_on for one in several if one.received_on is not None)
        first = several[0]
        sent.append(
            Sent(
                source=first.source,
                address=first.source_address,
                attempt_id=first.attempt_id,
                images=len(several),
                bytes=sum(one.size or 0 for one in several),
                first_on=moments[0] if moments else None,
                last_on=moments[-1] if moments else None,
            )
        )
    return tuple(sorted(sent, key=_place))


def _place(sent: Sent) -> tuple[str, str]:
    """Return what the order goes by: what was parsed comes first."""
    return "" if sent.first_on is None else sent.first_on.isoformat(), sent.source or ""


def what_is_missing(
    listings: Mapping[str, Listing], here: Collection[str]
) -> tuple[MissingSeries, ...]:
    """Return what PACSs list and is not here, by PACS and series.

    Parameters
    ----------
    here
        SOP Instance UIDs.
    """
    missing = []
    for peer, listing in sorted(listings.items()):
        for uid, series in sorted(listing.series.items()):
            left = tuple(sorted(set(series.images).difference(here)))
            if left:
                missing.append(
                    MissingSeries(
                        peer=peer,
                        series_uid=uid,
                        modality=series.modality,
                        listed=len(series.images),
                        images=left,
                    )
                )
    return tuple(missing)


async def read_quarantine(
    session: AsyncSession, *, study_uid: str | None = None, image_uid: str | None = None
) -> tuple[SetAside, ...]:
    """Return what is in quarantine of a study, or of an image."""
    wanted: ColumnElement[bool] = Quarantined.study_uid == study_uid
    if image_uid is not None:
        wanted = Quarantined.sop_instance_uid == image_uid
    query = select(Quarantined).where(wanted).order_by(Quarantined.id)
    return tuple(
        SetAside(
            id=row.id,
            kind=row.kind,
            reason=row.reason,
            sop_instance_uid=row.sop_instance_uid,
            source=row.source,
            received_on=row.received_on,
            filepath=row.filepath,
        )
        for row in await session.scalars(query)
    )


async def read_accessions(session: AsyncSession, study_uid: str) -> set[str]:
    """Return the accession numbers of a study, whoever says them."""
    queries = (
        select(StudyFind.accession_number).where(StudyFind.study_uid == study_uid),
        select(StudySource.accession_number)
        .join(StudyFind, StudyFind.id == StudySource.study_find_id)
        .where(StudyFind.study_uid == study_uid),
        select(Study.accession_number).where(Study.study_uid == study_uid),
    )
    found: set[str | None] = set()
    for query in queries:
        found.update(await session.scalars(query))
    return {number for number in found if number}


async def read_projects(
    session: AsyncSession, study_uid: str, accessions: Collection[str]
) -> tuple[str, ...]:
    """Return the names of the projects that a study belongs to, by either of its keys."""
    query = (
        select(Project.name)
        .join(ProjectStudy, ProjectStudy.project_id == Project.id)
        .where(
            or_(
                ProjectStudy.study_uid == study_uid,
                ProjectStudy.accession_number.in_(sorted(accessions)),
            )
        )
        .distinct()
    )
    return tuple(sorted(await session.scalars(query)))
