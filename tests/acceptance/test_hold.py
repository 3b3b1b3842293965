"""Studies are held, released, asked for again, and ended, from another process than the move's."""

import asyncio
import socket

import pytest

from schema import Database, record_found
from tests.db.records import finding
from tests.support.node import Node
from tests.support.waiting import wait_until

FIRST, SECOND = "1.2.3.1", "1.2.3.2"


@pytest.fixture
def silent():
    """A PACS that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def node(cli, tmp_path, migrated_url, silent):
    peers = {"pacs": ("PACS", silent.getsockname()[1])}
    daily = {"move": {"every": "15m"}}
    node = Node(cli, tmp_path / "node", migrated_url, peers=peers, settings=daily)

    async def find() -> None:
        async with Database(migrated_url) as database, database.begin() as session:
            answers = [finding(uid, 1, AccessionNumber=f"A{uid[-1]}") for uid in (FIRST, SECOND)]
            await record_found(session, answers, peer="pacs")

    asyncio.run(find())
    return node


def test_what_is_held_is_left_by_moves_that_do_not_name_it_and_explain_says_why(node):
    def planned(*options):
        return [one["study_uid"] for one in node.json("move", *options, "--plan")["would_move"]]

    listed = node.folder / "list.txt"
    listed.write_text(f"{FIRST}\n1.2.3.9\n")
    held = node("hold", "--list", listed, "--reason", "it is migrated")
    assert (held.code, held.stdout) == (1, "1 study is held\n")
    assert f"{listed}, line 2: no find has recorded 1.2.3.9" in held.stderr
    assert (planned(), planned("--study", FIRST), planned("--accession", "A1")) == (
        [SECOND],
        [FIRST],
        [FIRST],
    )
    told = node("explain", FIRST).stdout
    assert "State: held." in told
    assert "- pacs is not asked: an operator holds the study since 20" in told
    assert f"(it is migrated). `dicom-node release {FIRST} -f {node.config}` lets it be" in told
    again = node("hold", FIRST)
    assert (again.stdout, again.stderr) == (
        "nothing is changed\n",
        "1 study stays as before: held\n",
    )
    released = node.json("release", "--peer", "pacs")
    assert released == {"changed": 1, "unchanged": {"pending": 1}, "unknown": []}
    assert planned() == [FIRST, SECOND]
    node.change("UPDATE study_sources SET state = 'failed', given_up_on = found_on")
    again = node.ok("retry", "--accession", "A1", SECOND)
    assert again.stdout == "2 studies are due now\n"
    left = node.ok("retry", SECOND, "--peer", "pacs").stdout
    assert left == "1 study is due now\n"
    assert node.value("SELECT count(*) FROM study_sources WHERE given_up_on IS NULL") == 2
    unknown = node("hold", "1.2.3.9")
    assert (unknown.code, "no find has recorded the study 1.2.3.9" in unknown.stderr) == (2, True)
    nothing = node("cancel")
    assert (nothing.code, "say which studies" in nothing.stderr) == (2, True)
    assert node.ok("cancel", FIRST).stdout == "Nothing was being moved\n"
    node.ok("hold", FIRST, SECOND)
    assert node.json("retry", FIRST) == {
        "changed": 0,
        "unchanged": {},
        "when_released": 1,
        "unknown": [],
    }
    later = node.ok("retry", FIRST, SECOND)
    assert later.stdout == "0 studies are due now\n"
    assert later.stderr == "2 studies are held, and due once released\n"
    assert "of 2 studies found there, 2 are held: " in node.ok("move", "pacs").stdout
    node.change("UPDATE study_sources SET state = 'retrieved', verified_on = found_on WHERE id = 1")
    assert node.json("release", "--peer", "pacs")["changed"] == 2, "also what has come meanwhile"
    node.change("UPDATE study_sources SET state = 'unwanted', verified_on = NULL")
    assert node.ok("retry", "--peer", "pacs").stdout == "2 studies are due now\n"
    node.change(
        "INSERT INTO move_attempts (study_find_id, peer, method, claimed_on)"
        " SELECT id, 'pacs', 'C-MOVE', found_on FROM studies_find"
    )
    ended = node.ok("cancel", FIRST)
    assert ended.stdout == f"{FIRST}: the attempt has ended; its process did not answer\n"
    assert ended.stderr == (
        "the daemon asks for it again with its next cycle; --hold prevents that\n"
    )


def test_a_study_that_hangs_is_ended_from_outside_and_then_all_that_its_move_is_at(
    cli, node, silent, tmp_path
):
    log = tmp_path / "move.log"
    move = cli.start("move", "pacs", "--concurrency", "1", "--config", node.config, log=log)
    try:
        with silent.accept()[0]:
            is_open = "SELECT count(*) FROM move_attempts WHERE ended_on IS NULL"
            wait_until(lambda: node.value(is_open) == 2)
            ended = node.ok("cancel", FIRST, "--hold", "--reason", "it hangs")
            assert ended.stdout == f"{FIRST}: the attempt has ended\n1 study is held\n"
            assert not ended.stderr
            assert node.ok("cancel", FIRST, "--hold").stdout == "Nothing was being moved\n"
            states = "SELECT state FROM study_sources ORDER BY study_find_id"
            first, _ = node.rows(states)
            assert first["state"] == "held"
            whole = node.ok("cancel", "--peer", "pacs")
            assert whole.stdout == (
                f"cycle 1, the move from pacs, has ended\n{SECOND}: the attempt has ended\n"
            )
            assert whole.stderr == (
                "the daemon asks pacs for what is open there again with its next cycle; "
                f"`dicom-node hold --peer pacs -f {node.config}` prevents that\n"
            )
            assert move.wait(10) == 1
        assert [row["state"] for row in node.rows(states)] == ["held", "pending"]
        assert node.rows("SELECT outcome FROM cycles") == [{"outcome": "cancelled"}]
        attempts = node.rows("SELECT DISTINCT outcome FROM move_attempts")
        assert attempts == [{"outcome": "interrupted"}]
    finally:
        move.kill()
