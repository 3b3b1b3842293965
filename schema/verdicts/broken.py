"""Verdicts that do not hold any more: of a complete study, images are not in the index.

What a verdict rested on is kept: how many images (`study_sources.evidence_images`), and where the
PACS lists them, which (`source_listings`). It holds while

- each image that the PACS lists is here, of what the policy wanted where there is one;
- as many images are here as the verdict rested on, whoever has sent them;
- where nothing is listed, as many are here that attempts at that PACS have brought, or as many of
  the study as there were after the last attempts.

So an image that is missing is known by name where there is a list, whatever else has come; and by
number where there is none: there, another image that came later may stand in for it. A study that
was retrieved before evidence was kept, or that no PACS has answered, has nothing to be compared
with.

It is read in pages: a study's rows by the key of `studies_find`, those of its sources and lists by
their indexes over that key, and its images, a row for each study, by the index over `study_uid`.
Each row is read once, and nothing is sorted: it costs as much as counting the images does, and
memory does not grow.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from schema.choosing.policy import Policy
from schema.moving.listing import Listing
from schema.tables.models import Image, StudyFind
from schema.tables.sources import SourceListing, StudySource
from schema.tables.statements import among
from schema.tables.views import project_members
from schema.text.words import are, counted
from schema.verdicts.brought import brought_from, images_afterwards

AT_ONCE = 100
"""Studies whose images are compared at once."""

_BETWEEN = "\\"
"""Between UIDs: no value of DICOM has one (PS3.5 6.2)."""

NO_POLICIES: Mapping[str, Policy] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenVerdict:
    """A study that was complete, and of which images are not here any more.

    Attributes
    ----------
    retrieved_on
        When it was complete (naive UTC).
    rested_on
        How many images that rested on.
    lacking
        How many of them are not here any more, at least.
    missing
        Which, as far as they are known by name: SOP Instance UIDs.
    """

    study_uid: str
    retrieved_on: datetime
    rested_on: int
    lacking: int
    missing: tuple[str, ...] = ()

    def __str__(self) -> str:
        on = self.retrieved_on.isoformat(sep=" ", timespec="seconds")
        return f"it was complete on {on} UTC; {self.short}"

    @property
    def short(self) -> str:
        """What is not here any more, in words."""
        images = counted(self.rested_on, "image")
        return f"{self.lacking} of {images} {are(self.lacking)} not here any more"

    def without(self, found: Collection[str]) -> "BrokenVerdict":
        """Return what is left of it where these images are here after all."""
        missing = tuple(uid for uid in self.missing if uid not in found)
        least = len(missing) if self.missing else 0
        return replace(self, missing=missing, lacking=max(self.lacking - len(found), least, 0))


@dataclass(slots=True)
class _Basis:
    """What a verdict rested on, over all PACSs that have the study: the unlisted by PACS."""

    least: int = 0
    listed: set[str] = field(default_factory=set)
    parts: list[tuple[int, frozenset[str]]] = field(default_factory=list)
    unlisted: dict[str, int] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How many there were at least."""
        return max(self.least, len(self.listed), sum(self.unlisted.values()))


async def retrieved_page(
    session: AsyncSession,
    *,
    after: int = 0,
    study_uids: Collection[str] = (),
    project_id: int | None = None,
    limit: int = AT_ONCE,
) -> list[int]:
    """Return the keys of the next complete studies, in their order; empty behind the last one.

    Parameters
    ----------
    after
        The key of the last one that has been seen.
    study_uids, project_id
        Only these, and only those of this project.
    """
    query = select(StudyFind.id).where(StudyFind.id > after, StudyFind.retrieved_on.is_not(None))
    if study_uids:
        query = query.where(among(session, StudyFind.study_uid, sorted(study_uids)))
    if project_id is not None:
        of_project = select(project_members.c.study_uid).where(
            project_members.c.project_id == project_id
        )
        query = query.where(StudyFind.study_uid.in_(of_project))
    return list(await session.scalars(query.order_by(StudyFind.id).limit(limit)))


