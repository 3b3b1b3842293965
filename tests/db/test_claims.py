"""Who works on something: one at a time, in all processes that share a database."""

import errno
import sqlite3
import sys
from contextlib import AsyncExitStack, closing

import pytest
from sqlalchemy import make_url, text

from schema import Database, DatabaseUnavailable
from schema.engine import claims as claiming_module
from schema.engine.claims import claiming
from schema.errors import DatabaseReadOnly
from tests.support.postgresql import end_claims
from tests.support.waiting import wait_until_async

ELSEWHERE = """
import asyncio, sys
from schema import Database
from schema.engine.claims import claiming

async def main():
    async with Database(sys.argv[1]) as database, claiming(database) as claims:
        print(await claims.take("study"), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
async def two(migrated_url):
    """Return the claims of two nodes, each with a `Database` of its own."""
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(Database(migrated_url)) for _ in range(2)]
        yield [await stack.enter_async_context(claiming(one)) for one in databases]


async def test_what_one_node_has_claimed_no_other_can_until_it_is_given_back(two):
    one, other = two
    assert await one.take("study")
    assert not await other.take("study")
    assert not await one.take("study")  # nor itself once more
    assert await other.take("another study")
    assert one.holds("study")
    assert await one.confirm("study")
    assert not await other.confirm("study")
    assert not one.holds("another study")
    await other.give_back("study")  # what it does not have
    assert not await other.take("study")
    await one.give_back("study")
    assert await other.take("study")
    assert not one.holds("study")


async def test_claims_end_with_their_block(migrated_url):
    async with Database(migrated_url) as first, Database(migrated_url) as second:
        async with claiming(first) as one:
            assert await one.take("study")
        async with claiming(second) as other:
            assert await other.take("study")
        async with claiming(first) as one:  # and from a pool nothing of it comes back
            assert await one.take("study")


async def test_claims_end_with_their_process_however_it_ends(two, migrated_url, processes):
    process = processes.fork(sys.executable, "-c", ELSEWHERE, migrated_url)
    process.wait_for_line("True")
    assert not await two[0].take("study")
    process.kill()
    await wait_until_async(lambda: two[0].take("study"))


@pytest.fixture
async def pair(migrated_postgresql_url):
    """Return the claims of two nodes, and the second one's database, on PostgreSQL.

    Only there is a claim held by a connection, which may be lost.
    """
    async with (
        Database(migrated_postgresql_url) as first,
        Database(migrated_postgresql_url) as second,
        claiming(first) as one,
        claiming(second) as other,
    ):
        yield one, other, second


async def test_claims_are_taken_again_over_a_new_connection(pair):
    one, other, second = pair
    assert await one.take("kept")
    assert await one.take("lost")
    await end_claims(second)
    assert await other.take("lost")  # somebody is quicker
    assert await one.take("next")
    assert (one.holds("kept"), one.holds("lost")) == (True, False)
    assert not await other.take("kept")
    await one.give_back("kept")
    assert await other.take("kept")


async def test_a_claim_is_confirmed_after_the_connection_is_lost_unless_somebody_was_quicker(pair):
    one, other, second = pair
    for name in ("kept", "lost", "done"):
        assert await one.take(name)
        assert await one.confirm(name)
    assert not await one.confirm("of nobody")
    assert one.renewals == 0
    await end_claims(second)
    assert await other.take("lost")
    assert await other.take("done")
    await other.give_back("done")
    assert await one.confirm("kept")
    assert one.renewals == 1, "so that it is known that others may have been there"
    assert not await one.confirm("lost")
    assert await one.confirm("done")
    assert not await other.take("kept")


async def test_the_server_looks_after_a_minute_whether_a_silent_machine_is_there(pair):
    one, _, second = pair
    assert await one.take("study")
    assert await one._connection.scalar(text("SHOW tcp_keepalives_idle")) == "20"
    async with second.session() as session:
        assert await session.scalar(text("SHOW tcp_keepalives_idle")) != "20"


async def test_what_is_given_back_after_the_connection_is_lost_leaves_the_rest_claimed(pair):
    one, other, second = pair
    assert await one.take("kept")
    assert await one.take("done")
    await end_claims(second)
    await one.give_back("done")
    assert await other.take("done")
    assert not await other.take("kept")


@pytest.mark.parametrize("url", ["sqlite:////nowhere/node.db", "postgresql://a@127.0.0.1:1/a"])
async def test_a_database_that_is_away_lets_nobody_claim(url):
    async with Database(url) as database, claiming(database) as claims:
        with pytest.raises(DatabaseUnavailable):
            await claims.take("study")


async def test_a_claim_is_in_nobodys_way_who_reads_and_writes(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database, claiming(database) as claims:
        assert await claims.take("study")
        with closing(sqlite3.connect(database.path)) as connection, connection:
            connection.execute("DELETE FROM cycles")
        lock = database.path.with_name("node.db-claims")
        assert (lock.stat().st_size, lock.stat().st_mode & 0o777) == (0, 0o600)


async def test_a_database_by_another_name_has_the_same_claims(migrated_sqlite_url, tmp_path):
    database = make_url(migrated_sqlite_url).database
    (tmp_path / "link.db").symlink_to(database)
    async with (
        Database(migrated_sqlite_url) as one,
        Database(f"sqlite:///{tmp_path}/link.db") as other,
        claiming(one) as mine,
        claiming(other) as theirs,
    ):
        assert await mine.take("study")
        assert not await theirs.take("study")


async def test_who_may_not_write_the_claims_is_not_told_that_somebody_has_them(
    migrated_sqlite_url, monkeypatch
):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(claiming_module, "_open", refuse)
    async with Database(migrated_sqlite_url) as database, claiming(database) as mine:
        with pytest.raises(DatabaseReadOnly, match=r"-claims, which .* Permission denied"):
            await mine.take("study")
