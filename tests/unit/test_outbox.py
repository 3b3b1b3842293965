"""The outbox is emptied in turns, and what runs when the node stops has its time."""

import asyncio
import json
import sys

import pytest
from sqlalchemy import update

from node.config import Config
from node.ops.hooking.listeners import listeners_of
from node.ops.hooking.outbox import Outbox, emptying
from schema import Database
from schema.hooking.kinds import EventKind
from schema.hooking.listing import recent_deliveries
from schema.hooking.recording import record_events
from schema.tables.outbox.events import RecordedEvent
from tests.support.waiting import wait_until_async


def configured(*command: str, grace: str = "20s", **settings: object) -> Config:
    hook = {"events": "alarm", "command": list(command), "retry": "1h"} | settings
    return Config(node={"grace": grace, "aetitle": "NODE"}, hooks={"lab": hook})


async def recorded(db: Database, config: Config, events: int) -> None:
    async with Database(db.url, info=listeners_of(config).info()) as telling:
        await telling.run(record_events, EventKind.ALARM, [{"n": n} for n in range(events)])


async def states(db: Database) -> list[str]:
    async with db.session() as session:
        return [one.state for one in reversed(await recent_deliveries(session))]


@pytest.mark.parametrize(("grace", "state"), [("20s", "done"), ("0s", "waiting")])
async def test_a_hook_that_runs_when_the_node_stops_has_its_grace(sqlite, tmp_path, grace, state):
    begun, may_end = tmp_path / "begun", tmp_path / "end"
    script = 'touch "$0"; until [ -e "$1" ]; do sleep 0.02; done'
    config = configured("sh", "-c", script, str(begun), str(may_end), grace=grace)
    await recorded(sqlite, config, 2)
    async with emptying(config, sqlite) as outbox:
        running = asyncio.create_task(outbox.run())
        await wait_until_async(begun.exists)
        outbox.close()
        await running
        if state == "done":
            may_end.touch()
    assert await states(sqlite) == [state, "waiting"]


async def test_without_hooks_there_is_no_outbox(sqlite):
    async with emptying(Config(), sqlite) as outbox:
        assert outbox is None


async def emptied(db: Database, config: Config, wanted: list[str]) -> None:
    async with emptying(config, db) as outbox:
        assert isinstance(outbox, Outbox)
        running = asyncio.create_task(outbox.run())

        async def are_there() -> bool:
            return await states(db) == wanted

        await wait_until_async(are_there)
        outbox.close()
        await running


async def test_a_hook_is_told_one_event_after_the_other_in_their_order(sqlite, tmp_path):
    log = tmp_path / "log"
    script = 'read -r line; echo "$line" >> "$0"; sleep 0.05; echo end >> "$0"'
    config = configured("sh", "-c", script, str(log))
    await recorded(sqlite, config, 3)
    await emptied(sqlite, config, ["done"] * 3)
    lines = log.read_text().splitlines()
    assert lines[1::2] == ["end"] * 3
    assert [json.loads(line)["data"]["n"] for line in lines[::2]] == [0, 1, 2]


async def test_an_event_that_cannot_be_told_holds_up_no_other(sqlite, caplog):
    config = configured(sys.executable, "-c", "print('taken')")
    await recorded(sqlite, config, 2)
    async with sqlite.begin() as session:
        await session.execute(
            update(RecordedEvent).where(RecordedEvent.id == 1).values(kind="of a later version")
        )
    await emptied(sqlite, config, ["waiting", "done"])
    assert "Hook lab cannot be told of event" in caplog.text
