"""How long the rest takes, reckoned from what was measured and from the hours."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from node.cli.accounting.words import rest_of
from node.config import Config
from node.ops.accounting.expecting import Unknown, expected, without_a_node
from node.ops.accounting.spreading import spread
from node.ops.guarding.budgets import BudgetUse, rules_of
from schema.accounting.rates import Rate, together
from schema.accounting.tally import PeerTally
from schema.guarding.breaking import Breaker, BreakerCause, BreakerState
from schema.guarding.spending import Spent

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).replace(tzinfo=None)
PEER = {"aetitle": "PACS", "host": "127.0.0.1", "port": 104}
HOUR = 3600.0
NOTHING = Spent()


def rest(
    tally: dict[str, Any],
    rate: dict[str, float],
    *,
    peer: str = "pacs",
    spent: Spent = NOTHING,
    other: int = 0,
    breaker: Breaker | None = None,
    **move: Any,
):
    """Return what is expected of a peer at noon; another one has so many studies."""
    peers = {"pacs": PEER, **({"other": {**PEER, "aetitle": "OTHER"}} if other else {})}
    config = Config.model_validate({"peers": peers, "move": {"every": "1h", **move}})
    basis = Rate(peer=peer, since=NOW - timedelta(days=7), until=NOW, **rate)
    images = {"coming_images": tally.get("images", 0), "coming_unknown": tally.get("unknown", 0)}
    given = {"found": 100, "complete": 0, "coming": 100, "ready": 100, **images, **tally}
    tallies = {peer: PeerTally(peer=peer, **given)}
    if other:
        tallies["other"] = PeerTally(peer="other", found=other, complete=0, coming=other)
    rules = rules_of(config, peer) if peer in config.peers else ()
    uses = {peer: [BudgetUse(rule=rule, spent=spent) for rule in rules]}
    broken = {peer: breaker or Breaker()}
    (found,) = expected(config, [peer], tallies, {peer: basis}, uses, broken=broken, now=NOW)
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
        ({**MEASURED, "seconds": 4.9}, "pacs", Unknown.TOO_LITTLE),
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

    assert spread(Shut(), NOW.replace(tzinfo=UTC), 1.0) is None  # type: ignore[arg-type]


def test_moves_that_ran_at_once_count_once():
    def span(first: int, last: int) -> tuple[datetime, datetime]:
        return NOW + timedelta(seconds=first), NOW + timedelta(seconds=last)

    assert together([]) == 0
    assert together([span(5, 9), span(0, 10), span(8, 12), span(20, 21)]) == 13


def test_a_budget_that_is_used_up_makes_the_rest_wait_for_the_next_nights():
    night = {"hours": "10:00-14:00 UTC", "budget": {"studies": 20}}
    left = {"found": 25, "coming": 25, "images": 50}
    said = rest(left, MEASURED, **night)
    assert (said.seconds, said.openings, said.days) == (0.5 * HOUR, 2, None)
    assert said.ends_on == NOW + timedelta(hours=22, minutes=6)  # five of them are left tomorrow
    assert said.budgets == ("move.budget",)
    said = rest(left, MEASURED, spent=Spent(studies=20), **night)
    assert (said.openings, said.ends_on) == (2, NOW + timedelta(days=1, hours=22, minutes=6))
    said = rest(left, MEASURED, spent=Spent(studies=15), **night)
    assert (said.openings, said.ends_on) == (2, NOW + timedelta(hours=22, minutes=24))
    assert rest({**left, "coming": 20}, MEASURED, **night).budgets == ()


@pytest.mark.parametrize(
    ("budget", "spent"),
    [
        ({"studies": 10}, Spent(studies=5)),
        ({"bytes": 100}, Spent(bytes=50)),
        ({"duration": "10m"}, Spent(seconds=300)),
        ({"studies": 1000, "bytes": 100, "duration": "2h"}, Spent(bytes=50)),
    ],
)
def test_studies_bytes_and_durations_count_in_each_day(budget, spent):
    left = {"coming": 100, "images": 100}
    rate = {**MEASURED, "taken": 6000.0}  # 100 studies with 1000 bytes take 100 minutes, added up
    said = rest(left, rate, spent=spent, budget=budget)
    assert (said.seconds, said.days, said.openings) == (HOUR, 11, None)
    assert timedelta(days=9) < said.ends_on - NOW < timedelta(days=11)


def test_a_budget_for_all_is_shared_by_what_each_has_left_and_years_of_it_are_reckoned():
    left = {"coming": 100, "images": 100}
    assert rest(left, MEASURED, budget={"studies": 50}).days == 2
    assert rest(left, MEASURED, other=300, budget={"studies": 50}).days == 8
    assert rest(left, MEASURED, budget={"studies": 50}, hours="22:00-00:00 UTC").openings == 2
    said = rest({"coming": 20_000, "images": 100}, MEASURED, budget={"studies": 20})
    assert said.days == 1000
    assert abs(said.ends_on - NOW - timedelta(days=999)) < timedelta(days=1, hours=2)


def test_what_takes_no_time_worth_the_name_is_moved_on_one_day_and_in_one_opening_all_the_same():
    rate = {**MEASURED, "images": 10**9}
    assert rest({"images": 1}, rate, budget={"studies": 500}).days == 1
    said = rest({"images": 1}, rate, hours="10:00-14:00 UTC")
    assert said.openings == 1
    assert rest_of(said).startswith("expected: 1 s of moves, done in 1 opening of the hours,")


def test_without_a_node_there_is_no_date():
    said = without_a_node(rest({"images": 100}, MEASURED, hours="10:00-14:00 UTC"))
    assert (said.seconds, said.why) == (HOUR, Unknown.NOT_RUNNING)
    assert (said.openings, said.ends_on) == (None, None)
    done = rest({"complete": 100}, {})
    assert without_a_node(done) == done


def test_what_nobody_asks_for_takes_no_time():
    held = {"given_up": 15, "states": {"held": 1}, "images": 200}
    said = rest({**held, "coming": 84, "coming_images": 100}, MEASURED)
    assert (said.studies, said.coming, said.given_up, said.held) == (100, 84, 15, 1)
    assert (said.seconds, said.ends_on) == (HOUR, NOW + timedelta(hours=1))
    said = rest({**held, "coming": 0, "coming_images": 0, "ready": 0}, MEASURED)
    assert (said.why, said.seconds, said.ends_on) == (Unknown.NOBODY_ASKS, None, None)


def test_what_moves_by_command_alone_has_no_date():
    said = rest({"images": 100}, MEASURED, every=None)
    assert (said.why, said.seconds, said.ends_on) == (Unknown.BY_COMMAND, HOUR, None)


def test_what_waits_for_its_next_attempt_begins_then():
    later = NOW + timedelta(hours=5)
    waits = {"images": 100, "ready": 0, "waiting": 100, "next_on": later}
    assert rest(waits, MEASURED).ends_on == later + timedelta(hours=1)


def test_while_the_breaker_is_open_there_is_no_date_and_it_is_said_why():
    breaker = Breaker(
        state=BreakerState.OPEN,
        cause=BreakerCause.OUTAGE,
        message="connection refused",
        outages=3,
        opened_on=NOW,
        retry_on=NOW + timedelta(minutes=5),
    )
    said = rest({"images": 100}, MEASURED, breaker=breaker)
    assert (said.why, said.seconds, said.ends_on) == (Unknown.BREAKER, HOUR, None)
    assert rest_of(said).startswith(
        "expected: nobody knows when; nothing is moved from it now: it could not be reached 3 "
        "times in a row at 2026-11-23 12:00 UTC: connection refused; one study is tried about "
        "2026-11-23 12:05:00 UTC, and the rest when the peer takes it; then 1 h 0 m of moves; "
    )
    trying = replace(breaker, state=BreakerState.HALF_OPEN, retry_on=NOW)
    assert rest_of(rest({"images": 1}, {}, breaker=trying)).endswith(
        "one study is tried with the next cycle, and the rest when the peer takes it"
    )
    assert rest({}, MEASURED, breaker=breaker, every=None).why is Unknown.BY_COMMAND
    assert rest({}, MEASURED, breaker=replace(breaker, state=BreakerState.CLOSED)).why is None


def test_a_limit_of_studies_makes_the_rest_wait_for_the_next_cycles():
    left = {"found": 27, "coming": 27, "images": 54}  # 1.2 seconds a study
    rate = {**MEASURED, "seconds": 60.0}
    said = rest(left, rate, every="10s", limit=5)
    assert (said.cycles, round(said.seconds or 0, 1)) == (6, 32.4)
    assert said.ends_on == NOW + timedelta(seconds=5 * 10 + 2 * 1.2)
    assert "32 s of moves, done in 6 cycles (`move.limit`, `move.every`), about" in rest_of(said)
    said = rest(left, rate, every="1s", limit=5)  # a cycle takes longer, and the next follows it
    assert said.ends_on == NOW + timedelta(seconds=32.4)
    assert rest(left, rate, every="10s", limit=27).cycles is None
    said = rest(left, rate, every="1h", limit=9, hours="10:00-13:30 UTC")
    assert (said.cycles, said.openings) == (3, 2)
    budget = {"studies": 13}
    assert rest(left, rate, every="1h", limit=9, budget=budget).days == 3
