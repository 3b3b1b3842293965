"""Storage Commitment over associations that we request (PS3.4 Annex J), in either role.

As its SCU we ask for it, and the report may come over the same association. As its SCP we report,
to one who has asked us before: then we propose to be the SCP of the class (PS3.7 D.3.3.4).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from node.dicom.commitment import (
    CommitmentReport,
    CommitmentRequest,
    InvalidCommitment,
    write_report,
    write_request,
)
from node.dicom.status import Status
from node.errors import PeerRefused
from node.net.dimse.commitments import (
    decoded_report,
    report_command,
    request_command,
    why_no_report,
)
from node.net.dimse.contexts import STORAGE_COMMITMENT, Service
from node.net.dimse.inbox import Message
from node.net.entity import requesting
from node.net.messages import Peer
from node.net.scu.exchange import Exchange
from node.net.scu.requestor import exchanging
from node.upperlayer import CommandField, RoleSelection, response_to

TakeReport = Callable[[CommitmentReport], Awaitable[int]]
"""Takes a report; returns the status of the N-EVENT-REPORT."""

_TO_RELEASE = 3.0
"""Seconds that the peer has to answer a release, before an abort: all that matters has been said.
One that reports twice waits for our answer to that, and does not listen."""


@asynccontextmanager
async def associate_to_commit(
    peer: Peer, *, as_provider: bool = False
) -> AsyncIterator["CommitmentUser"]:
    """Request an association for Storage Commitment, and release it at the end.

    Parameters
    ----------
    as_provider
        Whether we are the SCP, who reports.

    Raises
    ------
    PeerUnreachable, PeerRefused, ConfigurationError, NoPlace
        As `node.net.scu.requestor.associate`.
    """
    role = RoleSelection(sop_class_uid=STORAGE_COMMITMENT, scu=False, scp=True)
    make = partial(
        Exchange,
        requesting(peer, [Service.COMMIT]),
        peer,
        roles=(role,) if as_provider else (),
    )
    async with exchanging(make, peer, to_release=_TO_RELEASE) as exchange:
        yield CommitmentUser(exchange)


class CommitmentUser:
    """We, over an association for Storage Commitment; valid only inside the block.

    Whether the peer has agreed to our role is not looked at: who has accepted the context can say
    of the message itself that it does not want it.

    Parameters
    ----------
    exchange
        Of an association that is open.

    Raises
    ------
    PeerRefused
        The peer has not accepted the context.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._link = exchange.link
        accepted = self._link.accepted.items()
        ours = [(id_, syntax) for id_, (uid, syntax) in accepted if uid == STORAGE_COMMITMENT]
        if not ours:
            raise PeerRefused(f"{self._link.peer.name} does not offer {Service.COMMIT}")
        self._context_id, self._syntax = ours[0]

    async def request(self, request: CommitmentRequest) -> int:
        """Ask for commitment (N-ACTION, PS3.7 10.1.4); return the status of the answer.

        Raises
        ------
        AssociationLost
            There was no answer.
        """
        dataset = await asyncio.to_thread(write_request, request, self._syntax)
        command = request_command(self._exchange.begin())
        self._exchange.send(self._context_id, command, dataset)
        response = await self._exchange.response(CommandField.N_ACTION_RSP, "N-ACTION")
        return int(response.command.status or 0)

    async def report(self, report: CommitmentReport) -> int:
        """Report (N-EVENT-REPORT, PS3.7 10.1.1); return the status of the answer.

        Raises
        ------
        AssociationLost
            There was no answer.
        """
        dataset = await asyncio.to_thread(write_report, report, self._syntax)
        command = report_command(self._exchange.begin(), report)
        self._exchange.send(self._context_id, command, dataset)
        response = await self._exchange.response(CommandField.N_EVENT_REPORT_RSP, "N-EVENT-REPORT")
        return int(response.command.status or 0)

    async def wait_for_report(self, take: TakeReport) -> bool:
        """Wait for a report and answer it; return whether one was taken.

        False: the association has ended, and the report comes over another one, if it comes. It
        may be cancelled while nothing is under way.
        """
        inbox, connection = self._link.inbox, self._link.connection
        connection.busy = True  # nothing may happen for long: the deadline is the caller's
        try:
            while True:
                events = self._exchange.events
                message = events.popleft() if events else await inbox.get()
                if not isinstance(message, Message):
                    return False
                if message.command.field != CommandField.N_EVENT_REPORT_RQ:
                    self._link.abort("it sent something else than a report")
                    return False
                if await self._answered(message, take) == Status.SUCCESS:
                    return True
        finally:
            connection.busy = False

    async def _answered(self, message: Message, take: TakeReport) -> int:
        status: int | None = why_no_report(message.command)
        comment = ""
        if status is None:
            try:
                dataset = message.dataset or b""
                status = await take(await decoded_report(message.command, dataset, self._syntax))
            except InvalidCommitment as error:
                status, comment = Status.INVALID_ARGUMENT, str(error)
        if not self._link.is_over:
            response = response_to(message.command, status, comment=comment)
            self._exchange.send(message.context_id, response)
        return status
