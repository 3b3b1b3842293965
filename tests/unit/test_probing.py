"""What a probe asks and concludes, played against peers that are a list of studies and a quirk."""

from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase

import pytest

from node.config.peer.profile import KINDS, ProfileSettings
from node.dicom.profile import CapKind, PeerProfile
from node.dicom.query import Window
from node.ops.probing.deciding import plan
from node.ops.probing.evidence import QUESTIONS, Evidence
from node.ops.probing.facts import NAMES, QUERIED, from_document, profile_of, to_document
from node.ops.probing.questions import ProbeAnswer, ProbeOutcome, SeenStudy, identifier_of
from tests.support.profiles import HONEST

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def archive(*, days=60, each=8, last=TODAY):
    return [
        SeenStudy(
            uid=f"1.2.{day}.{number}",
            day=last - timedelta(days=day),
            moment=time(8 + number % 12, number % 60),
            patient_id=f"P{day:03}{number:02}",
            accession_number=f"A{day:03}{number:02}",
            modalities=("CT", "SR") if number % 3 == 0 else ("MR",),
            images=number + 1,
        )
        for day in range(days)
        for number in range(each)
    ]


@dataclass
class ModelPeer:
    """Answers from a list, honestly but for what its fields say."""

    studies: list[SeenStudy] = field(default_factory=archive)
    cap: int | None = None
    kind: CapKind = CapKind.CUT
    widest: int | None = None
    dates: bool = True
    times: bool = True
    combined: bool = False
    wildcards: bool = True
    uids: str = "list"
    modalities: bool = True
    universal: bool = True
    repository: bool = False
    empty_keys: bool = True
    refuses: int = 0
    to_the_cap: bool = False
    tells: tuple[str, ...] = ("day", "moment", "modalities", "images")
    asked: list = field(default_factory=list)

    def answer(self, question):
        self.asked.append(question)
        identifier_of(question)
        window = question.window
        if self.asked.count(question) <= self.refuses:
            return ended(ProbeOutcome.REFUSED)
        if question.bare:
            return ended(ProbeOutcome.ANSWERED, stopped=bool(self.studies))
        if not self.empty_keys:
            return ended(ProbeOutcome.ANSWERED)
        if question.repository and not self.repository:
            return ended(ProbeOutcome.REFUSED)
        if window == Window() and not self.universal:
            return ended(ProbeOutcome.REFUSED)
        if self.widest and (window.start is None or span(window) > self.widest):
            return ended(
                ProbeOutcome.REFUSED if self.kind is CapKind.REFUSED else ProbeOutcome.ANSWERED
            )
        found = [study for study in self.studies if self.matches(question, study)]
        outcome = ProbeOutcome.ANSWERED
        if self.cap is not None and len(found) > self.cap:
            outcome = {
                CapKind.REFUSED: ProbeOutcome.REFUSED,
                CapKind.ANNOUNCED: ProbeOutcome.ANNOUNCED,
            }.get(self.kind, ProbeOutcome.ANSWERED)
            told = self.to_the_cap or self.kind in (CapKind.CUT, CapKind.ANNOUNCED)
            found = found[: self.cap] if told else []
        told = tuple(self.described(study) for study in found[: question.enough])
        return ended(outcome, told, stopped=len(found) >= question.enough)

    def described(self, study):
        hidden = {"day", "moment", "modalities", "images"} - set(self.tells)
        return replace(study, **{name: () if name == "modalities" else None for name in hidden})

    def matches(self, question, study):
        window, times = question.window, question.times
        if self.dates and not window.contains(study.day):
            return False
        if times and self.times:
            if self.combined and window.start:
                moment = (study.day, study.moment)
                if not (window.start, times[0]) <= moment <= (window.end, times[1]):
                    return False
            elif not times[0] <= study.moment <= times[1]:
                return False
        for value, key in (
            (study.patient_id, question.patient_id),
            (study.accession_number, question.accession_number),
        ):
            if key and not (fnmatchcase(value, key) if self.wildcards else value == key):
                return False
        if self.modalities and question.modality and question.modality not in study.modalities:
            return False
        listed = question.study_uids if self.uids == "list" else question.study_uids[:1]
        return self.uids == "ignored" or not listed or study.uid in listed


