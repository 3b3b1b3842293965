"""Runs `dicom-node` without the second that an interpreter takes to load it.

A process of its own has loaded all of its modules, and forks for each command. What runs is a
process like any other, with its own streams, folder, environment, signals and exit status, and
nothing of an earlier one. Only its start is saved: it is for commands whose start is not the point.
Programs of tests that use the node's modules are forked likewise.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import importlib.util
import io
import json
import logging
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

_LARGEST = 1 << 17
_READY = "ready"

_LIBRARIES = (
    *("alembic.command", "aiosqlite", "asyncpg", "sqlalchemy.orm"),
    *("rich.progress", "rich.table", "typer.main", "typer.rich_utils"),
    *("sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.sqlite.aiosqlite"),
)
_HEAVY = ("aiohttp", "numpy", "pydantic", "pydicom", "pynetdicom", "sqlalchemy.ext.asyncio", "yaml")
_COMMON = (
    *("node.cli.app", "node.config", "node.logs"),
    *("schema", "schema.engine.database", "schema.tables.metadata"),
)
"""The tree of commands, the settings and the tables, which every command has."""


_LARGE_PAGE = 1 << 21
_COLLAPSE = 25  # MADV_COLLAPSE of Linux 6.1

_FIRST = """\
db init
find pacs --study 1.2.3
move pacs
status
cycles list
cycles show 1
cycles cancel 1
explain 1.2.3
hold 1.2.3
project create knee
project add knee --study 1.2.3
project show knee
report
verify
coverage pacs
manifest create --all -o all.sha256
"""
"""Commands that are run before the first fork: the libraries make much of their own at first use,
and compile each statement once. They fail, where they do, as nothing is there and nobody answers.
"""

_READING = {"run", "move", "parse", "reconcile", "quarantine", "demo"}
"""Commands that have headers read by other processes, which are forked as well (`readers`)."""


class Forked:
    """A command under way: what `subprocess.Popen` says of it, and does to it."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._end = end

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit status."""
        if self.returncode is None:
            if not select.select([self._end], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("dicom-node", timeout or 0)
            answer = self._end.recv(64)
            self._end.close()
            assert answer, "the process that forks for the tests has ended"
            self.returncode = int(answer)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


class Forks:
    """Starts commands; a context manager, whose process is started with the first of them.

    `environment` is what the interpreter itself is started with. With `libraries_only`, nothing of
    the node is loaded before a fork but what every command has: each finds by itself what else it
    needs.
    """

    def __init__(self, environment: Mapping[str, str], *, libraries_only: bool = False) -> None:
        self._environment = dict(environment)
        self._options = ["libraries"] if libraries_only else []
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process that forks; None before the first command."""
        return self._process.pid if self._process else None

    def start(
        self,
        args: Sequence[str],
        *,
        stdin: int | IO[Any],
        stdout: int | IO[Any],
        stderr: int | IO[Any],
        cwd: Path,
        env: Mapping[str, str],
        session: bool = False,
        program: bool = False,
    ) -> Forked:
        """Start `dicom-node` with arguments, in a session of its own when that is asked for.

        For a `program` the arguments are those of the interpreter: `-m MODULE …` or `-c TEXT …`.
        """
        with self._starting:
            control = self._begun()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        asked = {"args": list(args), "cwd": str(cwd), "env": dict(env), "session": session}
        asked["program"] = program
        files = [one if isinstance(one, int) else one.fileno() for one in (stdin, stdout, stderr)]
        with theirs:
            message = json.dumps(asked).encode()
            assert len(message) < _LARGEST, "the environment is too large"
            socket.send_fds(control, [message], [*files, theirs.fileno()])
        return Forked(int(ours.recv(64)), ours)

    def _begun(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs, tempfile.TemporaryFile() as said:
                # -P: nothing is found in the current folder, as for an installed script
                self._process = subprocess.Popen(
                    [sys.executable, "-P", __file__, str(theirs.fileno()), *self._options],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    env=self._environment,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
                answer = self._control.recv(64)
                said.seek(0)
                words = said.read().decode(errors="replace")
                assert (answer, words) == (_READY.encode(), ""), f"loading the node said: {words}"
        return self._control

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait(10)


def _load() -> None:
    """Load every module that a command may load when it runs."""
    for package in ("node", "schema", "migrations"):
        found = importlib.import_module(package)
        for module in pkgutil.walk_packages(found.__path__, f"{package}."):
            if not module.name.startswith("migrations.") and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    _load_libraries()
    _prepare()
    for name in ("readers", "statements"):
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])


def _load_libraries() -> None:
    """Load what others have written, which takes most of a start."""
    for library in (*_LIBRARIES, *_HEAVY):
        importlib.import_module(library)


def _prepare() -> None:
    """Make once what every command makes of what is loaded, before it looks at its arguments.

    That is the tree of commands and options, and how the classes of the tables belong together.
    """
    sys.modules["sqlalchemy.orm"].configure_mappers()
    typer, app = sys.modules["typer.main"], sys.modules["node.cli.app"].app
    made, really = typer.get_command(app), typer.get_command
    typer.get_command = lambda one: made if one is app else really(one)


