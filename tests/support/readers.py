"""Starts the processes that read headers without the third of a second that loading takes.

A process that has loaded what they need forks for each of them. What comes is a child of the
process that wanted it, with its pipes, folder, environment and process group, and nothing of an
earlier one: its parent sees no difference but the time. It runs the program that it was asked to,
which a test may have changed. For what the installed script starts, an interpreter is started as
ever.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from schema.parsing import extract, worker

_COMMAND = [sys.executable, "-P", "-W", "ignore", "-c"]
_LARGEST = 1 << 17
_READY = b"ready"

_CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())
"""The number of the system call `clone`; where it is not known, nothing is forked."""

_CLONE_PARENT = 0x8000


class Readers:
    """Forks what reads headers for the process in which it is made, until it is closed.

    `server` is the child that forks, and `control` leads to it.
    """

    def __init__(self, server: int, control: socket.socket) -> None:
        self.pid = server
        self._control = control
        self._asking = threading.Lock()
        self._really: Any = subprocess._fork_exec  # type: ignore[attr-defined]
        assert control.recv(64) == _READY, "the process that forks what reads headers has ended"
        subprocess._fork_exec = self._fork_exec  # type: ignore[attr-defined]

    def close(self) -> None:
        """Start all processes afresh again; the one that forks ends by itself."""
        subprocess._fork_exec = self._really  # type: ignore[attr-defined]
        self._control.close()

    def _fork_exec(self, args: Sequence[str], *others: Any) -> int:
        """Do as the function of that name, which knows its arguments by their places."""
        *command, program = args
        if command != _COMMAND:
            started: int = self._really(args, *others)
            return started
        _, _, _, _, environment, stdin, _, _, stdout, *_ = others
        variables = [os.fsdecode(one).partition("=") for one in environment]
        asked = {
            "program": program,
            "cwd": os.getcwd(),  # noqa: PTH109 - for another process
            "env": {name: value for name, _, value in variables},
        }
        message = json.dumps(asked).encode()
        assert len(message) < _LARGEST, "the environment is too large"
        with self._asking:
            socket.send_fds(self._control, [message], [stdin, stdout, 2])
            answer = self._control.recv(64)
        assert answer, "the process that forks what reads headers has ended"
        return int(answer)


def from_here() -> Readers | None:
    """Fork the server from this process, which has one thread; None where that cannot be."""
    if _CLONE is None:
        return None
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if not pid:
        control.close()
        _serve(theirs)
    theirs.close()
    return Readers(pid, control)


def afresh() -> Readers | None:
    """Start the server for this process, which may have threads; None where that cannot be."""
    if _CLONE is None:
        return None
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", __file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    process.returncode = 0  # it is waited for by nobody, and ends with this process
    return Readers(process.pid, control)


def _serve(control: socket.socket) -> NoReturn:
    """Fork for each process that is asked for, until nobody can ask any more."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # they are for the parent, whose end is ours
    control.send(_READY)
    while True:
        message, files, _, _ = socket.recv_fds(control, _LARGEST, 3)
        if not message:
            os._exit(0)
        if not _sibling():
            _read(control, json.loads(message), files)
        for descriptor in files:
            os.close(descriptor)


def _sibling() -> int:
    """Do as `os.fork`, but what is forked is a child of this process's parent."""
    python, system = ctypes.pythonapi, ctypes.PyDLL(None)
    python.PyOS_BeforeFork()
    pid: int = system.syscall(_CLONE, _CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if not pid:
        python.PyOS_AfterFork_Child()
        return 0
    python.PyOS_AfterFork_Parent()
    assert pid > 0, "the system refuses to fork"
    return pid


def _read(control: socket.socket, asked: dict[str, Any], files: list[int]) -> NoReturn:
    """Be a process that reads headers, as an interpreter with that program is."""
    code = 1
    try:
        os.setpgid(0, 0)
        for target, descriptor in enumerate(files):
            os.dup2(descriptor, target)
        control.send(str(os.getpid()).encode())
        os.closerange(3, max(*files, control.fileno()) + 1)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        time.tzset()
        streams = [os.fdopen(number, mode) for number, mode in enumerate("rww")]
        sys.stdin, sys.stdout, sys.stderr = streams
        exec(asked["program"], {"__name__": "__main__"})
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001 - the interpreter would do the same
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    assert extract, worker
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
