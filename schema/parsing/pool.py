"""A process that reads files, as its parent sees it: started, asked, and found dead.

The standard library's pools are not used: one worker that dies breaks all of a pool, nobody can
say over which file, and a spawned one imports the caller's script again.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from typing import Any

from schema.errors import WorkerUnavailable
from schema.parsing.extract import Reading
from schema.parsing.scan import Passed
from schema.parsing.worker import LENGTH_BYTES, packed, unpacked
from schema.record import ImageRecord

PROGRAM = "from schema.parsing.worker import main; main()"
"""What the process runs."""

_BUFFER = 1 << 20
_STARTS = 3

_TO_START = 60.0
"""Seconds until a process has to be ready: on a machine with much to do it takes some."""


class WorkerDied(Exception):  # noqa: N818 - never leaves `schema.parsing`
    """The process ended while it was at work; the message says how."""


class Worker:
    """One process that reads files; it is started when it is first needed.

    Parameters
    ----------
    reading
        How it reads them.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """The process id; None when it does not run."""
        return self._process.pid if self._process else None

    async def extract(self, paths: Sequence[str]) -> AsyncIterator[list[ImageRecord | Passed]]:
        """Yield what became of the files, in their order, some at a time.

        A list without anything is a sign of life: a large file is being read.

        Raises
        ------
        WorkerDied
            The process ended before it had answered for all of them; the next call starts
            another one.
        WorkerUnavailable
            No process can be started.
        """
        process = self._process or await self._start()
        left = len(paths)
        try:
            await send_message(process, list(paths))
            while left:
                answers = await receive_message(process)
                left -= len(answers)
                yield answers
        except (ConnectionError, asyncio.IncompleteReadError):
            raise WorkerDied(f"the process that read it {await self._ended()}") from None

    async def close(self) -> None:
        """End the process; it has nothing to lose."""
        self.kill()
        await self._ended()

    def kill(self) -> None:
        """End the process at once; who waits for its answers sees it die."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _start(self) -> Process:
        how = ""
        for _ in range(_STARTS):
            process = self._process = await spawned(PROGRAM)
            try:
                async with asyncio.timeout(_TO_START):
                    await send_message(process, self._reading)
                    await receive_message(process)
            except TimeoutError:
                await self.close()
                how = f"was not ready within {_TO_START:g} s"
            except (ConnectionError, asyncio.IncompleteReadError):
                how = await self._ended()
            else:
                return process
        raise WorkerUnavailable(f"the process that was to read files {how} at its start")

    async def _ended(self) -> str:
        """Make sure that the process has ended, and say how it did."""
        process, self._process = self._process, None
        if process is None:
            return "has ended"
        code = process.returncode
        if code is None:
            try:  # one that is ending by itself tells why
                async with asyncio.timeout(0.5):
                    code = await process.wait()
            except TimeoutError:
                process.kill()
        await process.communicate()
        if code is None:
            return "was ended"
        return f"was ended by {_name(-code)}" if code < 0 else f"ended with status {code}"


async def spawned(program: str) -> Process:
    """Start a process of a program, which is told what to do through pipes.

    Raises
    ------
    WorkerUnavailable
        None can be started.
    """
    # The child finds the modules where this process does, not in the current folder.
    path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)  # noqa: PTH109
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-W", "ignore", "-c", program),
            stdin=PIPE,
            stdout=PIPE,
            env={**os.environ, "PYTHONPATH": path},
            process_group=0,  # a terminal's Control-C is not for it
            limit=_BUFFER,
        )
    except OSError as error:
        raise WorkerUnavailable(
            f"no process can be started to read files: {error.strerror}"
        ) from error


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


async def send_message(process: Process, message: object) -> None:
    """Send a message to a process."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    process.stdin.writelines(packed(message))
    await process.stdin.drain()


async def receive_message(process: Process) -> Any:  # noqa: ANN401 - whatever the child sent
    """Return the next message of a process.

    Raises
    ------
    asyncio.IncompleteReadError
        The process ended first.
    """
    assert process.stdout is not None  # noqa: S101
    length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES))
    return unpacked(await process.stdout.readexactly(length))