def _run_first() -> None:
    """Run the first commands here, in a folder of their own, and leave nothing of them behind."""
    before, said = Path.cwd(), io.StringIO()
    run = sys.modules["node.cli.app"].run
    statements = sys.modules["statements"]
    compiled = statements.compile_once()
    with tempfile.TemporaryDirectory(prefix="first-") as folder:
        os.chdir(folder)
        settings = {
            "storage": {"resources": f"sqlite:///{folder}/node.db", "directory": f"{folder}/files"},
            "peers": {"pacs": {"aetitle": "PACS", "host": "127.0.0.1", "port": 1}},
        }
        Path("node.yaml").write_text(json.dumps(settings), encoding="utf-8")
        with redirect_stdout(said), redirect_stderr(said):
            for line in _FIRST.splitlines():
                run([*line.split(), "--config", "node.yaml"])
        os.chdir(before)
    assert "unexpected error" not in said.getvalue(), said.getvalue()
    assert threading.active_count() == 1, "a thread of the first commands is left"
    logging.captureWarnings(capture=False)
    for handler in list(logging.root.handlers):
        logging.root.removeHandler(handler)
    logging.root.setLevel(logging.WARNING)
    for name in sys.modules["node.logs"].FOREIGN:
        logging.getLogger(name).setLevel(logging.NOTSET)
    statements.compile_also(compiled, "postgresql+asyncpg://")


def _in_large_pages() -> None:
    """Have the kernel keep what is loaded in pages of 2 MB, where it can.

    A fork copies the list of pages, and takes it to pieces when it ends: that is most of what it
    costs, and thirty thousand small pages take three times as long.
    """
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            span, mode, _, _, inode, *name = line.split()
            if (mode, inode) == ("rw-p", "0") and name in ([], ["[heap]"]):
                first, end = (int(part, 16) for part in span.split("-"))
                first = -(-first // _LARGE_PAGE) * _LARGE_PAGE
                if length := max(end - first, 0) // _LARGE_PAGE * _LARGE_PAGE:
                    advise(first, length, _COLLAPSE)  # a refusal costs time, nothing else


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork for each command that is asked for; in the fork, return what was asked.

    None when nobody will ask any more.
    """
    ends: dict[int, socket.socket] = {}
    signals, woken = os.pipe()
    for descriptor in (signals, woken):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        readable, _, _ = select.select([control, signals], [], [])
        if signals in readable:
            os.read(signals, 4096)
            for pid in list(ends):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    code = os.waitstatus_to_exitcode(status)
                    with suppress(OSError), ends.pop(pid) as end:
                        end.send(str(code).encode())
        if control not in readable:
            continue
        message, files, _, _ = socket.recv_fds(control, _LARGEST, 4)
        if not message:
            return None
        *streams, last = files
        end = socket.socket(fileno=last)
        if pid := os.fork():
            ends[pid] = end
            end.send(str(pid).encode())
            for descriptor in streams:
                os.close(descriptor)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for one in (control, end, *ends.values()):
            one.close()
        for descriptor in (signals, woken):
            os.close(descriptor)
        for target, descriptor in enumerate(streams):
            os.dup2(descriptor, target)
            os.close(descriptor)
        asked: dict[str, Any] = json.loads(message)
        return asked


def main(descriptor: int, *, libraries_only: bool) -> None:
    """Serve; in a fork, be the command."""
    if libraries_only:
        _load_libraries()
        for module in _COMMON:
            importlib.import_module(module)
        _prepare()
    else:
        _load()
        _run_first()
    gc.collect()
    gc.freeze()  # the forks share what is loaded
    _in_large_pages()
    control = socket.socket(fileno=descriptor)
    control.send(_READY.encode())
    asked = _serve(control)
    if asked is None:
        return
    if asked["session"]:
        os.setsid()
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    if "readers" in sys.modules and _READING.intersection(asked["args"]):
        sys.modules["readers"].from_here()
    run = _program if asked["program"] else _command
    try:
        run(asked["args"])
        _exit(0)
    except SystemExit as stop:
        _exit(int(stop.code or 0))


def _command(args: list[str]) -> None:
    """Be `dicom-node`."""
    sys.argv = [str(Path(sys.executable).parent / "dicom-node"), *args]
    importlib.import_module("node.cli.app").main()


def _program(args: list[str]) -> None:
    """Be the interpreter, which finds modules in the current folder too."""
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - a text
    kind, what, *others = args
    sys.argv = [kind, *others]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(what, {"__name__": "__main__"})


def _exit(code: int) -> None:
    """End as the interpreter does, but for taking to pieces what all forks share."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    gc.collect()  # what is only now found to be left open says so
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = 120
    os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]), libraries_only=len(sys.argv) > 2)