def span(window):
    return (window.end - window.start).days + 1


def ended(outcome, studies=(), *, stopped=False):
    return ProbeAnswer(answered_on=NOW, outcome=outcome, studies=studies, stopped=stopped)


def probed(peer):
    """Play a whole probe; return its facts."""
    evidence = Evidence(today=TODAY, now=NOW)
    asking = plan(evidence)
    question = next(asking)
    while True:
        try:
            question = asking.send(peer.answer(question))
        except StopIteration:
            break
    assert len(peer.asked) == evidence.used <= QUESTIONS
    assert set(evidence.facts) == {*QUERIED, "repository"}
    assert all(fact.how for fact in evidence.facts.values())
    return evidence.facts


@pytest.mark.parametrize(
    ("quirks", "differs"),
    [
        ({}, {}),
        ({"repository": True}, {"repository": True}),
        ({"times": False}, {"times": False, "combined": None}),
        ({"combined": True}, {"combined": True}),
        ({"wildcards": False}, {"wildcards": False}),
        ({"uids": "first"}, {"uid_lists": False}),
        ({"uids": "ignored"}, {"uid_lists": False}),
        ({"modalities": False}, {"modalities": False}),
        ({"universal": False}, {"universal": False}),
        (
            {"tells": ("day",)},
            {
                "times": None,
                "combined": None,
                "modalities": None,
                "modalities_told": False,
                "counts": False,
            },
        ),
        ({"cap": 100}, {"cap": 100, "cap_kind": CapKind.CUT}),
        ({"cap": 5}, {"cap": 5, "cap_kind": CapKind.CUT}),
        ({"cap": 500}, {}),
        (
            {"cap": 100, "kind": CapKind.ANNOUNCED},
            {"cap": 100, "cap_kind": CapKind.ANNOUNCED, "widest": None},
        ),
        (
            {"cap": 100, "kind": CapKind.EMPTY},
            {"cap_kind": CapKind.EMPTY, "widest": None, "universal": False},
        ),
        (
            {"cap": 100, "kind": CapKind.REFUSED},
            {"cap_kind": CapKind.REFUSED, "widest": None, "universal": False},
        ),
        ({"widest": 31}, {"widest": 31, "universal": None}),
        ({"widest": 31, "kind": CapKind.REFUSED}, {"widest": 31, "universal": None}),
        (
            {"widest": 1},
            {"dates": None, "combined": None, "widest": 1, "universal": None},
        ),
    ],
    ids=str,
)
def test_a_probe_finds_out_what_a_peer_does_and_no_more(quirks, differs):
    facts = probed(ModelPeer(**quirks))
    expected = replace(HONEST, **differs)
    assert profile_of(facts) == expected, {name: fact.how for name, fact in facts.items()}


def test_a_peer_that_ignores_dates_is_found_out_and_not_asked_for_its_archive_again_and_again():
    small = ModelPeer(studies=archive(days=5, last=date(2024, 5, 6)), dates=False)
    facts = profile_of(probed(small))
    assert (facts.dates, facts.uid_lists, facts.cap, facts.universal) == (False, True, None, True)
    for last in (TODAY, date(2024, 5, 6)):
        large = ModelPeer(studies=archive(days=400, last=last), dates=False)
        facts = probed(large)
        assert facts["dates"].value is False
        assert facts["wildcards"].value is None
        assert "without an end" in facts["wildcards"].how
        assert len(large.asked) == 1


