"""How long the rest takes, reckoned from what was measured and from the hours."""

from datetime import UTC, datetime, timedelta

import pytest

from node.config import Config
from node.ops.accounting.expecting import Unknown, expected, walk
from schema.accounting.rates import Rate, together
from schema.accounting.tallies import PeerTally

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).replace(tzinfo=None)
PEER = {"aetitle": "PACS", "host": "127.0.0.1", "port": 104}
HOUR = 3600.0


def rest(tally: dict[str, int], rate: dict[str, float], *, hours: str = "", peer: str = "pacs"):
    """Return what is expected of a peer at noon."""
    move = {"hours": hours} if hours else {}
    config = Config.model_validate({"peers": {"pacs": PEER}, "move": move})
    basis = Rate(peer=peer, since=NOW - timedelta(days=7), until=NOW, **rate)
    counted = PeerTally(**{"peer": peer, "found": 100, "complete": 0, **tally})
    (found,) = expected(config, [peer], {peer: counted}, {peer: basis}, now=NOW)
    return found


MEASURED = {"attempts": 9, "studies": 10, "images": 100, "bytes": 1000, "seconds": HOUR}


def test_the_rest_goes_by_images_where_all_are_known_else_by_studies():
    said = rest({"images": 200}, MEASURED)
    assert (said.by, said.seconds, said.bytes) == ("images", 2 * HOUR, 2000)
    assert (said.openings, said.ends_on) == (None, NOW + timedelta(hours=2))
    said = rest({"images": 200, "unknown": 1}, MEASURED)
    assert (said.by, said.seconds) == ("studies", 10 * HOUR)


def test_hours_in_which_nothing_is_moved_are_counted_on_top():
    said = rest({"images": 500}, MEASURED, hours="22:00-00:00 UTC")
    assert (said.seconds, said.openings) == (5 * HOUR, 3)
    assert said.ends_on == NOW + timedelta(days=2, hours=11)
    said = rest({"images": 100}, MEASURED, hours="10:00-14:00 UTC")
    assert (said.openings, said.ends_on) == (1, NOW + timedelta(hours=1))


def test_what_takes_years_is_reckoned_as_well():
    said = rest({"images": 2 * 1000 * 100 - 50}, MEASURED, hours="22:00-00:00 UTC")
    assert (said.openings, said.ends_on) == (1000, NOW + timedelta(days=999, hours=11.5))
    assert rest({"images": 10**15}, MEASURED).ends_on > NOW + timedelta(days=300_000)


@pytest.mark.parametrize(
    ("rate", "peer", "why"),
    [
        ({**MEASURED, "studies": 0}, "pacs", Unknown.NOTHING_MEASURED),
        ({}, "pacs", Unknown.NOTHING_MEASURED),
        ({**MEASURED, "seconds": 0.0}, "pacs", Unknown.NOTHING_MEASURED),
        (MEASURED, "stranger", Unknown.STRANGER),
    ],
)
def test_what_nobody_knows_is_said_to_be_unknown(rate, peer, why):
    said = rest({"images": 200}, rate, peer=peer)
    assert (said.why, said.seconds, said.ends_on) == (why, None, None)


def test_where_nothing_is_left_it_is_done():
    said = rest({"complete": 100}, {})
    assert (said.studies, said.seconds, said.why, said.ends_on) == (0, 0.0, None, NOW)


def test_hours_that_never_open_never_end():
    class Shut:
        def opens_next(self, when: datetime) -> None:
            del when

    assert walk(Shut(), NOW.replace(tzinfo=UTC), 1.0) is None  # type: ignore[arg-type]


def test_moves_that_ran_at_once_count_once():
    def span(first: int, last: int) -> tuple[datetime, datetime]:
        return NOW + timedelta(seconds=first), NOW + timedelta(seconds=last)

    assert together([]) == 0
    assert together([span(5, 9), span(0, 10), span(8, 12), span(20, 21)]) == 13
