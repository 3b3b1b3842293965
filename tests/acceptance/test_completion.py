"""What a shell completes: peers of the configuration, projects, what is in quarantine."""

import asyncio

import pytest

from schema import Database
from schema.quarantine import add_quarantined
from tests.support.node import Node


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url):
    peers = {"pacs": ("PACS", 11113), "paris": ("PARIS", 11114), "archive": ("ARCHIVE", 11115)}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


def completed(node, *words, by=None):
    """Return what bash is offered for the last word; `by` is what runs the command."""
    arguments = ("dicom-node", *words)
    done = (by or node.cli)(
        env={
            "_DICOM_NODE_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(arguments),
            "COMP_CWORD": str(len(arguments) - 1),
            "DICOM_NODE_CONFIG": str(node.config),
        }
    )
    assert (done.code, done.stderr) == (0, "")
    return done.stdout.split()


def test_peers_projects_and_what_is_in_quarantine_are_completed(node):
    for name in ("knee", "hip"):
        node.ok("project", "create", name)

    async def quarantine() -> None:
        async with Database(node.database_url) as database, database.begin() as session:
            await add_quarantined(session, filepath="/x/1", reason="why", kind="conflict")

    asyncio.run(quarantine())
    assert completed(node, "move", "pa", by=node.cli.installed) == ["pacs", "paris"]
    assert completed(node, "query", "he") == ["here"]
    assert completed(node, "fetch", "ar") == ["archive"]
    assert completed(node, "project", "show", "k") == ["knee"]
    assert completed(node, "move", "--project", "h") == ["hip"]
    assert completed(node, "quarantine", "list", "--kind", "co") == ["conflict"]
    assert completed(node, "quarantine", "accept", "1") == ["1"]


def test_nothing_is_said_where_nothing_is_known(node):
    node.config.write_text("peers: [")
    assert completed(node, "move", "pa") == []
    assert completed(node, "project", "show", "k") == []
