"""Run a command that is told an event on its standard input."""

import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from io import FileIO

from node.ops.hooking.event import Delivery

MOST_OUTPUT = 16 * 1024
"""Bytes of what a command writes that are kept; the rest is read, and dropped."""

_CHUNK = 1 << 16
_TO_END = 2.0
"""Seconds that a command has between SIGTERM and SIGKILL, and its output after its end."""


async def run_command(argv: Sequence[str], body: bytes, *, timeout: float) -> Delivery:
    """Run a command without a shell, give it an event, and wait for its end.

    It has a process group of its own, which is ended when the time is over: what it has started
    ends with it. Its standard output and standard error are one.

    Parameters
    ----------
    argv
        The program, found by PATH, and its arguments.
    timeout
        Seconds until it has to have ended.
    """
    began = time.monotonic()
    try:
        process, taken = await _started(argv, body)
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        return Delivery(done=False, again=True, reason=f"{argv[0]} cannot be started: {said}")
    output = bytearray()
    reading = asyncio.create_task(_read(taken, output), name="hook output")
    late = False
    try:
        try:
            await asyncio.wait_for(process.wait(), timeout)
        except TimeoutError:
            late = True
            await _end(process)
        # what it has left behind may hold the pipe open for ever
        await asyncio.wait({reading}, timeout=_TO_END)
    finally:
        if late or process.returncode is None or not reading.done():
            _signal(process, signal.SIGKILL)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        taken.close()
        await process.wait()
    reason = ""
    if late:
        reason = f"it took longer than {timeout:g} s, and was ended"
    elif code := process.returncode:
        reason = f"it ended with exit code {code}" if code > 0 else f"signal {-code} ended it"
    return Delivery(
        done=not reason,
        again=bool(reason),
        reason=reason,
        code=process.returncode,
        output=output.decode(errors="replace"),
        seconds=time.monotonic() - began,
    )


async def _started(argv: Sequence[str], body: bytes) -> tuple[asyncio.subprocess.Process, FileIO]:
    """Start a command; return it, and the pipe from which its output is read.

    Neither is one of asyncio's own pipes: it would wait for whoever has inherited them, and a
    command that has ended has ended.
    """
    with tempfile.TemporaryFile() as given:
        given.write(body)
        given.seek(0)
        reading, written = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=given, stdout=written, stderr=written, start_new_session=True
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(written)
    return process, FileIO(reading)


async def _read(taken: FileIO, output: bytearray) -> None:
    """Read what a command writes until nobody can write any more; keep the beginning."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), taken
    )
    try:
        while chunk := await reader.read(_CHUNK):
            output += chunk[: MOST_OUTPUT - len(output)]
    finally:
        transport.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), _TO_END)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Send a signal to the command's process group, whose number is the command's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
