"""Another node is asked to commit to what we have sent it, and its report is waited for.

It may report over the association that asks, or over one that it opens to us: to the node that runs
at our address, or, where none does, to us, who listen there for so long.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from node.config import Config
from node.dicom.commitment import CommitmentReport, CommitmentRequest, Reference
from node.dicom.status import Status
from node.errors import AssociationLost, ListenError, NodeError
from node.net.categories import describe
from node.net.messages import Peer, Services
from node.net.scu.commitment import CommitmentUser, associate_to_commit
from node.ops.committing.reports import ReportKeeper
from node.ops.peers import is_running
from node.ops.receiving.listening import acceptor_of
from schema import Database
from schema.committing.asking import AskedCommitment, asked, begin_asking, was_refused
from schema.committing.outcomes import COMMITTED, CONTRADICTED, OF_ANOTHER_CLASS
from schema.tables.committing.commitments import CommitmentState

log = logging.getLogger(__name__)

_LOOK = 0.2
"""Seconds from one look whether a report has come to another process to the next."""

_TO_ANSWER = 5.0
"""Seconds that the answer to a report has that is being written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentOutcome:
    """What another node says of what we have asked it to keep.

    Attributes
    ----------
    transaction_uid
        Transaction UID (0008,1195) of the request; empty when none was made.
    reported
        Whether it has reported.
    outcomes
        Of each object, by its SOP Instance UID: 0 is committed, any other number a Failure Reason
        (0008,1197) or one of `schema.committing.outcomes`, None where nothing was said of it.
    trouble
        Why the request was not taken; None when it was.
    """

    transaction_uid: str = ""
    reported: bool = False
    outcomes: Mapping[str, int | None] = field(default_factory=dict)
    trouble: NodeError | None = None

    @property
    def committed(self) -> int:
        """How many objects are committed."""
        return sum(outcome == COMMITTED for outcome in self.outcomes.values())

    @property
    def uncommitted(self) -> dict[str, str]:
        """Why each object that is not committed is not, in words, by its SOP Instance UID."""
        return {
            uid: _why(outcome) for uid, outcome in self.outcomes.items() if outcome != COMMITTED
        }


def _why(outcome: int | None) -> str:
    if outcome is None:
        return "nothing was said of it"
    return _WHY.get(outcome) or describe(outcome)


_WHY = {
    OF_ANOTHER_CLASS: "the report commits to it under another SOP class than the one it has",
    CONTRADICTED: "the report lists it as committed, but says that some are not, and names none",
}


class NotTaken(NodeError):  # noqa: N818 - reads as a sentence where it is raised
    """A request for storage commitment that the other node has refused."""


async def ask_for_commitment(
    config: Config,
    database: Database,
    peer: Peer,
    references: Iterable[Reference],
    *,
    wait: float,
) -> CommitmentOutcome:
    """Ask a peer to commit to objects, and wait for its report.

    Parameters
    ----------
    database
        Keeps the request: a report that comes later is taken by the running node.
    wait
        Seconds that it has to report.

    Raises
    ------
    SchemaError
        The database is away.
    """
    objects = tuple(dict.fromkeys(references))
    unknown: dict[str, int | None] = {one.sop_instance_uid: None for one in objects}
    if not objects:
        return CommitmentOutcome()
    request = CommitmentRequest(transaction_uid=f"2.25.{uuid.uuid4().int}", references=objects)
    commitment = await database.run(
        begin_asking,
        aetitle=peer.aetitle,
        peer=peer.name,
        node=config.node.aetitle,
        transaction_uid=request.transaction_uid,
        references=[(one.sop_class_uid, one.sop_instance_uid) for one in objects],
    )
    keeper = ReportKeeper(database)
    async with _listening(config, keeper):
        asking = _Asking(database, keeper, commitment, peer)
        try:
            said = await asking.ask(request, wait=wait)
        except AssociationLost as error:  # it may have come through
            log.warning("Whether %s has taken the request is not known: %s", peer.name, error)
            said = await asking.poll(wait)
        except NodeError as error:
            await database.run(was_refused, commitment, str(error))
            return CommitmentOutcome(
                transaction_uid=request.transaction_uid, outcomes=unknown, trouble=error
            )
    return CommitmentOutcome(
        transaction_uid=request.transaction_uid,
        reported=said.state == CommitmentState.DONE.value,
        outcomes=unknown | dict(said.outcomes),
    )


class _Asking:
    """One request, from the association that makes it to the report."""

    def __init__(
        self, database: Database, keeper: ReportKeeper, commitment: int, peer: Peer
    ) -> None:
        self._database = database
        self._keeper = keeper
        self._commitment = commitment
        self._peer = peer
        self._taking = False

    async def ask(self, request: CommitmentRequest, *, wait: float) -> AskedCommitment:
        """Make the request, and wait for the report, from wherever it comes.

        Raises
        ------
        NotTaken
            The peer does not want it.
        PeerUnreachable, PeerRefused
            It cannot be asked.
        AssociationLost
            Nobody knows whether it was taken.
        """
        deadline = asyncio.get_running_loop().time() + wait
        async with associate_to_commit(self._peer) as association:
            status = await association.request(request)
            if status != Status.SUCCESS:
                raise NotTaken(f"{self._peer.name} answered the N-ACTION with {describe(status)}")
            said = await self._wait(association, deadline)
        if said.state != CommitmentState.ASKED.value:
            return said
        return await self.poll(deadline - asyncio.get_running_loop().time())

    async def poll(self, seconds: float) -> AskedCommitment:
        """Look whether a report has come to whichever process, so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                return await self._reported()
        return await self._said()

    async def _wait(self, association: CommitmentUser, deadline: float) -> AskedCommitment:
        """Wait for the report over the association, and for one that comes elsewhere."""
        here = asyncio.create_task(association.wait_for_report(self._take), name="report here")
        elsewhere = asyncio.create_task(self._reported(), name="report elsewhere")
        left = deadline - asyncio.get_running_loop().time()
        try:
            await asyncio.wait(
                {here, elsewhere},
                timeout=max(0.0, left),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._taking and not here.done():
                await asyncio.wait({here}, timeout=_TO_ANSWER)
        finally:
            for task in (here, elsewhere):
                task.cancel()
            await asyncio.gather(here, elsewhere, return_exceptions=True)
        return await self._said()

    async def _take(self, report: CommitmentReport) -> int:
        self._taking = True
        return await self._keeper.keep(report, self._peer.name)

    async def _reported(self) -> AskedCommitment:
        while (said := await self._said()).state == CommitmentState.ASKED.value:
            await asyncio.sleep(_LOOK)
        return said

    async def _said(self) -> AskedCommitment:
        async with self._database.session() as session:
            return await asked(session, self._commitment)


@contextlib.asynccontextmanager
async def _listening(config: Config, keeper: ReportKeeper) -> AsyncIterator[None]:
    """Listen for reports at our address for the length of the block, unless the node does."""
    acceptor = acceptor_of(config, Services(report=keeper.take))
    try:
        await acceptor.start()
    except ListenError as error:
        if not await is_running(config):
            log.warning("Only what is reported over the same association can be taken: %s", error)
        yield
        return
    try:
        yield
    finally:
        await acceptor.stop()
