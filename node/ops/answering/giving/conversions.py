"""Images put into another transfer syntax, in processes with a limit of memory and a deadline.

What is converted is taken whole, in memory or in a file without a name, before anything of it is
sent: who takes it slowly, or not at all, holds no process.
"""

import asyncio
import errno
import io
import logging
import os
import shutil
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

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

_T = TypeVar("_T")

log = logging.getLogger(__name__)

_TO_START = 60.0
_TO_CONVERT = 120.0
"""Seconds that a process has to start, and for one image."""

_PART = 1 << 20

_IN_MEMORY = 32 << 20
_ALL_IN_MEMORY = 128 << 20
"""Bytes up to which one image is held in memory until it has been sent, and all of them together:
many receivers may be slow at once. Beyond, an image is in a file."""

_LEFT_FREE = 1 << 30
"""Bytes of the disk that such files leave to what is received."""


@dataclass(slots=True, kw_only=True)
class ConvertedParts:
    """A converted dataset, in memory or in a file; see `node.net.messages.SentParts`."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    name: str
    left: int
    kept: IO[bytes]

    async def part(self) -> tuple[bytes, bool]:
        """Return the next part, and whether it is the last one.

        Raises
        ------
        NotConverted
            It cannot be read again.
        """
        try:
            part = await _done(self.kept, partial(self.kept.read, _PART))
        except OSError as error:
            raise _not_kept(self.name, error) from error
        self.left -= len(part)
        return part, not self.left

    def close(self) -> None:
        """Do nothing: it is its owner's."""


class Conversions:
    """Puts images into another transfer syntax, some at once; see `node.net.messages.Convert`.

    Parameters
    ----------
    processes
        How many there are at most; None means one for each processor, two at most. They are started
        when they are needed.
    patience
        Seconds that each has for one image.
    folder
        Where a large image lies until it has been sent, in a file without a name; None means where
        temporary files are.
    """

    def __init__(
        self,
        *,
        processes: int | None = None,
        patience: float = _TO_CONVERT,
        folder: Path | None = None,
    ) -> None:
        self._free = asyncio.Semaphore(processes or min(2, os.cpu_count() or 1))
        self._idle: list[Process] = []
        self._patience = patience
        self._folder = folder
        self._in_memory = 0

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
        async with AsyncExitStack() as stack:
            async with self._free:
                process = self._idle.pop() if self._idle else await self._start()
                is_free = False
                try:
                    answer = await self._ask(process, instance, targets)
                    is_free = not answer.size
                    if answer.end is not ConversionEnd.DONE:
                        raise _error(instance, answer)
                    kept = await self._kept(stack, str(instance.path), answer.size)
                    await self._take(process, str(instance.path), answer.size, kept)
                    is_free = True
                finally:
                    if is_free:
                        self._idle.append(process)
                    else:  # it is at something that nobody wants, or has ended
                        await _end(process)
            yield _parts(kept, instance, answer)

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

    async def _kept(self, stack: AsyncExitStack, name: str, size: int) -> IO[bytes]:
        """Return where an image is kept; at the end of the stack it is gone."""
        if size <= _IN_MEMORY and self._in_memory + size <= _ALL_IN_MEMORY:
            self._in_memory += size
            stack.callback(self._forget, size)
            return io.BytesIO()
        making = asyncio.ensure_future(asyncio.to_thread(self._file, size))
        try:
            kept = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_close_unwanted)
            raise
        except OSError as error:
            raise _not_kept(name, error) from error
        stack.push_async_callback(asyncio.to_thread, kept.close)  # a large one takes its time
        return kept

    def _file(self, size: int) -> IO[bytes]:
        if shutil.disk_usage(self._folder or tempfile.gettempdir()).free < size + _LEFT_FREE:
            raise OSError(errno.ENOSPC, "too little of the disk is free")
        return tempfile.TemporaryFile(dir=self._folder, prefix="converted-")

    def _forget(self, size: int) -> None:
        self._in_memory -= size

    async def _take(self, process: Process, name: str, size: int, kept: IO[bytes]) -> None:
        """Take an image from its process."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        left = size
        try:
            while left:
                async with asyncio.timeout(self._patience):
                    part = await process.stdout.readexactly(min(left, _PART))
                await _done(kept, partial(kept.write, part))
                left -= len(part)
            await _done(kept, partial(kept.seek, 0))
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            raise NotConverted("its conversion was broken off") from error
        except OSError as error:
            raise _not_kept(name, error) from error


async def _done(kept: IO[bytes], work: Callable[[], _T]) -> _T:
    """Read or write: in a thread, unless it is memory."""
    return work() if isinstance(kept, io.BytesIO) else await asyncio.to_thread(work)


def _not_kept(name: str, error: OSError) -> NotConverted:
    log.warning("%s: what it was converted to cannot be kept: %s", name, error.strerror)
    return NotConverted("it could not be kept until it was sent")


def _close_unwanted(making: "asyncio.Future[IO[bytes]]") -> None:
    with suppress(Exception, asyncio.CancelledError):
        making.result().close()


def _parts(kept: IO[bytes], instance: InstanceFile, answer: ConversionAnswer) -> ConvertedParts:
    return ConvertedParts(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=answer.transfer_syntax_uid,
        name=str(instance.path),
        left=answer.size,
        kept=kept,
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
