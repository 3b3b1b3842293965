"""Images put into another transfer syntax, in processes with a limit of memory and a deadline."""

import asyncio
import logging
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydicom.uid import UID

from node.errors import FileDamaged, FileGone, NodeError, NotConverted, StorageError
from node.net.messages import Instance, InstanceFile, SentParts
from node.ops.answering.giving.conversion import (
    PROGRAM,
    Conversion,
    ConversionAnswer,
    ConversionEnd,
)
from schema.errors import WorkerUnavailable
from schema.parsing.pool import receive_message, send_message, spawned

log = logging.getLogger(__name__)

_TO_START = 60.0
_TO_CONVERT = 120.0
"""Seconds that a process has to start, and for one image."""

_PART = 1 << 20


@dataclass(slots=True, kw_only=True)
class ConvertedParts:
    """A converted dataset, as its process writes it; see `node.net.messages.SentParts`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    name: str
    left: int
    process: Process

    async def part(self) -> tuple[bytes, bool]:
        """Return the next part, and whether it is the last one.

        Raises
        ------
        NotConverted
            The process has ended.
        """
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        try:
            part = await self.process.stdout.readexactly(min(self.left, _PART))
        except asyncio.IncompleteReadError as error:
            raise NotConverted("its conversion was broken off") from error
        self.left -= len(part)
        return part, not self.left

    def close(self) -> None:
        """Do nothing: the process is its owner's."""


class Conversions:
    """Puts images into another transfer syntax, some at once; see `node.net.messages.Convert`.

    Parameters
    ----------
    processes
        How many there are at most; None means one for each processor, two at most. They are started
        when they are needed.
    patience
        Seconds that each has for one image.
    """

    def __init__(self, *, processes: int | None = None, patience: float = _TO_CONVERT) -> None:
        self._free = asyncio.Semaphore(processes or min(2, os.cpu_count() or 1))
        self._idle: list[Process] = []
        self._patience = patience

    @asynccontextmanager
    async def convert(self, instance: Instance, targets: Sequence[str]) -> AsyncIterator[SentParts]:
        """Have an image in another transfer syntax for the length of the block.

        Raises
        ------
        NotConverted
            It cannot be put into any of them, as far as is known here.
        StorageError
            Its file is not what it should be.
        """
        if not isinstance(instance, InstanceFile):
            raise NotConverted("it is no file")
        async with self._free:
            process = self._idle.pop() if self._idle else await self._start()
            left: int | None = None
            try:
                answer = await self._ask(process, instance, targets)
                left = answer.size
                if answer.end is not ConversionEnd.DONE:
                    raise _error(instance, answer)
                parts = _parts(process, instance, answer)
                try:
                    yield parts
                finally:
                    left = parts.left
            finally:
                if left == 0:
                    self._idle.append(process)
                else:  # it is at something that nobody wants, or has ended
                    await _end(process)

    async def close(self) -> None:
        """End the processes."""
        while self._idle:
            await _end(self._idle.pop())

    async def _start(self) -> Process:
        try:
            process = await spawned(PROGRAM)
        except WorkerUnavailable as error:
            raise NotConverted("no process can be started to convert it") from error
        try:
            async with asyncio.timeout(_TO_START):
                await receive_message(process)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
            await _end(process)
            raise NotConverted("the process that was to convert it did not start") from error
        except BaseException:
            await _end(process)
            raise
        return process

    async def _ask(
        self, process: Process, instance: InstanceFile, targets: Sequence[str]
    ) -> ConversionAnswer:
        name = UID(instance.transfer_syntax_uid).name
        wanted = Conversion(
            path=str(instance.path),
            transfer_syntax_uid=instance.transfer_syntax_uid,
            sha256=instance.sha256,
            targets=tuple(targets),
        )
        try:
            async with asyncio.timeout(self._patience):
                await send_message(process, wanted)
                answer: ConversionAnswer = await receive_message(process)
        except TimeoutError as error:
            log.warning("%s is not converted within %g s", instance.path, self._patience)
            raise NotConverted(f"not converted from {name} in time") from error
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            log.warning("%s: the process that was to convert it has ended", instance.path)
            raise NotConverted(f"not converted from {name}") from error
        return answer


def _parts(process: Process, instance: InstanceFile, answer: ConversionAnswer) -> ConvertedParts:
    return ConvertedParts(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=answer.transfer_syntax_uid,
        name=str(instance.path),
        left=answer.size,
        process=process,
    )


def _error(instance: InstanceFile, answer: ConversionAnswer) -> NodeError:
    text = f"{instance.path}: {answer.reason}"
    if answer.end is ConversionEnd.GONE:
        return FileGone(text)
    if answer.end is ConversionEnd.DAMAGED:
        return FileDamaged(text)
    if answer.end is ConversionEnd.UNREADABLE:
        return StorageError(f"cannot read {text}")
    name = UID(instance.transfer_syntax_uid).name
    log.warning("%s is not converted from %s: %s", instance.path, name, answer.reason)
    return NotConverted(f"not converted from {name}")


async def _end(process: Process) -> None:
    """End a process; it has nothing to lose."""
    if process.returncode is None:
        process.kill()
    await process.communicate()