async def broken_verdicts(
    session: AsyncSession, keys: Collection[int], *, policies: Mapping[str, Policy] = NO_POLICIES
) -> dict[int, BrokenVerdict]:
    """Return the verdicts that do not hold any more, by the keys of the studies.

    Parameters
    ----------
    keys
        Of `studies_find`; those that are not complete have no verdict.
    policies
        What is wanted from each PACS, by its name. Where a study was judged under another policy,
        only the number of the wanted images is known, not which they were.
    """
    broken: dict[int, BrokenVerdict] = {}
    ordered = sorted(keys)
    for start in range(0, len(ordered), AT_ONCE):
        broken |= await _some(session, ordered[start : start + AT_ONCE], policies)
    return broken


async def _some(
    session: AsyncSession, keys: Sequence[int], policies: Mapping[str, Policy]
) -> dict[int, BrokenVerdict]:
    query = (
        select(
            StudyFind.id,
            StudyFind.study_uid,
            StudyFind.retrieved_on,
            StudySource.peer,
            StudySource.policy,
            StudySource.evidence_images,
            SourceListing.listing,
        )
        .join(StudySource, StudySource.study_find_id == StudyFind.id)
        .outerjoin(SourceListing, SourceListing.source_id == StudySource.id)
        .where(
            among(session, StudyFind.id, keys),
            StudyFind.retrieved_on.is_not(None),
            StudySource.verified_on.is_not(None),
            StudySource.evidence_images.is_not(None),
        )
    )
    studies: dict[int, tuple[str, datetime]] = {}
    bases: dict[int, _Basis] = {}
    for key, uid, on, peer, policy, images, document in await session.execute(query):
        studies[key] = uid, on
        basis = bases.setdefault(key, _Basis())
        basis.least = max(basis.least, images)
        if document is None:
            basis.unlisted[peer] = images
            continue
        listing = Listing.of_document(document)
        wanted = policies.get(peer)
        if policy is None:
            basis.listed |= listing.images
        elif str(wanted) == policy and wanted is not None:
            basis.listed |= listing.part(wanted).images
        else:
            basis.parts.append((images, listing.images))
    here = await _here(session, [uid for uid, _ in studies.values()])
    by_number = {key: studies[key][0] for key, basis in bases.items() if basis.unlisted}
    brought = await brought_from(session, by_number.values())
    after = await images_afterwards(session, by_number)
    broken = {}
    for key, (uid, on) in studies.items():
        was, of_study = bases[key], here.get(uid, frozenset())
        gone = after.get(key, 0) - len(of_study)
        short = [
            min(gone, images - brought.get((uid, peer), 0)) for peer, images in was.unlisted.items()
        ]
        one = _compared(uid, on, was, of_study, short)
        if one.lacking:
            broken[key] = one
    return broken


def _compared(
    uid: str, on: datetime, basis: _Basis, here: frozenset[str], short: Sequence[int]
) -> BrokenVerdict:
    missing = basis.listed - here
    short = [*short, basis.least - len(here), len(missing)]
    short += [images - len(listed & here) for images, listed in basis.parts]
    return BrokenVerdict(
        study_uid=uid,
        retrieved_on=on,
        rested_on=basis.images,
        lacking=max(0, *short),
        missing=tuple(sorted(missing)),
    )


async def _here(session: AsyncSession, uids: Collection[str]) -> dict[str, frozenset[str]]:
    """Return the SOP Instance UIDs that are here of studies, by Study Instance UID."""
    if not uids:
        return {}
    named: Any = func.aggregate_strings(Image.image_uid, _BETWEEN)  # a row for each study, not each
    query = (
        select(Image.study_uid, named)
        .where(
            among(session, Image.study_uid, sorted(uids)),
            or_(Image.filepath.is_not(None), Image.size.is_(None)),
        )
        .group_by(Image.study_uid)
    )
    rows = await session.execute(query)
    return {uid: frozenset(images.split(_BETWEEN)) for uid, images in rows if uid is not None}
