"""Hooks are told what has happened, at least once, whatever becomes of the node or of them."""

import base64
import hashlib
import hmac
import json
import signal
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated
from tests.support.waiting import wait_until

DATES = ("--from", "2024-01-01", "--to", "2024-01-10")
WRITE = 'read -r line; printf "%s\\n" "$line" >> "$0"; echo told'
WRITE_AND_WAIT = f'{WRITE}; until [ -e "$1" ]; do sleep 0.05; done'
SECRET = "s3cret"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("corpus"), studies=1, images=3)


@contextmanager
def a_node(cli, tmp_path, url, corpus, **settings):
    """Yield a node, and a PACS that has one study."""
    node = Node(cli, tmp_path / "node", url)
    port = free_port()
    move = {"settle": "0.3s"} | settings.pop("move", {})
    node.configure({"pacs": ("PACS", port)}, settings={"move": move, **settings})
    with simulated(node, corpus[0].path.parent, port):
        yield node


@contextmanager
def web_server(*answers):
    """Yield a URL that answers with these, then with 200, and what came to it."""
    came: list[tuple[dict[str, str], bytes]] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(left.pop(0) if left else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/told", came
        finally:
            server.shutdown()
            thread.join()


def signed_rightly(headers: dict[str, str], body: bytes) -> bool:
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(SECRET.encode(), content, hashlib.sha256).digest()
    return headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def lines_of(path) -> list[dict]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_complete_study_is_told_to_a_command_and_to_a_url(cli, tmp_path, migrated_url, corpus):
    told = tmp_path / "told.jsonl"
    with web_server(500, 500) as (url, came):
        hooks = {
            "hangs": {"events": "study_complete", "command": ["sleep", "1000"]},
            "lab": {
                "events": ["study_complete", "cycle_end"],
                "command": ["sh", "-c", WRITE, str(told)],
                "include_patient_data": True,
            },
            "chat": {
                "events": "study_complete",
                "url": url,
                "secret": SECRET,
                "retry": "0.1s",
            },
            "picky": {"events": "study_complete", "command": ["sh", "-c", "echo no; exit 3"]},
        }
        hooks["picky"] |= {"attempts": 1}
        with a_node(
            cli, tmp_path, migrated_url, corpus, hooks=hooks, node={"grace": "0.2s"}
        ) as node:
            with node.running() as daemon:
                node.ok("find", "pacs", *DATES)
                node.ok("move", "pacs")
                wait_until(lambda: len(lines_of(told)) == 3 and len(came) == 3)
                daemon.wait_for_line("Hook picky was not told .* 1 attempt: it ended with exit")
                wait_until(
                    lambda: {one["state"] for one in listed(node, "lab", "chat")} == {"done"}
                )
            check_command(lines_of(told), corpus[0].study_uid)
            check_requests(came, corpus[0].study_uid)
            check_commands(node)


def listed(node: Node, *hooks: str) -> list[dict]:
    return [one for one in node.json("hooks", "list")["deliveries"] if one["hook"] in hooks]


def check_command(told: list[dict], study_uid: str) -> None:
    by_kind = {(one["event"], one["data"].get("kind")): one for one in told}
    assert by_kind.keys() == {
        ("study_complete", None),
        ("cycle_end", "find"),
        ("cycle_end", "move"),
    }
    complete = by_kind["study_complete", None]
    assert complete["data"] == {
        "study_uid": study_uid,
        "images": 3,
        "evidence": "listed",
        "peer": "pacs",
        "peers": ["pacs"],
    }
    assert complete["patient"]["patient_id"]
    moved = by_kind["cycle_end", "move"]["data"]
    assert (moved["outcome"], moved["counts"]["complete"]) == ("done", 1)
    assert "patient" not in json.dumps(moved)


def check_requests(came: list[tuple[dict[str, str], bytes]], study_uid: str) -> None:
    assert all(signed_rightly(headers, body) for headers, body in came)
    assert len({(headers["webhook-id"], body) for headers, body in came}) == 1
    event = json.loads(came[0][1])
    assert (event["id"], event["data"]["study_uid"]) == (came[0][0]["webhook-id"], study_uid)
    assert event.keys() == {"id", "event", "on", "data"}


def check_commands(node: Node) -> None:
    """Check what an operator sees of it, and does about it."""
    (hangs,) = listed(node, "hangs")
    assert (hangs["state"], hangs["attempts"]) == ("waiting", 1)  # it was broken off
    (failed,) = node.json("hooks", "list", "--state", "failed")["deliveries"]
    assert (failed["hook"], failed["code"], failed["output"]) == ("picky", 3, "no\n")
    shown = node.ok("hooks", "show", str(failed["id"])).stdout
    assert "reason      it ended with exit code 3\n" in shown
    assert shown.endswith("\nno\n")
    row = node.ok("hooks", "list", "--hook", "picky").stdout.splitlines()[1]
    assert row.split()[1:3] == ["picky", "study_complete"]
    assert row.endswith("1  it ended with exit code 3")
    assert node.ok("hooks", "retry").stdout == "1 delivery is to be told again\n"
    assert node.ok("hooks", "retry").stdout == "0 deliveries are to be told again\n"
    (again,) = node.json("hooks", "retry", str(failed["id"]))["deliveries"]
    assert (again["state"], again["attempts"]) == ("waiting", 0)
    unknown = node("hooks", "show", "999")
    assert (unknown.code, unknown.stderr.splitlines()[0]) == (
        2,
        f"dicom-node: there is no delivery 999; `dicom-node hooks list -f {node.config}` "
        "shows them",
    )
    assert (
        "there is no hook nobody; the configuration has hangs"
        in node("hooks", "list", "--hook", "nobody").stderr
    )
    assert node("hooks", "list", "--state", "lost").code == 2


def test_a_killed_node_tells_at_its_next_start_what_it_was_at_and_what_it_had_not_begun(
    cli, tmp_path, migrated_sqlite_url, corpus
):
    told, gate = tmp_path / "told.jsonl", tmp_path / "gate"
    hooks = {
        "lab": {
            "events": ["study_complete", "cycle_end"],
            "command": ["sh", "-c", WRITE_AND_WAIT, str(told), str(gate)],
        }
    }
    count = "SELECT count(*) FROM events"
    with a_node(
        cli, tmp_path, migrated_sqlite_url, corpus, hooks=hooks, move={"every": "1h"}
    ) as node:
        node.ok("find", "pacs", *DATES)
        daemon = node.start()  # it moves what was found
        wait_until(lambda: lines_of(told) and node.value(count) == 3)
        daemon.signal(signal.SIGKILL)
        daemon.wait(10)
        (first,) = lines_of(told)
        gate.touch()
        with node.running():
            wait_until(
                lambda: node.value("SELECT count(*) FROM deliveries WHERE state = 'done'") >= 3
            )
        events = [row["uuid"] for row in node.rows("SELECT uuid FROM events ORDER BY id")]
        ids = [one["id"] for one in lines_of(told)]
        assert ids[:2] == [first["id"], first["id"]]
        assert set(events[:3]) <= set(ids)
        assert node.value("SELECT attempts FROM deliveries WHERE id = 1") == 2
