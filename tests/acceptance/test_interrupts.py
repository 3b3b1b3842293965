"""A command that is asked to end ends in good order, whoever asks."""

import asyncio
import json
import signal
import socket

import pytest
from pydicom.dataset import Dataset

from tests.support.node import Node
from tests.support.scripted_pacs import ScriptedPacs
from tests.support.waiting import wait_until_async


@pytest.fixture
def silent():
    """A PACS that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url, silent):
    peers = {"pacs": ("PACS", silent.getsockname()[1])}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


def ended(process, silent, number):
    """Wait until the command has called the PACS, send it a signal, and return its exit code."""
    silent.settimeout(20)
    with silent.accept()[0]:
        process.signal(number)
        code = process.wait(20)
    assert "dicom-node: interrupted" in process.output()
    assert "Traceback" not in process.output()
    assert "the same find, begun again within a day, goes on" in process.output()
    return code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_ended_records_so_whichever_signal_ends_it(
    number, cli, node, silent, tmp_path
):
    dates = ("--from", "2024-01-01", "--to", "2024-01-01")
    process = cli.start("find", "pacs", *dates, "--config", node.config, log=tmp_path / "find.log")
    try:
        assert ended(process, silent, number) == 130
    finally:
        process.terminate()
    assert node.rows("SELECT outcome FROM cycles") == [{"outcome": "interrupted"}]


def test_sigterm_ends_in_good_order_what_a_shell_has_started_without_control_c(
    cli, node, silent, processes
):
    """A shell's `command &` ignores SIGINT from the start."""
    command = cli.args("find", "pacs", "--last", "1d", "--config", node.config)
    process = processes.start("sh", "-c", 'trap "" INT; exec "$@"', "sh", *command, env=cli.env())
    assert ended(process, silent, signal.SIGTERM) == 130
    assert node.rows("SELECT outcome FROM cycles") == [{"outcome": "interrupted"}]


async def test_the_document_of_an_interrupted_find_has_what_it_had_come_to(
    cli, tmp_path, migrated_sqlite_url
):
    async def script(asked):
        if asked.number > 2:
            await asyncio.Event().wait()
        for number in range(3):
            answer = Dataset()
            answer.StudyInstanceUID = f"1.2.{asked.number}.{number}"
            answer.StudyDate = str(asked.identifier.StudyDate)[:8]
            answer.AccessionNumber = str(asked.identifier.AccessionNumber)
            asked.pending(answer)
        asked.done()

    async def interrupted(*args):
        log = tmp_path / f"{args[0]}.log"
        process = cli.start("find", "pacs", *args, "--json", "--config", node.config, log=log)
        await wait_until_async(lambda: len(pacs.asked) == 3)
        process.signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 20) == 130
        pacs.asked.clear()
        said = process.output()
        return json.loads(said[said.index("{\n") : said.rindex("}") + 1])

    listed = tmp_path / "list.csv"
    listed.write_text("accession\nA1\nA2\nA3\n", encoding="utf-8")
    async with ScriptedPacs(script) as pacs:
        peers = {"pacs": ("PACS", pacs.peer().port)}
        node = Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)
        document = await interrupted("--from", "2024-01-01", "--to", "2024-06-30")
        assert (document["outcome"], document["found"], document["new"]) == ("interrupted", 6, 6)
        assert document["error"]["kind"] == "interrupted"
        document = await interrupted("--accession", "A1", "--accession", "A2", "--accession", "A3")
        assert (document["outcome"], document["found"], document["changed"]) == (
            "interrupted",
            6,
            6,
        )
        document = await interrupted("--list", listed, "--result", tmp_path / "result.csv")
        assert (document["lines"], document["questions"]) == (3, 2)
        assert document["stopped"] == "interrupted"
        assert document["error"]["kind"] == "interrupted"
