"""Tell the story of what a text names. It asks no peer, and changes nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from node.config import Config
from node.errors import StorageError, UsageError
from node.ops.explaining.doing import doings_now
from node.ops.explaining.following import Doings, Following, followings
from node.ops.overseeing.policies import policies_of
from node.storage.folders import count_spooled
from node.storage.identity import storage_id
from node.storage.inspect import glance, is_below
from schema import AsyncSession, Database
from schema.deciding.refused import refused_studies
from schema.explaining.holdings import KeptImage
from schema.explaining.images import is_series_of, read_image, read_series
from schema.explaining.inquiries import AskedByName
from schema.explaining.naming import Named, NameKind, what_is
from schema.explaining.parts import ImageRow, ImageStory, SeriesStory
from schema.explaining.questions import asked_by_accession
from schema.explaining.story import StudyHead, StudyStory
from schema.explaining.studies import StudyRead, read_heads, read_story
from schema.project.entries import is_study_uid, unless_uid
from schema.tables.columns import utcnow

_WILD = "*?\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFault:
    """A file that is not as its row says.

    Attributes
    ----------
    fault
        missing, changed or unreadable.
    """

    image_uid: str
    filepath: str
    fault: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """What the files of a study, or an image, are on the disk, by size alone.

    Attributes
    ----------
    looked_at
        How many were.
    elsewhere
        How many lie in another storage directory, which only its own node can look at.
    faults
        What is wrong.
    """

    looked_at: int = 0
    elsewhere: int = 0
    faults: tuple[FileFault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedStudy:
    """A study with its files, and what happens next."""

    story: StudyStory
    files: FileState = field(default_factory=FileState)
    next: tuple[Following, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What became of what a text names.

    Attributes
    ----------
    name
        What it names.
    heads
        The studies that it leads to, in short.
    studies
        Their stories: of one, or where all were asked for.
    series, image, files
        Of a series or an image, and of the files of these alone.
    names
        Of what leads to no study, taken for an accession number: what PACSs were asked for it.
    waiting
        Received objects that are not indexed yet; None when nobody can tell.
    complete
        Whether all of it is here.
    """

    name: Named
    heads: tuple[StudyHead, ...] = ()
    studies: tuple[ExplainedStudy, ...] = ()
    series: SeriesStory | None = None
    image: ImageStory | None = None
    files: FileState = field(default_factory=FileState)
    names: tuple[AskedByName, ...] = ()
    waiting: int | None = None
    complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Home:
    """The storage directory, and its id; None where it has none, or is not mounted."""

    directory: Path
    id: str | None

    def is_elsewhere(self, image: KeptImage) -> bool:
        """Tell whether the file of an image lies in another storage directory."""
        if self.id is None and is_below(image.filepath or "", self.directory):
            return False  # it should be there
        return image.storage_id not in (None, self.id)


async def explain(
    config: Config,
    database: Database,
    text: str,
    *,
    kind: NameKind | None = None,
    of_study: str | None = None,
    whole: bool = False,
) -> Explanation:
    """Say what became of what a text names.

    Parameters
    ----------
    kind
        What it is taken for; None: the first that it is.
    of_study
        The study of a series or an image that is not here: which PACS lists it, only that tells.
    whole
        Tell the stories of several studies, not of one alone.

    Raises
    ------
    UsageError
        The text has wildcards, or is empty; it is no UID, where it is to be that of a study; or
        `of_study` has no such series or image.
    DatabaseUnavailable
    """
    check_name(text)
    peers = list(config.peers)
    async with database.session() as session:
        name = await what_is(session, text, kind)
        if of_study is not None:
            name = await _part_of(session, name, check_name(of_study), peers)
        doings, now = await doings_now(config, session), utcnow()
        found = await _read(session, config, name, peers, whole=whole, doings=doings, now=now)
    if kind is NameKind.STUDY and not found.heads and (no_uid := unless_uid(name.text)):
        raise UsageError(f"nothing is known of the study {name.text}{no_uid}")
    return found


def check_name(text: str) -> str:
    """Return a text that may name something.

    Raises
    ------
    UsageError
        It has wildcards, or is empty.
    """
    if not text.strip():
        raise UsageError("explain needs a UID, an accession number or a Patient ID; it got ''")
    if any(one in text for one in _WILD):
        raise UsageError(
            f"{text!r} has wildcards, and explain takes one whole UID, accession number or "
            "Patient ID; `dicom-node status` lists studies"
        )
    return text.strip()


