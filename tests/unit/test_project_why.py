"""Why a study of a project is not here: what was not asked is never called absent."""

from dataclasses import replace
from datetime import datetime

import pytest

from node.cli.project.reasons import found_at, messages, why, why_in_short, why_open
from node.config import Config
from schema.finding.drawing import SourceAnswer
from schema.project.inquiries import Asked
from schema.project.members import Member

NOON = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - naive UTC, as the columns are
TO_COME = NOON.replace(year=9024)
PEERS = Config.model_validate(
    {
        "peers": {
            **{
                name: {"aetitle": name.upper(), "host": "127.0.0.1", "port": 104}
                for name in ("pacs", "new", "old", "spare")
            },
            **{name: {"url": f"http://{name}/dicom-web"} for name in ("web", "cloud")},
        }
    }
).peers


def asked(outcome: str = "complete", matches: int = 0, message: str | None = None) -> Asked:
    return Asked(peer="pacs", on=NOON, outcome=outcome, matches=matches, message=message)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"state": "retrieved"}, ""),
        ({"state": "pending", "peer": "pacs"}, "found at pacs, not moved yet"),
        (
            {
                "state": "pending",
                "peer": "pacs",
                "sources": (SourceAnswer(peer="pacs", last_seen_on=NOON, expected_images=84),),
                "interrupted_at": ("pacs",),
                "received_images": 17,
                "expected_images": 84,
            },
            "found at pacs, asked, and interrupted: 17 of 84 images are here",
        ),
        ({"state": "received"}, "came without having been found"),
        ({"state": "partial", "last_error": "2 are missing"}, "2 are missing"),
        (
            {"state": "failed", "last_error": "gone", "next_attempt_on": TO_COME},
            "gone; due again 9024-05-01 12:00 UTC",
        ),
        (
            {"state": "failed", "last_error": "gone", "next_attempt_on": NOON},
            "gone; due again with the next cycle",
        ),
        ({}, "no peer was asked for it yet"),
        ({"asked": asked()}, "pacs, asked 2024-05-01 12:00 UTC, has no such study"),
        ({"asked": asked(matches=7)}, "has no such study"),
        ({"asked": asked("refused", message="busy")}, "gave no answer: busy"),
        ({"asked": asked("failed")}, "gave no answer: failed"),
        (
            {"asked": asked("suspect", message="nothing came, and so on")},
            "asked 2024-05-01 12:00 UTC, answered, which proves nothing: nothing came, and so on",
        ),
        (
            {"asked": replace(asked(matches=1), together=3)},
            "answered 1 of 3 studies in one list, which does not say of which",
        ),
    ],
)
def test_the_reason_is_told(values, said):
    reason = why(Member(study_uid="1.2", accession_number=None, **values), PEERS)
    assert said in reason
    assert bool(said) == bool(reason)


def test_every_peer_s_answer_is_told():
    sources = tuple(
        SourceAnswer(peer=peer, last_seen_on=NOON, expected_images=count)
        for peer, count in (("new", 1), ("old", None))
    )
    no, away = asked(), replace(asked("failed"), peer="spare")
    found = Member(
        study_uid="1.2",
        accession_number=None,
        state="pending",
        sources=sources,
        inquiries=(away, no),
    )
    at = "new (1 image), old (number of images unknown)"
    assert found_at(found) == at
    assert why(found, PEERS).split("; ") == [
        f"found at {at}, not moved yet",
        "spare, asked 2024-05-01 12:00 UTC, gave no answer: failed",
        "pacs, asked 2024-05-01 12:00 UTC, has no such study",
    ]
    alike = replace(found, sources=(sources[0], replace(sources[0], peer="old")))
    assert found_at(alike) == "new, old"


def test_a_peer_that_answers_without_the_accession_number_is_not_said_to_have_nothing():
    member = Member(study_uid=None, accession_number="7", asked=asked(matches=2))
    assert "answered 2 studies without this accession number" in why(member, PEERS)


def source(peer, *, verified=False):
    if peer == "tried":
        return replace(source("pacs"), last_error="2 of 3 images are missing")
    return SourceAnswer(peer=peer, last_seen_on=NOON, verified_on=NOON if verified else None)


@pytest.mark.parametrize(
    ("done", "left", "said"),
    [
        ("old", "new", "all that old has is here; new was not asked for its images yet"),
        (
            "old spare",
            "new pacs",
            "all that old and spare have is here; new and pacs were not asked for their images yet",
        ),
        (
            "old",
            "web cloud",
            "all that old has is here; web and cloud were not asked for their images yet",
        ),
        ("old", "tried", "all that old has is here; not all that pacs has is known to be here"),
        (
            "old",
            "tried new",
            "all that old has is here; not all that pacs has is known to be here; "
            "new was not asked for its images yet",
        ),
        ("", "web", "found at web, not moved yet"),
        ("", "gone", "found at gone; gone is no peer of the configuration"),
        (
            "old",
            "new web gone",
            "all that old has is here; new and web were not asked for their images yet; gone is no "
            "peer of the configuration",
        ),
    ],
)
def test_what_is_open_at_a_peer_that_can_never_be_moved_from_is_not_said_to_come_yet(
    done, left, said
):
    sources = tuple(source(name, verified=True) for name in done.split())
    sources += tuple(map(source, left.split()))
    state = "partial" if done else "pending"
    study = Member(study_uid="1.2", accession_number=None, state=state, sources=sources)
    assert why_open(study, PEERS) == said


def test_why_a_held_study_is_not_here_is_not_what_its_last_attempt_came_to():
    held = Member(
        study_uid="1.2", accession_number=None, state="held", last_error="it refused", sources=()
    )
    assert why_open(held, PEERS) == "held by an operator"


def test_answers_of_several_peers_are_put_together_and_their_messages_are_told_once():
    away = replace(asked("failed", message="nobody answers"), peer="away")
    unclear = replace(asked("suspect", message="nothing came"), peer="new")
    members = [
        Member(
            study_uid=uid,
            accession_number=None,
            inquiries=(away, unclear, asked(), replace(asked(), peer="old")),
        )
        for uid in ("1.2", "1.3")
    ]
    assert why_in_short(members[0], PEERS) == (
        "new answered, which proves nothing; away gave no answer; old, pacs have no such study "
        "(asked until 2024-05-01 12:00 UTC)"
    )
    assert messages(members) == [
        "away gave no answer: nobody answers",
        "new answered, which proves nothing: nothing came",
    ]
    alone = replace(members[0], inquiries=(away,))
    assert why_in_short(alone, PEERS) == why(alone, PEERS)
    assert messages([alone]) == []
