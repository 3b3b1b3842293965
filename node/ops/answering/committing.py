"""Storage Commitment, as SCP (PS3.4 Annex J): taken, found out, and reported until it is taken.

A request is in the database before it is answered. A task of the running node finds out what is
committed (`committing_files`), and reports it (`committing_reports`), again with pauses until the
other node takes it or its time is over; after a restart it goes on where it was. Of several nodes
on one database, one at a time is at a request.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from node.config import Config
from node.dicom.status import Status
from node.net.messages import CommitRequest, ReportLine
from node.ops.answering.committing_askers import asking_peer
from node.ops.answering.committing_files import Backlog, CommittedFiles
from node.ops.answering.committing_reports import deliver, report_of
from node.ops.answering.whole import whole
from node.ops.checking.home import Home
from node.ops.processes import is_alive, start_of
from node.ops.threads import Threads
from schema import Database, SchemaError
from schema.committing.claiming import (
    ClaimedCommitment,
    Committer,
    claim_commitments,
    expire_commitments,
    is_anything_due,
    is_done,
    is_verified,
    keep_claims,
    let_go,
    release_commitments,
    was_not_taken,
)
from schema.committing.patience import next_report
from schema.committing.taking import TakenRequest, digest_of, take_request
from schema.engine.backoff import Backoff
from schema.tables.columns import utcnow
from schema.tables.committing.commitments import CommitmentState
from schema.text.words import counted, counted_are

log = logging.getLogger(__name__)

_LOOK = 1.0
"""Seconds from one look at what is due to the next."""

_LEASE = 120.0
"""Seconds that a request is ours without a sign of life."""

_SIGN = 30.0
"""Seconds from one sign of life to the next."""

_AT_ONCE = 16
"""Requests that are gone on with at once."""

_READERS = 2
"""Threads that read files, for all of them."""

_TIDY = 3600.0
"""Seconds from one look for what need not be kept any longer to the next."""

_TO_GIVE_BACK = 3.0
"""Seconds that the database has at the end for what was broken off."""

_BACKOFF = Backoff(first=1.0, longest=15.0)


class Committing:
    """Takes requests from when it is made, and goes on with them in `run`.

    Parameters
    ----------
    config
        Whose peers may ask, and where to report to.
    database
        Where requests are kept.
    """

    def __init__(self, config: Config, database: Database) -> None:
        self._config = config
        self._database = database
        pid = os.getpid()
        self._worker = Committer(node=config.node.aetitle, pid=pid, process=start_of(pid))
        self._lines: dict[tuple[str, str], ReportLine] = {}
        self._running: dict[asyncio.Task[None], ClaimedCommitment] = {}
        self._threads = Threads(_READERS, "commit")
        self._wake = asyncio.Event()
        self._sign_at = 0.0
        self._tidy_at = 0.0

    async def take(self, request: CommitRequest) -> int:
        """Take a request for commitment; return the status of the N-ACTION: `Services.commit`."""
        aetitle, asked = request.caller.aetitle, request.request
        references = [(one.sop_class_uid, one.sop_instance_uid) for one in asked.references]
        peer = asking_peer(self._config, aetitle, *request.caller.committing)
        # before anybody can be at it, who would not know of the association otherwise
        self._lines = {key: line for key, line in self._lines.items() if line.is_open}
        if (aetitle, asked.transaction_uid) not in self._lines:
            self._lines[aetitle, asked.transaction_uid] = request.line
        try:
            _, taken = await whole(
                self._database.run(
                    take_request,
                    aetitle=aetitle,
                    peer=peer.name if peer is not None else None,
                    node=self._worker.node,
                    transaction_uid=asked.transaction_uid,
                    references=references,
                    digest=await asyncio.to_thread(digest_of, references),
                )
            )
        except SchemaError as error:
            log.warning("A storage commitment for %s is not taken: %s", aetitle, error)
            return Status.PROCESSING_FAILURE
        if taken is TakenRequest.OTHER:
            log.warning(
                "%s asks for storage commitment with a Transaction UID that it has used for other"
                " objects",
                aetitle,
            )
            return Status.DUPLICATE_TRANSACTION
        again = " again" if taken is TakenRequest.AGAIN else ""
        objects = counted(len(references), "object")
        log.info("%s asks%s for storage commitment of %s", aetitle, again, objects)
        self._lines[aetitle, asked.transaction_uid] = request.line
        self._wake.set()
        return Status.SUCCESS

    async def run(self, backlog: Backlog) -> None:
        """Go on with what is due until cancelled; a database that is away is waited for.

        Parameters
        ----------
        backlog
            What was received and is not indexed yet.
        """
        home = Home(self._config.storage.directory, aetitle=self._worker.node)
        files = CommittedFiles(self._config, self._database, home, backlog, self._threads)
        failures, released = 0, False
        while True:
            self._wake.clear()
            pause = _LOOK
            try:
                if not released:
                    await whole(
                        self._database.run(release_commitments, self._worker.node, alive=is_alive)
                    )
                    released = True
                await whole(self._look(files))
                await self._tidy()
                failures = 0
            except SchemaError as error:
                failures += 1
                pause = _BACKOFF.pause(failures)
                if failures == 1:
                    log.warning("Which storage commitments are due is not known: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def end(self) -> None:
        """Break off what is under way, and let others, or the next start, go on with it."""
        running = dict(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self._threads.abandon()
        if not running:
            return
        try:
            async with asyncio.timeout(_TO_GIVE_BACK):
                await whole(self._database.run(let_go, list(running.values()), worker=self._worker))
        except (SchemaError, TimeoutError) as error:  # their time runs out
            log.warning("That storage commitments were broken off is not recorded: %s", error)

    async def _look(self, files: CommittedFiles) -> None:
        """Say that we are at what is running, and begin what is due."""
        now = asyncio.get_running_loop().time()
        if self._running and now >= self._sign_at:
            ours = await whole(
                self._database.run(
                    keep_claims,
                    list(self._running.values()),
                    worker=self._worker,
                    lease=_LEASE,
                )
            )
            for task, one in self._running.items():
                if one.id not in ours and not task.done():
                    task.cancel()
            self._sign_at = now + _SIGN
        if (free := _AT_ONCE - len(self._running)) <= 0:
            return
        async with self._database.session() as session:
            if not await is_anything_due(session, worker=self._worker):
                return
        claimed = await whole(
            self._database.run(claim_commitments, most=free, worker=self._worker, lease=_LEASE)
        )
        for one in claimed:
            task = asyncio.create_task(self._go_on(one, files), name="storage commitment")
            self._running[task] = one
            task.add_done_callback(self._is_done)

    def _is_done(self, task: "asyncio.Task[None]") -> None:
        self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The task '%s' died", task.get_name(), exc_info=error)
        self._wake.set()

    async def _go_on(self, one: ClaimedCommitment, files: CommittedFiles) -> None:
        try:
            if one.state == CommitmentState.VERIFYING.value:
                age = max(0.0, (one.claimed_on - one.created_on).total_seconds())
                wait = max(0.0, self._config.answer.commit_wait - age)
                await files.verify(one, wait=wait)
                if not await whole(self._database.run(is_verified, one, worker=self._worker)):
                    return
                one = replace(one, state=CommitmentState.REPORTING.value)
            await self._report(one)
        except SchemaError as error:  # when its time is over it is gone on with
            log.warning("A storage commitment for %s is put off: %s", one.aetitle, error)

    async def _report(self, one: ClaimedCommitment) -> None:
        report = await report_of(self._database, one)
        reason = await deliver(
            self._config, one, report, self._lines.pop((one.aetitle, one.transaction_uid), None)
        )
        known = counted_are(len(report.committed), "object")
        said = f"{known} committed, {len(report.failed)} not"
        if not reason:
            await whole(self._database.run(is_done, one, worker=self._worker))
            log.info("%s has taken the report on a storage commitment: %s", one.aetitle, said)
            return
        again_in = next_report(
            attempts=one.attempts + 1,
            age=max(0.0, (utcnow() - one.created_on).total_seconds()),
            give_up=self._config.answer.commit_give_up,
        )
        await whole(
            self._database.run(
                was_not_taken,
                one,
                worker=self._worker,
                reason=reason,
                again_in=again_in,
            )
        )
        if again_in is None:
            log.error(
                "%s was not told of a storage commitment (%s), and is not any more: %s",
                one.aetitle,
                said,
                reason,
            )
        else:
            log.warning(
                "%s has not taken the report on a storage commitment: %s; it is tried again at %s"
                " UTC",
                one.aetitle,
                reason,
                f"{utcnow() + timedelta(seconds=again_in):%Y-%m-%d %H:%M:%S}",
            )

    async def _tidy(self) -> None:
        """Delete what need not be kept any longer, now and then."""
        now = asyncio.get_running_loop().time()
        if now < self._tidy_at:
            return
        while await whole(self._database.run(expire_commitments)):
            pass
        self._tidy_at = now + _TIDY


@contextlib.asynccontextmanager
async def committing(config: Config, database: Database) -> AsyncIterator[Committing]:
    """Have commitments taken for the length of the block; what is under way then is broken off."""
    one = Committing(config, database)
    try:
        yield one
    finally:
        await one.end()
