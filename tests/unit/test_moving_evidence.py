"""Whether all that a PACS has of a study is here: every row of the tables."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from node.config.durations import LONGEST
from schema.moving.evidence import STABLE, Basis, Here, KnownOfSource, judge
from schema.moving.listing import ListedSeries, Listing, better, listing_of, pieces
from schema.moving.patience import FailureKind, RetryLimits, next_attempt
from schema.standing.states import TRANSITIONS, StudyEvent, StudyState, after


def series(*images, count=None):
    return ListedSeries(images=dict.fromkeys(images, ""), count=count)


def listing(images, *, short="", vouched=False):
    return Listing(series={"s": series(*images)}, short=short, vouched=vouched)


# What is listed, held against the PACS's own numbers


@pytest.mark.parametrize(
    ("listed", "told_images", "told_series", "short", "vouched"),
    [
        ({"s": series(*"abc", count=3)}, 3, 1, "", True),
        ({"s": series(*"abc")}, 3, None, "", True),
        ({"s": series(*"abc", count=3)}, None, 1, "", True),
        ({"s": series(*"abc")}, None, None, "", False),
        ({"s": series(*"abc")}, None, 1, "", False),
        ({"s": series(*"abc", count=3)}, None, None, "", False),
        ({"s": series(*"abc")}, 2, None, "", False),  # more than it says: nothing is cut off
        ({"s": series(*"abc")}, 0, None, "", False),
        ({"s": series(*"abc")}, 5, None, "lists 3 of the study's 5 images", False),
        ({"s": series(*"abc")}, 3, 2, "names 1 of the study's 2 series", False),
        ({"s": series(*"ab", count=3)}, None, 1, "lists fewer images of 1 series", False),
        ({"s": series(count=3)}, None, 1, "lists fewer images of 1 series", False),
        ({"s": series(*"ab"), "t": series()}, None, 2, "names no image of 1", False),
        ({}, None, None, "names no series", False),
    ],
)
def test_a_list_that_is_cut_off_is_known_by_the_numbers_beside_it(
    listed, told_images, told_series, short, vouched
):
    made = listing_of(listed, told_images=told_images, told_series=told_series)
    assert made.short.startswith(short)
    assert (bool(made.short), made.vouched) == (bool(short), vouched)


KEPT = {
    "short": listing("ab", short="names 1 of 2 series"),
    "whole": listing("abc"),
    "vouched": listing("abc", vouched=True),
}


@pytest.mark.parametrize(
    ("kept", "new", "wins"),
    [
        (None, listing("a", short="x"), True),
        (None, listing("a"), True),
        ("short", listing("a", short="x"), False),
        ("short", listing("ax", short="x"), True),
        ("short", listing("a"), True),
        ("short", listing("a", vouched=True), True),
        ("whole", listing("abcd", short="x"), False),
        ("whole", listing("abcd"), True),
        ("whole", listing("abd"), False),  # without c: cut off, or deleted; nobody can say
        ("whole", listing("ab"), False),
        ("whole", listing("ab", vouched=True), True),
        ("vouched", listing("abcd", short="x"), False),
        ("vouched", listing("abcd"), True),
        ("vouched", listing("ab"), False),
        ("vouched", listing("x", vouched=True), True),
    ],
)
def test_a_list_is_replaced_by_better_or_by_newer_evidence_alone(kept, new, wins):
    before = KEPT[kept] if kept else None
    assert better(before, new) is (new if wins else before)


def test_a_listing_is_the_same_after_the_database():
    made = Listing(
        series={"s": ListedSeries(images={"a": "1.2", "b": ""}, modality="CT", count=3)},
        short="lists fewer",
    )
    assert Listing.of_document(made.document()) == made
    assert (made.images, made.sop_classes) == ({"a", "b"}, {"1.2"})


def test_what_is_missing_is_asked_for_by_series_and_by_image():
    made = Listing(series={"s": series(*"abc"), "t": series("d"), "u": series("e")})
    assert made.without(frozenset("abe")) == {"s": ("c",), "t": ()}
    assert list(pieces(tuple("abcde"), 2)) == [("a", "b"), ("c", "d"), ("e",)]


# The verdict


CUT_OFF = Listing(series={"s": series(*"ab", count=4)}, short="lists 2 of 4")


def judged(images, sent="", lost="", **known):
    here = Here(images=frozenset(images), sent=frozenset(sent), lost=frozenset(lost))
    return judge(KnownOfSource(**known), here, peer="pacs")


@pytest.mark.parametrize(
    ("given", "basis"),
    [
        # listed: by identity, whoever has sent it
        ({"images": "abc", "sent": "abc", "listing": listing("abc")}, Basis.LISTED),
        ({"images": "abc", "listing": listing("abc"), "told": 3}, Basis.LISTED),
        ({"images": "abcx", "listing": listing("abc")}, Basis.LISTED),
        ({"images": "abcx", "sent": "abcx", "listing": listing("abc", vouched=True)}, Basis.LISTED),
        ({"images": "abc", "sent": "abc", "listing": listing("abc"), "told": 2}, Basis.LISTED),
        # counted: as many as it says, and from it
        ({"images": "abc", "sent": "abc", "told": 3}, Basis.COUNTED),
        ({"images": "abc", "sent": "abc", "lost": "d", "told": 3}, Basis.COUNTED),
        ({"images": "abcd", "sent": "abcd", "told": 3}, Basis.COUNTED),
        (
            {"images": "abc", "sent": "abc", "told": 3, "listing": listing("ab", short="x")},
            "counted",
        ),
        # stable: its word, three times
        ({"images": "abc", "sent": "abc", "agreeing": STABLE}, Basis.STABLE),
        ({"images": "abc", "sent": "abc", "told": 0, "agreeing": STABLE}, Basis.STABLE),
        (
            {"images": "abc", "sent": "abc", "listing": listing("ab", short="x"), "agreeing": 3},
            Basis.STABLE,
        ),
        (
            {"images": "abcx", "sent": "abcx", "listing": listing("abc"), "agreeing": STABLE},
            Basis.LISTED,
        ),
        (
            {"images": "abc", "sent": "abc", "least": 3, "short": "names 1 of 2", "agreeing": 3},
            Basis.STABLE,
        ),
    ],
)
def test_all_is_here_and_the_verdict_says_why(given, basis):
    verdict = judged(**given)
    assert (verdict.basis, verdict.reason, verdict.lacking) == (basis, "", None)
    assert verdict.expected == 3


@pytest.mark.parametrize(
    ("given", "reason", "missing"),
    [
        # 7 of its 10 images, and 3 from elsewhere
        (
            {"images": "abcdefgxyz", "sent": "abcdefg", "listing": listing("abcdefghij")},
            "3 of 10 images are missing",
            "hij",
        ),
        (
            {"images": "abcdefgxyz", "sent": "abcdefg", "told": 10},
            "3 of 10 images are missing; 3 images are here that came from others",
            "",
        ),
        ({"images": "", "listing": listing("a")}, "1 of 1 image is missing", "a"),
        # 100 of 120 series: the list is cut off, and what the PACS tells counts
        (
            {"images": "ab", "sent": "ab", "told": 3, "listing": listing("ab", short="x")},
            "1 of 3 images are missing",
            "",
        ),
        (
            {"images": "abx", "sent": "abx", "told": 3, "listing": listing("abc", short="x")},
            "1 of 3 images are missing",
            "c",
        ),
        (
            {"images": "ab", "sent": "ab", "listing": listing("ab", short="names 1 of 2 series")},
            "pacs names 1 of 2 series: it has at least 2 images",
            "",
        ),
        (
            {"images": "a", "listing": listing("ab", short="names 1 of 2 series")},
            "1 of 2 images are missing, at least: it names 1 of 2 series",
            "b",
        ),
        # the images are cut off, and its series say how many there are
        (
            {"images": "ab", "sent": "ab", "listing": CUT_OFF, "agreeing": STABLE},
            "2 of 4 images are missing, at least: it lists 2 of 4",
            "",
        ),
        # 1 of them from elsewhere: it is listed, and so it is one of them
        (
            {"images": "abxy", "sent": "ax", "listing": CUT_OFF, "agreeing": STABLE},
            "1 of 4 images are missing, at least: it lists 2 of 4",
            "",
        ),
        # some came under a name that nobody knows as its own
        (
            {"images": "abxy", "sent": "", "listing": CUT_OFF, "agreeing": STABLE},
            "2 of 4 images are missing, at least: it lists 2 of 4; "
            "2 images are here that came from others",
            "",
        ),
        # it lists none, and its series count more than are here, though not all series are named
        (
            {
                "images": "abc",
                "sent": "abc",
                "least": 5,
                "short": "names 4 of 5 series",
                "agreeing": 9,
            },
            "2 of 5 images are missing, at least: it names 4 of 5 series",
            "",
        ),
        (
            {"images": "abcde", "sent": "abcde", "least": 5, "short": "names 4 of 5 series"},
            "pacs names 4 of 5 series: it has at least 5 images",
            "",
        ),
        # it sends more than it lists: nobody knows what else it has
        (
            {"images": "abx", "sent": "abx", "listing": listing("ab"), "agreeing": STABLE - 1},
            "pacs sends 1 image that it does not list",
            "",
        ),
        # nobody says anything
        ({"images": "ab", "sent": "ab"}, "pacs does not say how many images the study has", ""),
        ({"images": "ab", "sent": "ab", "told": 0}, "pacs does not say how many", ""),
        ({"images": "ab", "sent": "ab", "agreeing": STABLE - 1}, "pacs does not say", ""),
        # and one that was here has no file any more
        (
            {"images": "ab", "sent": "ab", "lost": "c", "agreeing": STABLE},
            "pacs does not say how many images the study has; "
            "1 image is missing that had a file before",
            "c",
        ),
        (
            {
                "images": "abx",
                "sent": "abx",
                "lost": "cd",
                "listing": listing("ab"),
                "agreeing": STABLE,
            },
            "pacs sends 1 image that it does not list; 2 images are missing that had a file",
            "cd",
        ),
        ({"images": "", "agreeing": STABLE + 5}, "pacs does not say", ""),
        ({"images": "ab", "agreeing": STABLE}, "pacs does not say", ""),  # all from elsewhere
    ],
)
def test_all_is_not_here_and_the_reason_says_what_is_known(given, reason, missing):
    verdict = judged(**given)
    assert not verdict.complete
    assert verdict.reason.startswith(reason)
    assert verdict.missing == frozenset(missing)


@pytest.mark.parametrize("seed", range(200))
def test_no_verdict_is_ever_whole_while_a_listed_image_is_missing(seed):
    rng = random.Random(seed)
    held = [f"i{number}" for number in range(rng.randint(1, 12))]
    sent = frozenset(one for one in held if rng.random() < 0.7)
    images = sent | {f"x{number}" for number in range(rng.randint(0, 12))}
    made = listing_of(
        {"s": series(*[one for one in held if rng.random() < 0.8])},
        told_images=rng.choice([None, 0, len(held), len(held) - 1, len(held) + 2]),
        told_series=rng.choice([None, 1, 2]),
    )
    told = rng.choice([None, 0, len(held)])
    known = KnownOfSource(
        listing=rng.choice([None, made]), told=told, agreeing=rng.randint(0, STABLE - 1)
    )
    verdict = judge(known, Here(images=frozenset(images), sent=sent), peer="pacs")
    if verdict.complete:
        assert known.listing is None or known.listing.images <= images
        assert verdict.basis is not Basis.STABLE
        if verdict.basis is Basis.COUNTED:
            assert sent == set(held), "as many came from it as it has"
    else:
        assert verdict.reason


# States


def test_what_is_retrieved_is_opened_by_news_alone():
    leaving = {event for event, moves in TRANSITIONS.items() if StudyState.RETRIEVED in moves}
    assert leaving == {StudyEvent.REOPENED}


@pytest.mark.parametrize("event", StudyEvent)
@pytest.mark.parametrize("state", StudyState)
def test_every_event_leaves_a_state(state, event):
    follows = after(state, event)
    assert follows is TRANSITIONS[event].get(state, state)
    if event is StudyEvent.WHOLE:
        assert follows is StudyState.RETRIEVED
    if state is StudyState.HELD:
        assert follows in {
            StudyState.HELD,
            StudyState.PENDING,
            StudyState.RETRIEVED,
            StudyState.GONE,
        }


def test_a_study_can_always_come_to_be_asked_for_again():
    for state in StudyState:
        ways = {after(state, event) for event in StudyEvent}
        assert StudyState.PENDING in ways or state is StudyState.PENDING


# When next

NOW = datetime(2024, 1, 1)  # noqa: DTZ001 - naive UTC
LIMITS = RetryLimits(retry=300, retry_limit=3600, attempts=4)


def following(**given):
    facts = {
        "kind": FailureKind.NONE,
        "arrived": 0,
        "attempts": 1,
        "vain": 0,
        "chance": 0.5,
        **given,
    }
    return next_attempt(LIMITS, now=NOW, **facts)


def test_what_brings_images_is_asked_for_again_at_once():
    for kind in FailureKind:
        due = following(kind=kind, arrived=1, attempts=7, vain=3)
        assert (due.on, due.vain, due.given_up) == (None, 0, False)


@pytest.mark.parametrize("kind", [FailureKind.CONFIGURATION, FailureKind.OUTAGE])
def test_a_peer_that_cannot_be_asked_costs_no_study_anything(kind):
    due = following(kind=kind, attempts=100, vain=3)
    assert (due.on, due.vain, due.given_up) == (None, 3, False)


def test_waits_double_and_differ_at_random():
    for attempts, seconds in ((1, 300), (2, 600), (3, 1200), (9, 3600)):
        due = following(kind=FailureKind.BUSY, attempts=attempts)
        assert due.on == NOW + timedelta(seconds=seconds)
    least, most = (following(chance=chance).on for chance in (0.0, 1.0))
    assert (least, most) == (NOW + timedelta(seconds=240), NOW + timedelta(seconds=360))


def test_the_longest_waits_that_can_be_configured_end_on_a_date():
    limits = RetryLimits(retry=LONGEST, retry_limit=LONGEST, attempts=None)
    due = next_attempt(
        limits, kind=FailureKind.REFUSED, arrived=0, attempts=99, vain=98, now=NOW, chance=1.0
    )
    assert due.on == NOW + 1.2 * timedelta(seconds=LONGEST)


def test_attempts_in_vain_are_limited():
    assert not following(kind=FailureKind.REFUSED, attempts=3, vain=2).given_up
    last = following(kind=FailureKind.REFUSED, attempts=4, vain=3)
    assert (last.given_up, last.on, last.vain) == (True, None, 4)
    assert following(kind=FailureKind.NONE, attempts=4, vain=3).given_up
    assert not following(kind=FailureKind.BUSY, attempts=11, vain=0).given_up
    assert following(kind=FailureKind.BUSY, attempts=12, vain=0).given_up
    endless = RetryLimits(attempts=None)
    due = next_attempt(
        endless, kind=FailureKind.NONE, arrived=0, attempts=9999, vain=9999, now=NOW, chance=0.5
    )
    assert not due.given_up


# What the documentation says


def test_the_documentation_has_the_same_tables():
    text = (Path(__file__).parents[2] / "docs" / "moving.md").read_text()
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    shown = {row[0]: (row[1].split(", "), row[2]) for row in rows if row[0] in set(StudyEvent)}
    for event, moves in TRANSITIONS.items():
        (becomes,) = set(moves.values())
        befores, after_it = shown[event]
        assert (set(befores), after_it) == ({state.value for state in moves}, becomes.value), event
    assert {row[0] for row in rows} >= set(StudyState)
    assert [row[0] for row in rows if row[0] in set(Basis)] == list(Basis)
