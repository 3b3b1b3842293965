"""What is forked to read headers is what `schema.parsing.pool` would start itself."""

import os
import resource
import signal
from pathlib import Path

import pytest

from schema.parsing.extract import Reading
from schema.parsing.pool import Worker, WorkerDied
from tests.support import readers
from tests.support.files import readable_files
from tests.support.processes import child_processes

PATHS = [str(path) for path in readable_files()[:5]]


async def read(worker):
    return [one async for answers in worker.extract(PATHS) for one in answers]


async def described(monkeypatch, folder):
    """Return what a process that reads headers answers, is, and has open, and how it ends."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SAID", "here")
    worker = Worker(Reading(institution="Hospital", niceness=7))
    try:
        answers = await read(worker)
        pid = worker.pid
        assert pid in child_processes()
        process = Path(f"/proc/{pid}")
        opened = {number: str((process / "fd" / str(number)).readlink()) for number in (0, 1, 2)}
        known = {
            "answers": answers,
            "group": os.getpgid(pid) == pid,
            "session": os.getsid(pid) == os.getsid(0),
            "nice": os.getpriority(os.PRIO_PROCESS, pid),
            "memory": resource.prlimit(pid, resource.RLIMIT_DATA),
            "folder": (process / "cwd").readlink(),
            "open": sorted(int(one.name) for one in (process / "fd").iterdir()),
            "kinds": [opened[number].partition(":")[0] for number in (0, 1)],
            "errors": opened[2],
            "ignored": [
                line
                for line in (process / "status").read_text().splitlines()
                if line.startswith(("SigIgn", "SigBlk"))
            ],
        }
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerDied) as died:
            await read(worker)
        known["end"] = str(died.value)
        assert await read(worker) == answers  # another one, started anew
        assert worker.pid not in {pid, None}
    finally:
        await worker.close()
    return known


@pytest.mark.skipif(readers._CLONE is None, reason="nothing is forked on this processor")
async def test_a_forked_reader_is_what_the_interpreter_would_be(monkeypatch, tmp_path):
    forked = await described(monkeypatch, tmp_path)
    monkeypatch.setattr(readers, "_COMMAND", ["nothing"])
    assert await described(monkeypatch, tmp_path) == forked
