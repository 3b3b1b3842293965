"""Answers are recorded while others still come, in their order, and none is left out."""

import asyncio
from collections.abc import Sequence

import pytest

from node.ops.finding.answers import recording
from node.ops.finding.answers.recording import Also, AnswerRecorder
from schema.finding.answer import StudyAnswer

ANSWERS = [StudyAnswer(study_uid=f"1.{number}") for number in range(25)]


class Database:
    """Records when it is let."""

    def __init__(self) -> None:
        self.kept: list[list[StudyAnswer]] = []
        self.asked = 0
        self.free = asyncio.Event()
        self.broken = False

    async def keep(self, answers: Sequence[StudyAnswer], also: Also | None) -> None:
        self.asked += 1
        await self.free.wait()
        if self.broken:
            raise OSError("the database is gone")
        self.kept.append(list(answers))


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(recording, "_AT_ONCE", 4)
    monkeypatch.setattr(recording, "_MOST", 12)


async def test_answers_are_recorded_while_others_come():
    database = Database()
    recorder = AnswerRecorder(database.keep)
    for answer in ANSWERS[:10]:
        await recorder.add(answer)
    await asyncio.sleep(0)
    assert database.asked == 1, "in one transaction at a time"
    database.free.set()
    await asyncio.sleep(0)
    assert database.kept == [ANSWERS[:4]], "before the peer has come to its end"
    for answer in ANSWERS[10:]:
        await recorder.add(answer)
        await asyncio.sleep(0)
    await recorder.finish()
    assert [one for several in database.kept for one in several] == ANSWERS


async def test_a_peer_that_is_faster_than_the_database_waits_for_it():
    database = Database()
    recorder = AnswerRecorder(database.keep)
    for answer in ANSWERS[:15]:
        await recorder.add(answer)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await recorder.add(ANSWERS[15])
    database.free.set()
    await recorder.finish()
    assert database.kept == [ANSWERS[:4], ANSWERS[4:16]], "and what came is recorded all the same"


async def test_what_the_database_refuses_is_told_to_who_asks():
    database = Database()
    database.broken = True
    database.free.set()
    recorder = AnswerRecorder(database.keep)
    for answer in ANSWERS[:6]:
        await recorder.add(answer)
    with pytest.raises(OSError, match="gone"):
        await recorder.finish()
