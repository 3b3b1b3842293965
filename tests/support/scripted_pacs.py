"""A PACS that accepts every association, and answers each query or retrieval as a script says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.dimse.identifiers import decoded_identifier, write_identifier
from node.net.messages import Peer, Timeouts
from node.upperlayer import (
    AssociateAccept,
    Association,
    Command,
    CommandField,
    ContextResult,
    LocalMistake,
    Rejection,
    Role,
    UserInformation,
    response_to,
)
from node.upperlayer.events import CommandReceived, DatasetFragment, ReleaseRequested, Requested

LOCAL_LIMIT_EXCEEDED = Rejection(result=2, source=3, reason=2)

Script = Callable[["Asked"], Coroutine[Any, Any, None]]
"""Answers one request."""


class Asked:
    """A C-FIND or a C-MOVE, to be answered.

    `number` counts the requests of its association from 1, and `association` the associations.
    """

    def __init__(
        self, visit: _Visit, context_id: int, command: Command, identifier: Dataset
    ) -> None:
        self._visit = visit
        self._context_id = context_id
        self._command = command
        self.number = visit.requests
        self.association = visit.number
        self.is_move = command.field == CommandField.C_MOVE_RQ
        self.study_uid = str(identifier.get("StudyInstanceUID", ""))
        self.identifier = identifier

    def pending(self, identifier: Dataset | None = None, **counts: int) -> None:
        """Answer Pending: with a match, with counts of sub-operations, or with nothing."""
        self._respond(Status.PENDING, identifier, **counts)

    def done(self, status: int = Status.SUCCESS, **counts: int) -> None:
        """Give the last response."""
        self._respond(status, None, **counts)

    def release(self) -> None:
        """Ask for the association's release."""
        with suppress(LocalMistake):
            self._visit.core.release()
        self._visit.flush()

    def abort(self) -> None:
        """Abort the association."""
        self._visit.core.abort()
        self._visit.flush()

    def _respond(self, status: int, identifier: Dataset | None, **counts: int) -> None:
        syntax = self._visit.core.contexts[self._context_id].transfer_syntax
        encoded = None if identifier is None else write_identifier(identifier, syntax)
        response = response_to(self._command, status, dataset=encoded is not None, **counts)
        with suppress(LocalMistake):  # they may have left
            self._visit.core.send(self._context_id, response, encoded)
        self._visit.flush()


class ScriptedPacs:
    """The PACS; a context manager. `asked` has every request so far, `cancels` counts C-CANCELs.

    `most` associations are accepted at a time; None is any number. Questions about what it has are
    answered with nothing, and are not in `asked`, where the script answers no `questions`. A script
    that fails aborts its association, and fails the test at the end: who asked would wait long for
    an answer.
    """

    most: int | None = None

    def __init__(self, script: Script, *, questions: bool = True) -> None:
        self.script = script
        self.questions = questions
        self.asked: list[Asked] = []
        self.associations = 0
        self._visits = 0
        self.cancels = 0
        self.open = 0
        self._mistakes: list[BaseException] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def moved(self) -> list[str]:
        """The Study Instance UIDs of the C-MOVEs so far."""
        return [asked.study_uid for asked in self.asked if asked.is_move]

    @property
    def full(self) -> bool:
        """Whether the association that is requested is one too many."""
        return self.most is not None and self.open > self.most

    def peer(self, name: str = "pacs") -> Peer:
        """Return what a requestor needs to know."""
        return Peer(
            name=name,
            aetitle="PACS",
            host="127.0.0.1",
            port=self.port,
            calling_aetitle="NODE",
            timeouts=Timeouts(connect=5, acse=5, dimse=30, network=60),
        )

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._mistakes:
            raise self._mistakes[0]

    def answer(self, asked: Asked) -> None:
        """Let the script answer."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (mistake := task.exception()) is not None:
                self._mistakes.append(mistake)
                asked.abort()

        self.own(asyncio.ensure_future(self.script(asked))).add_done_callback(ended)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits += 1
        self.associations += self.questions
        visit = _Visit(self, self._visits, writer)
        self.open += 1
        try:
            await self.own(asyncio.ensure_future(visit.serve(reader)))
        finally:
            self.open -= 1

    def own(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        """Let a task live until it ends, or the PACS: a script outlives its association."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Visit:
    def __init__(self, pacs: ScriptedPacs, number: int, writer: asyncio.StreamWriter) -> None:
        self.core = Association(Role.ACCEPTOR, maximum_length=131072)
        self.number = number
        self.requests = 0
        self._pacs = pacs
        self._writer = writer

    def flush(self) -> None:
        for part in self.core.take_output():
            self._writer.write(part)

    async def serve(self, reader: asyncio.StreamReader) -> None:
        self.core.transport_opened()
        received: CommandReceived | None = None
        encoded = b""
        try:
            while data := await reader.read(1 << 16):
                for event in self.core.receive(data):
                    match event:
                        case Requested() if self._pacs.full:
                            self.core.reject(LOCAL_LIMIT_EXCEEDED)
                        case Requested():
                            self._accept(event)
                        case CommandReceived(command=Command(field=CommandField.C_CANCEL_RQ)):
                            self._pacs.cancels += 1
                        case CommandReceived():
                            received, encoded = event, b""
                        case DatasetFragment() if received is not None:
                            encoded += event.data
                            if event.last:
                                await self._begin(received, encoded)
                        case ReleaseRequested():
                            self.core.respond_to_release()
                self.flush()
        except ConnectionError:
            pass
        finally:
            self._writer.close()

    async def _begin(self, received: CommandReceived, encoded: bytes) -> None:
        syntax = self.core.contexts[received.context_id].transfer_syntax
        identifier = await decoded_identifier(encoded, syntax)
        self.requests += 1
        asked = Asked(self, received.context_id, received.command, identifier)
        if not asked.is_move and not self._pacs.questions:
            asked.done()
            return
        if self.requests == 1 and not self._pacs.questions:
            self._pacs.associations += 1
        self._pacs.asked.append(asked)
        self._pacs.answer(asked)

    def _accept(self, event: Requested) -> None:
        contexts = tuple(
            ContextResult(id=one.id, result=0, transfer_syntax=one.transfer_syntaxes[0])
            for one in event.request.contexts
        )
        self.core.accept(
            AssociateAccept(
                called_aetitle="PACS",
                calling_aetitle="NODE",
                contexts=contexts,
                user=UserInformation(maximum_length=16384),
            )
        )
