"""kill -9 at every step of a received object's way, and at moments that nobody has chosen."""

import pytest

from node.storage.failpoints import POINTS
from tests.crash.programme import OUT_OF_RESOURCES, REPAIRS, SUCCESS, Crash

AT_RANDOM = 10


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def crash(request, tmp_path):
    """In `make test` each step fails on SQLite; kills, and PostgreSQL, are in `make test-long`."""
    url = request.getfixturevalue(f"{request.param}_url")
    with Crash(tmp_path / "crash", url) as crash:
        yield crash


@pytest.mark.long
def test_everything_acknowledged_survives_kill_9(crash, request):
    for point in POINTS:
        crash.die_at(point, "kill")
    if "postgresql" in request.node.name:  # where it hangs is where it would have died
        for point in POINTS[:6]:
            crash.die_at(point, "hang")
    for _ in range(AT_RANDOM):
        crash.die_at_random()
    crash.settle()
    crash.reckon()
    assert crash.kills >= len(POINTS) + AT_RANDOM
    assert len(crash.journal.acknowledged) > 100
    assert set(crash.journal.statuses) == {SUCCESS}


def test_every_step_may_fail_without_a_loss(crash):
    # after a store that failed unforeseen the association gets 0x0110, and the object is kept
    points = [point for point in POINTS if point != "store.respond"]
    numbers = {point: 3 + 2 * number for number, point in enumerate(POINTS)}
    numbers |= {point: 2 for point in POINTS if not point.startswith(("spool", "store"))}
    numbers |= dict.fromkeys(REPAIRS, 1)
    crash.survive(",".join(f"{point}=error@{numbers[point]}" for point in points), expected=points)
    crash.settle()
    crash.reckon()
    assert set(crash.journal.statuses) == {SUCCESS, OUT_OF_RESOURCES}
