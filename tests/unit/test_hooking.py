"""Hooks: what is told, by a command and over HTTP, and what becomes of it."""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import psutil
import pytest
from pydantic import ValidationError

from node.config import Config, load
from node.config.hooks import HookSettings
from node.config.show import as_yaml
from node.ops.hooking import command
from node.ops.hooking.command import MOST_OUTPUT, run_command
from node.ops.hooking.deliver import deliver
from node.ops.hooking.event import Event
from schema.hooking.kinds import EventKind
from tests.support.processes import free_port
from tests.support.waiting import wait_until

EVENT = Event(
    id=UUID(int=17),
    kind=EventKind.STUDY_COMPLETE,
    when=datetime(2026, 1, 31, 8, 30, tzinfo=UTC),
    data={"study_uid": "1.2.3", "images": 20},
    patient={"patient_id": "P1"},
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(command, "_TO_END", 0.2)


def has_ended(pid: int) -> bool:
    """Whether a process has; its new parent may take its time to notice."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_event_names_a_patient_only_where_that_is_wanted():
    plain = EVENT.written(include_patient_data=False)
    assert json.loads(plain) == {
        "id": "00000000-0000-0000-0000-000000000011",
        "event": "study_complete",
        "on": "2026-01-31T08:30:00Z",
        "data": {"study_uid": "1.2.3", "images": 20},
    }
    assert plain.endswith(b"}\n")
    assert json.loads(EVENT.written(include_patient_data=True))["patient"] == {"patient_id": "P1"}


async def test_a_command_gets_the_event_and_its_arguments_as_they_are():
    script = "import sys; print(sys.argv[1], sys.stdin.read()); print('x', file=sys.stderr)"
    hook = HookSettings(events="alarm", command=[sys.executable, "-c", script, "$HOME; *"])
    done = await deliver(hook, EVENT)
    told = EVENT.written(include_patient_data=False).decode()
    assert (done.done, done.code, done.again) == (True, 0, False)
    # which of two pipes is read first, nobody can say
    assert sorted(done.output.split("\n")) == sorted(f"$HOME; * {told}\nx\n".split("\n"))


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["sh", "-c", "exit 3"], 3, "it ended with exit code 3"),
        (["sh", "-c", "kill -9 $$"], -9, "signal 9 ended it"),
        (["/no/such/program"], None, "/no/such/program cannot be started: No such file"),
    ],
)
async def test_a_command_that_fails_says_how_and_may_be_tried_again(argv, code, reason):
    done = await run_command(argv, b"{}", timeout=20)
    assert (done.done, done.again, done.code) == (False, True, code)
    assert done.reason.startswith(reason)


async def test_a_command_need_not_read_and_what_it_writes_is_bounded():
    flood = "import sys; sys.stdout.write('y' * 10_000_000)"
    done = await run_command([sys.executable, "-c", flood], b"x" * 5_000_000, timeout=20)
    assert (done.done, done.output) == (True, "y" * MOST_OUTPUT)


async def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started():
    script = 'trap "" TERM; sleep 1000 & echo $!; wait; wait'
    done = await run_command(["sh", "-c", script], b"", timeout=0.3)
    assert (done.done, done.again) == (False, True)
    assert done.reason == "it took longer than 0.3 s, and was ended"
    wait_until(lambda: has_ended(int(done.output)))


async def test_a_command_that_leaves_something_behind_has_ended_when_it_has():
    done = await run_command(["sh", "-c", "sleep 1000 & echo $!; exit 0"], b"", timeout=60)
    assert (done.done, done.seconds < 20) == (True, True)
    wait_until(lambda: has_ended(int(done.output)))


async def test_a_cancelled_command_leaves_nothing_behind(tmp_path):
    where = tmp_path / "pid"
    script = f"echo $$ > {where}.new; mv {where}.new {where}; sleep 1000"
    task = asyncio.create_task(run_command(["sh", "-c", script], b"", timeout=60))
    async with asyncio.timeout(20):
        while not where.exists():
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert has_ended(int(where.read_text()))


@asynccontextmanager
async def serving(*answers):
    """Yield a URL at which these are answered, and the requests so far; None is never answered."""
    requests: list[tuple[str, dict[str, str], bytes]] = []
    left = list(answers)

    async def serve(reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
            }
            body = await reader.readexactly(int(headers["content-length"]))
            requests.append((first, headers, body))
            status = left.pop(0)
            if status is None:
                await reader.read()
            else:
                location = "Location: http://127.0.0.1:1/\r\n" if status == 302 else ""
                writer.write(
                    f"HTTP/1.1 {status} So\r\n{location}Content-Length: 4\r\n"
                    "Connection: close\r\n\r\nsaid".encode()
                )
                await writer.drain()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/hooks?x=1", requests


def hook_at(url, **settings):
    return HookSettings(events=["study_complete"], url=url, **settings)


async def test_a_request_is_signed_and_sent_again_until_it_is_taken():
    async with serving(503, 429, 202) as (url, requests):
        hook = hook_at(url, secret="s3cret", include_patient_data=True)
        done = await deliver(hook, EVENT, wait=0.001)
    assert (done.done, done.attempts, done.code, done.reason) == (True, 3, 202, "")
    for first, headers, body in requests:
        assert first == "POST /hooks?x=1 HTTP/1.1"
        assert headers["content-type"] == "application/json"
        assert body == EVENT.written(include_patient_data=True)
        assert headers["webhook-id"] == str(EVENT.id)
        ago = datetime.now(UTC).timestamp() - int(headers["webhook-timestamp"])
        assert -1 <= ago < 60
        content = f"{EVENT.id}.{headers['webhook-timestamp']}.".encode() + body
        digest = hmac.new(b"s3cret", content, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("answers", "settings", "attempts", "again", "reason"),
    [
        ([400], {}, 1, False, "it answered with HTTP status 400"),
        ([302], {}, 1, False, "it answered with HTTP status 302"),
        ([500, 502], {}, 2, True, "it answered with HTTP status 502"),
        ([None, None], {"timeout": 0.1}, 2, True, "no answer within 0.1 s"),
    ],
)
async def test_a_request_that_is_not_taken_says_why_and_whether_it_may_be(
    answers, settings, attempts, again, reason
):
    async with serving(*answers) as (url, requests):
        done = await deliver(hook_at(url, **settings), EVENT, attempts=2, wait=0.001)
    assert (done.done, done.again, done.attempts) == (False, again, attempts)
    assert done.reason == reason
    assert len(requests) == attempts
    assert "webhook-signature" not in requests[0][1]


async def test_nobody_listens_and_the_secret_part_of_the_url_is_not_told():
    port = free_port()
    done = await deliver(hook_at(f"http://127.0.0.1:{port}/s3cret"), EVENT, attempts=1)
    assert (done.done, done.again, done.reason) == (
        False,
        True,
        f"no connection to 127.0.0.1:{port}",
    )


async def test_a_secret_is_read_from_its_file_each_time(tmp_path):
    file = tmp_path / "secret"
    signatures = []
    async with serving(200, 200) as (url, requests):
        hook = hook_at(url, secret_file=file)
        missing = await deliver(hook, EVENT)
        assert (missing.done, missing.again) == (False, True)
        assert missing.reason == f"{file}: No such file or directory"
        for secret in ("one\n", f"whsec_{base64.b64encode(b'two').decode()}"):
            file.write_text(secret)
            assert (await deliver(hook, EVENT)).done
        for key, (_, headers, body) in zip((b"one", b"two"), requests, strict=True):
            content = f"{EVENT.id}.{headers['webhook-timestamp']}.".encode() + body
            digest = hmac.new(key, content, hashlib.sha256).digest()
            signatures.append(
                headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
            )
    assert signatures == [True, True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"events": "alarm"}, "give command or url"),
        ({"events": "alarm", "command": "x", "url": "http://x"}, "give command or url"),
        ({"events": [], "command": "x"}, "one or more of study_complete"),
        ({"events": "study_lost", "command": "x"}, "'study_complete', 'study_failed'"),
        ({"events": "alarm", "command": "x", "secret": "s"}, "it goes with url"),
        ({"events": "alarm", "url": "http://x", "secret": "s", "secret_file": "f"}, "not both"),
        ({"events": "alarm", "url": "ftp://x"}, "begins with http:// or https://"),
        ({"events": "alarm", "url": "http://me:pw@x"}, "a login in it"),
        ({"events": "alarm", "command": ["", "x"]}, "a program and its arguments"),
    ],
)
def test_hooks_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Config(hooks={"lab": settings})


def test_a_hook_is_configured_in_the_file_and_its_secret_in_the_environment(tmp_path):
    file = tmp_path / "node.yaml"
    file.write_text(
        "hooks:\n"
        "  lab: {events: [study_complete, alarm], command: /opt/told --new 'one two'}\n"
        "  chat: {events: alarm, url: https://hooks.example.org/T0/s3cret, timeout: 5s}\n"
        "  rest: {events: alarm, url: https://rest.example.org, secret_file: key}\n"
    )
    loaded = load(file, environ={"DICOM_NODE__HOOKS__CHAT__SECRET": "pst"})
    lab, chat, rest = loaded.config.hooks.values()
    assert lab.command == ("/opt/told", "--new", "one two")
    assert lab.events == (EventKind.STUDY_COMPLETE, EventKind.ALARM)
    assert (chat.secret.get_secret_value(), chat.timeout) == ("pst", 5)
    assert rest.secret_file == tmp_path / "key"
    shown = as_yaml(loaded)
    assert "https://hooks.example.org/***" in shown
    assert "s3cret" not in shown
    assert "pst" not in shown
    assert loaded.notes == ()