def test_a_peer_is_never_asked_without_dates_before_it_is_known_that_the_answer_ends():
    for peer in (ModelPeer(studies=archive(days=2000)), ModelPeer(), ModelPeer(cap=100)):
        facts = probed(peer)
        universal = [number for number, one in enumerate(peer.asked) if one.window == Window()]
        known = facts["widest"].value == 0 or facts["cap_kind"].value is not None
        assert bool(universal) == known
        spans = [span(one.window) for one in peer.asked if one.window != Window()]
        assert spans[0] == 1
        assert all(number > 15 for number in universal)


def test_of_an_archive_without_a_study_nothing_is_stated_and_each_fact_says_why():
    facts = probed(ModelPeer(studies=[]))
    assert {fact.value for fact in facts.values()} == {None}
    assert "no study was found in 33 questions" in facts["dates"].how


def test_a_peer_that_refuses_every_question_is_not_said_to_have_no_study():
    facts = probed(ModelPeer(refuses=100))
    assert facts["dates"].value is None
    assert "questions was refused" in facts["dates"].how


def test_a_peer_whose_empty_keys_match_nothing_is_told_from_an_empty_one():
    facts = probed(ModelPeer(empty_keys=False))
    assert facts.pop("empty_keys").value is False
    assert {fact.value for fact in facts.values()} == {None}
    assert "an empty key matches nothing" in facts["dates"].how


def test_a_peer_that_refuses_each_question_before_it_answers_is_asked_again():
    once = profile_of(probed(ModelPeer(refuses=1)))
    assert (once.dates, once.times, once.uid_lists, once.cap_kind) == (True, True, True, None)
    twice = profile_of(probed(ModelPeer(refuses=2)))
    assert (twice.dates, twice.times, twice.cap_kind) == (True, True, None)


def test_one_lonely_study_proves_what_one_study_can():
    lonely = ModelPeer(studies=archive(days=1, each=1, last=date(2024, 2, 29)))
    facts = probed(lonely)
    told = profile_of(facts)
    assert (told.dates, told.times, told.wildcards, told.modalities) == (True, True, True, True)
    assert (told.uid_lists, facts["uid_lists"].how) == (None, "only one study was found")


@pytest.mark.parametrize("kind", [CapKind.CUT, CapKind.EMPTY, CapKind.REFUSED])
def test_an_old_archive_under_a_limit_is_found_whatever_the_limit_does(kind):
    old = ModelPeer(studies=archive(days=900, last=date(2024, 6, 30)), cap=300, kind=kind)
    facts = probed(old)
    told = profile_of(facts)
    assert told.dates is True
    assert told.cap_kind is kind, facts["cap_kind"].how
    assert told.cap in ({300} if kind is CapKind.CUT else {None, 300}), facts["cap"].how


def test_a_limit_is_exact_where_one_study_a_day_tells_it_exactly():
    for kind in (CapKind.EMPTY, CapKind.REFUSED):
        peer = ModelPeer(studies=archive(days=300, each=1), cap=70, kind=kind)
        told = profile_of(probed(peer))
        assert (told.cap, told.cap_kind) == (70, kind)


def test_a_limit_is_exact_where_as_many_are_told_before_the_rest_is_refused():
    studies = archive(days=300, each=2)
    facts = probed(ModelPeer(studies=studies, cap=100, kind=CapKind.REFUSED, to_the_cap=True))
    assert (facts["cap"].value, facts["cap_kind"].value) == (100, CapKind.REFUSED)
    assert facts["cap"].how.endswith("after as many")


def test_facts_are_the_same_when_they_are_read_again():
    facts = probed(ModelPeer())
    assert from_document(to_document(facts)) == {
        name: facts[name] for name in NAMES if name in facts
    }


def test_each_field_of_a_profile_is_a_fact_and_can_be_configured():
    named = [one.name for one in fields(PeerProfile)]
    assert set(named) <= set(NAMES)
    assert set(ProfileSettings.model_fields) == set(named)
    assert set(KINDS) == set(CapKind)