async def _part_of(session: AsyncSession, name: Named, study: str, peers: Sequence[str]) -> Named:
    """Return what a text names in a study: a series or an image that a PACS lists."""
    if name.kind in (NameKind.SERIES, NameKind.IMAGE) and study in name.studies:
        return name
    read = await read_story(session, study, peers)
    if is_series_of(read, name.text):
        return Named(text=name.text, kind=NameKind.SERIES, studies=(study,))
    if any(name.text in listing.images for listing in read.listings.values()):
        return Named(text=name.text, kind=NameKind.IMAGE, studies=(study,))
    raise UsageError(
        f"the study {study} has no series and no image {name.text}, as far as is known here: "
        "none is in the index, and no PACS lists it"
    )


async def _read(
    session: AsyncSession,
    config: Config,
    name: Named,
    peers: Sequence[str],
    *,
    whole: bool,
    doings: Doings,
    now: datetime,
) -> Explanation:
    waiting = await asyncio.to_thread(_waiting, config.storage.directory)
    uids = name.studies
    if name.kind is NameKind.NOTHING and is_study_uid(name.text):
        uids = (name.text,)
    policies = policies_of(config)
    heads = tuple(await read_heads(session, uids, policies=policies)) if uids else ()
    told = [head.study_uid for head in heads] if whole or len(heads) == 1 else []
    refused = await refused_studies(session, told, policies)
    reads = [await read_story(session, uid, peers, policies=policies) for uid in told]
    home = await asyncio.to_thread(_identity, config.storage.directory)
    patient = name.kind is NameKind.PATIENT
    series = image = None
    files = FileState()
    done = bool(heads) and all(head.complete and not head.lost for head in heads)
    if name.kind is NameKind.SERIES and reads:
        series = await read_series(session, name.text, reads[0])
        of_it = [one for one in reads[0].images if one.series_uid == name.text]
        files = await asyncio.to_thread(_look, of_it, home)
        missing = any(one.missing for one in series.listed if one.gone_on is None)
        done = bool(series.images) and not (series.lost or missing or files.faults)
        done = done and (bool(series.listed) or reads[0].story.study.complete)
    elif name.kind is NameKind.IMAGE:
        image = await read_image(session, name.text, reads[0] if reads else None)
        if image.row is not None:
            files = await asyncio.to_thread(_look, [_kept(image, image.row)], home)
        done = image.row is not None and not image.row.lost and not files.faults
    studies: list[ExplainedStudy] = []
    if series is None and image is None:
        studies += [
            await _explained(read, home, doings, now, refused.get(read.story.study.study_uid, {}))
            for read in reads
        ]
        done = done and not any(one.files.faults for one in studies)
    return Explanation(
        name=name,
        heads=heads,
        studies=tuple(studies),
        series=series,
        image=image,
        files=files,
        names=() if heads or patient else await asked_by_accession(session, peers, name.text),
        waiting=waiting,
        complete=done,
    )


async def _explained(
    read: StudyRead, home: _Home, doings: Doings, now: datetime, refused: Mapping[str, str]
) -> ExplainedStudy:
    files = await asyncio.to_thread(_look, read.images, home)
    return ExplainedStudy(
        story=read.story,
        files=files,
        next=followings(read.story, doings, unsound=bool(files.faults), now=now, refused=refused),
    )


def _kept(image: ImageStory, row: ImageRow) -> KeptImage:
    return KeptImage(
        image_uid=image.image_uid,
        series_uid=image.series_uid,
        filepath=row.filepath,
        size=row.size,
        source=row.source,
        source_address=row.source_address,
        attempt_id=row.attempt_id,
        received_on=row.received_on,
        node=row.node,
        storage_id=row.storage_id,
    )


def _look(images: Sequence[KeptImage], home: _Home) -> FileState:
    """Look at files by their size; those of other storage directories are left out."""
    looked_at = elsewhere = 0
    faults = []
    for one in images:
        if one.filepath is None:
            continue
        if home.is_elsewhere(one):
            elsewhere += 1
            continue
        looked_at += 1
        found = glance(one.filepath, one.size)
        if found.fault is not None:
            faults.append(
                FileFault(
                    image_uid=one.image_uid,
                    filepath=one.filepath,
                    fault=found.fault.value,
                    reason=found.reason,
                )
            )
    return FileState(looked_at=looked_at, elsewhere=elsewhere, faults=tuple(faults))


def _identity(directory: Path) -> _Home:
    try:
        return _Home(directory=directory.absolute(), id=storage_id(directory))
    except StorageError:
        return _Home(directory=directory.absolute(), id=None)


def _waiting(directory: Path) -> int | None:
    try:
        return count_spooled(directory)
    except StorageError:
        return None
