"""One node that receives, indexes and moves, in this process: for many PACSs, each with a name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import select, update

from node.config import Config
from node.ops.cycling import steering
from node.ops.moving.peers import move_due
from node.ops.moving.report import MoveReport
from node.ops.receiving.intake import IntakeHere
from node.ops.receiving.receiver import Receiver, receiving
from node.ops.tour import Tour
from schema import Database, Image, StudyFind, record_found
from schema.guarding.breakers import breaker_of
from schema.guarding.breaking import BreakerState
from schema.moving.attempts import INTERRUPTED
from schema.moving.listing import Listing
from schema.moving.patience import RetryLimits
from schema.tables.ledger import MoveAttempt
from schema.tables.sources import SourceListing, StudySource
from tests.support.misbehaving import MisbehavingPacs
from tests.support.processes import LOOPBACK, free_port

EVERY = 3600.0
"""Seconds from the beginning of one cycle of the daemon to that of the next."""


_LOOK = 60.0
"""Seconds from one look to the next whether an operator wants something of a move: nobody does, and
it would be most of what is done in a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyStand:
    """What the database says of a study at a PACS.

    Attributes
    ----------
    images
        SOP Instance UIDs in the index.
    whole
        Whether the study itself is retrieved.
    listing
        What is kept of what the PACS lists.
    attempts
        All that came to a verdict, in their order.
    again
        How many were begun after it was verified.
    next_on
        Before when it is not due; None: it is at any time, or never.
    """

    state: str
    evidence: str | None
    error: str | None
    given_up: bool
    whole: bool
    images: frozenset[str]
    listing: Listing | None
    attempts: tuple[MoveAttempt, ...]
    again: int
    next_on: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing is to be done any more."""
        return self.whole or self.given_up


class MovingNode:
    """The node; see `moving_node`."""

    def __init__(
        self,
        database: Database,
        receiver: Receiver,
        folder: Path,
        storers: Mapping[str, tuple[str, ...]],
        settings: Mapping[str, Any],
    ) -> None:
        self.database = database
        self.port = receiver.acceptor.port
        self.taking = IntakeHere(receiver)
        self._receiver = receiver
        self._folder = folder
        self._storers = storers
        self._settings = settings
        move = _config(folder, {}, self.port, settings).move
        self.limits = RetryLimits(
            retry=move.retry, retry_limit=move.retry_limit, attempts=move.attempts
        )

    async def find(self, name: str, pacs: MisbehavingPacs, studies: Collection[str]) -> None:
        """Record what a PACS answers of studies."""
        answers = []
        for uid in studies:
            answers += (await pacs.ask(StudyInstanceUID=uid)).answers
        async with self.database.begin() as session:
            await record_found(session, answers, peer=name)

    async def move(self, name: str, port: int, **peer: Any) -> bool:
        """Move what is due from a PACS, as one cycle of the daemon; tell whether anything was."""
        tour = await self.move_all({name: {"port": port, **peer}})
        if tour.reports or tour.troubles:
            return True
        async with self.database.session() as session:
            return (await breaker_of(session, name)).state is not BreakerState.CLOSED

    async def move_all(
        self, peers: Mapping[str, Mapping[str, Any]], **settings: Any
    ) -> Tour[MoveReport]:
        """Move what is due from PACSs, each with its port and further settings."""
        config = self.config(peers, **settings)
        return await move_due(config, self.database, self.taking)

    def config(self, peers: Mapping[str, Mapping[str, Any]], **settings: Any) -> Config:
        """Return the configuration with these PACSs, and further settings of `move`."""
        known = {name: _peer(self._storers[name], 104) | peer for name, peer in peers.items()}
        return _config(self._folder, known, self.port, {**self._settings, **settings})

    async def make_due(self, name: str) -> None:
        """Let the time for the next attempt have come."""
        async with self.database.begin() as session:
            await session.execute(
                update(StudySource).where(StudySource.peer == name).values(next_attempt_on=None)
            )

    async def settled(self) -> None:
        """Wait until all that was received is indexed."""
        await self._receiver.indexer.wait_settled()

    async def stands(self, name: str) -> dict[str, StudyStand]:
        """Return where the studies of a PACS stand, by Study Instance UID."""
        async with self.database.session() as session:
            rows = await session.execute(
                select(StudyFind, StudySource, SourceListing.listing)
                .join(StudySource, StudySource.study_find_id == StudyFind.id)
                .outerjoin(SourceListing, SourceListing.source_id == StudySource.id)
                .where(StudySource.peer == name)
            )
            found = [tuple(row) for row in rows]
            of_them = MoveAttempt.study_find_id.in_([study.id for study, _, _ in found])
            query = select(MoveAttempt).where(of_them).order_by(MoveAttempt.id)
            attempts = list(await session.scalars(query))
            uids = [study.study_uid for study, _, _ in found]
            images = await session.execute(
                select(Image.study_uid, Image.image_uid).where(Image.study_uid.in_(uids))
            )
            held: dict[str, set[str]] = {}
            for study, image in images:
                held.setdefault(study, set()).add(image)
        stands = {}
        for study, source, listing in found:
            own = [one for one in attempts if one.study_find_id == study.id]
            verified = source.verified_on
            stands[study.study_uid] = StudyStand(
                state=source.state,
                evidence=source.evidence,
                error=source.last_error,
                given_up=source.given_up_on is not None,
                whole=study.retrieved_on is not None,
                images=frozenset(held.get(study.study_uid, ())),
                listing=None if listing is None else Listing.of_document(listing),
                attempts=tuple(one for one in own if one.outcome not in (None, INTERRUPTED)),
                next_on=source.next_attempt_on,
                again=sum(verified is not None and one.claimed_on > verified for one in own),
            )
        return stands


def _peer(storers: tuple[str, ...], port: int) -> dict[str, Any]:
    known: dict[str, Any] = {"aetitle": "PACS", "host": LOOPBACK, "port": port}
    if storers:
        known["may_store"] = ["PACS", *storers]
    return known


def _config(
    folder: Path, peers: Mapping[str, Any], port: int, settings: Mapping[str, Any]
) -> Config:
    return Config.model_validate(
        {
            "node": {"host": LOOPBACK, "port": port, "grace": "1s"},
            "storage": {"directory": str(folder / "dicom")},
            "peers": peers,
            "move": settings,
        }
    )


@asynccontextmanager
async def moving_node(
    database: Database,
    folder: Path,
    peers: Mapping[str, tuple[str, ...]],
    **settings: Any,
) -> AsyncIterator[MovingNode]:
    """Receive for the length of the block.

    Parameters
    ----------
    peers
        The names of the PACSs, each with AE titles beside its own under which it stores.
    settings
        Of `move`.
    """
    known = {name: _peer(storers, 104) for name, storers in peers.items()}
    config = _config(folder, known, free_port(), settings)
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
    with patch.object(steering, "_LOOK", _LOOK):
        async with receiving(config, database) as receiver:
            yield MovingNode(database, receiver, folder, peers, settings)
