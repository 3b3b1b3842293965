"""The sheet of a migration: each found study with what happens next to it, and the totals."""

from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime

from node.config import Config
from node.ops.explaining.doing import doings_now
from node.ops.explaining.following import Doings, Following, followings
from node.ops.overseeing.policies import policies_of
from node.ops.projects import project_named
from schema import Database, get_project_study_uids
from schema.accounting.sheet import SheetStudy, sheet_pages
from schema.accounting.tallies import is_known, one_view
from schema.explaining.story import StudyHead, StudyStory
from schema.project.members import NOT_FOUND
from schema.tables.columns import utcnow


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLine:
    """A study, and what happens next to it at each of its PACSs."""

    study: SheetStudy
    next: tuple[Following, ...]


@dataclass(slots=True, kw_only=True)
class SheetTotals:
    """What the lines of a sheet come to.

    Attributes
    ----------
    as_of
        When the database was looked at, naive UTC: all lines are as it was then.
    studies, whole
        How many there are, and how many of them are complete here, without a file that is known
        to be lost or damaged.
    unwanted
        Of how many the policy wants nothing: these are neither whole, nor is anything missing.
    expected_unwanted
        How many of the expected images are theirs.
    retrieved, verified
        How many were complete here when they had come; and of how many of them every file was
        read again and found sound, and none has changed since.
    verified_parts
        Of how many others that is so of what is here.
    states
        How many there are by state.
    expected_images, unknown
        How many images PACSs have of them, and of how many wanted studies nobody knows that.
    here, verified_images, missing_images
        How many are here, how many of them in studies that are verified, and at least missing.
    unsound_images
        How many of those that are here were missing, damaged or unreadable when all files of their
        study were read.
    missing_unknown
        Of how many studies that are not whole nobody knows how many images are missing.
    refused
        Of how many studies the last attempt was not given everything: images failed, or
        presentation contexts were refused.
    """

    as_of: datetime
    studies: int = 0
    whole: int = 0
    unwanted: int = 0
    retrieved: int = 0
    verified: int = 0
    verified_parts: int = 0
    states: Counter[str] = field(default_factory=Counter)
    expected_images: int = 0
    expected_unwanted: int = 0
    unknown: int = 0
    here: int = 0
    verified_images: int = 0
    unsound_images: int = 0
    missing_images: int = 0
    missing_unknown: int = 0
    refused: int = 0

    def add(self, study: SheetStudy) -> None:
        """Count a study."""
        self.studies += 1
        self.whole += study.whole
        self.unwanted += study.unwanted
        self.retrieved += study.retrieved_on is not None
        if study.verified_on is not None and study.retrieved_on is None:
            self.verified_parts += 1
        elif study.verified_on is not None:
            self.verified += 1
            self.verified_images += study.here
        self.unsound_images += study.unsound
        self.states[study.state] += 1
        self.expected_images += study.expected_images or 0
        self.here += study.here
        if study.unwanted:
            self.expected_unwanted += study.expected_images or 0
            return
        self.unknown += study.expected_images is None
        self.missing_images += study.missing_images or 0
        self.missing_unknown += study.missing_images is None and not study.whole
        last = study.last
        self.refused += last is not None and not study.whole and bool(last.failed or last.refused)


class Sheet:
    """A sheet that is being read: `lines` once, `totals` then.

    Parameters
    ----------
    project
        Only the studies of the project of this name.
    peer
        Only those that this PACS has, or had.
    """

    def __init__(
        self,
        config: Config,
        database: Database,
        *,
        project: str | None = None,
        peer: str | None = None,
    ) -> None:
        self._config = config
        self._database = database
        self._project = project
        self._peer = peer
        self.totals = SheetTotals(as_of=utcnow())

    async def check(self) -> None:
        """Refuse a peer that nobody knows: its sheet would be empty.

        Raises
        ------
        ConfigurationError
            It is no peer of the configuration, and no study is known of it.
        DatabaseUnavailable
        """
        if self._peer is None or self._peer in self._config.peers:
            return
        async with self._database.session() as session:
            known = await is_known(session, self._peer)
        if not known:
            self._config.peer(self._peer)

    async def lines(self) -> AsyncGenerator[list[SheetLine], None]:
        """Yield the lines in pages, all as the database is at one moment.

        Raises
        ------
        UsageError
            No project is called so.
        DatabaseUnavailable
        """
        project_id: int | None = None
        if self._project is not None:
            project_id = (await project_named(self._database, self._project)).id
        async with self._database.session() as session:
            await one_view(session)
            uids = [] if project_id is None else await get_project_study_uids(session, project_id)
            doings = await doings_now(self._config, session)
            now = self.totals.as_of = utcnow()
            pages = sheet_pages(
                session,
                peer=self._peer,
                project_id=project_id,
                study_uids=uids,
                policies=policies_of(self._config),
            )
            async for page in pages:
                for study in page:
                    self.totals.add(study)
                yield [SheetLine(study=one, next=_next(one, doings, now)) for one in page]


def _next(study: SheetStudy, doings: Doings, now: datetime) -> tuple[Following, ...]:
    if study.study_uid is None or study.state == NOT_FOUND:
        return ()
    head = StudyHead(
        study_uid=study.study_uid,
        study_date=study.study_date.date() if study.study_date else None,
        state=study.state,
        retrieved_on=study.retrieved_on,
        lost=study.lost,
        broken=study.broken,
    )
    story = StudyStory(study=head, sources=study.standings, unlisted=study.unlisted)
    unsound = study.unsound > 0
    return followings(story, doings, now=now, unsound=unsound, refused=study.refused)
