"""Asking for single studies: lists where the peer understands them, and what proves absence."""

from collections.abc import Iterable
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.cli.shell.queries import queries_of
from node.dicom.query import StudyQuery, Window
from node.errors import UsageError
from node.ops.finding.singles.planning import LIST_LENGTH, SinglesPlanner
from node.ops.finding.singles.resolved import Presence, Reply
from schema.finding.known import DescribedStudy

UIDS = [f"1.2.{n}" for n in range(120)]
DAY = date(2019, 5, 4)
LISTS = ("matched", "first", "last", "none", "all", "refused", "lost", "cut", "refused above")


class Peer:
    """A peer that has some studies, and its own idea of a list of UIDs.

    `most`: of how many UIDs it reads a list. `singly`: what it does with one UID. A study's
    accession number is `A` and its UID. `hidden`: those that it answers only with a date.
    """

    def __init__(
        self,
        has: Iterable[str],
        *,
        lists: str = "matched",
        most: int = 7,
        singly: str = "matched",
        hidden: Iterable[str] = (),
    ) -> None:
        self.has = frozenset(has)
        self.hidden = frozenset(hidden)
        self.lists = lists
        self.most = most
        self.singly = singly
        self.asked: list[StudyQuery] = []

    def reply(self, query: StudyQuery) -> Reply:
        self.asked.append(query)
        uids = query.study_uids or (query.accession_number.removeprefix("A"),)
        if query.window == Window():
            uids = tuple(uid for uid in uids if uid not in self.hidden)
        how = self.lists if len(query.study_uids) > 1 else self.singly
        if how == "refused" or (how == "refused above" and len(uids) > self.most):
            return Reply(complete=False, refused=True, message="refused")
        if how == "lost":
            return Reply(complete=False, message="lost")
        if how == "all":
            found = self.has.intersection(uids)
            return Reply(complete=True, study_uids=found, outside=len(self.has - found))
        read = {"first": uids[:1], "last": uids[-1:], "none": (), "cut": uids[: self.most]}
        return Reply(complete=True, study_uids=self.has.intersection(read.get(how, uids)))


def ask(peer: Peer, uids=UIDS, numbers=(), *, planner: SinglesPlanner | None = None):
    """Return what the peer was asked, and what each study came to."""
    planner = planner or SinglesPlanner(known=known(peer))
    queries = [
        *(StudyQuery(study_uids=(uid,)) for uid in uids),
        *(StudyQuery(accession_number=number) for number in numbers),
    ]
    resolved = {}
    plan = planner.plan(queries, resolved)
    query = next(plan, None)
    while query is not None:
        try:
            query = plan.send(peer.reply(query))
        except StopIteration:
            break
    assert set(resolved) == set(queries)
    return peer.asked, [resolved[query].presence for query in queries]


def known(peer: Peer, count: int = 5) -> list[DescribedStudy]:
    return [
        DescribedStudy(study_uid=uid, accession_number=f"A{uid}")
        for uid in sorted(peer.has)[:count]
    ]


def dated(uids: Iterable[str], day: date = DAY) -> list[DescribedStudy]:
    return [
        DescribedStudy(study_uid=uid, accession_number=f"A{uid}", study_date=day) for uid in uids
    ]


def truth(peer: Peer, uids=UIDS) -> list[Presence]:
    return [Presence.FOUND if uid in peer.has else Presence.ABSENT for uid in uids]


def lists_of(asked: list[StudyQuery]) -> list[int]:
    return [len(query.study_uids) for query in asked if len(query.study_uids) > 1]


def test_a_peer_that_understands_lists_is_asked_in_lists():
    asked, verdicts = ask(Peer(UIDS))
    assert verdicts == truth(Peer(UIDS))
    assert lists_of(asked) == [2, 50, 50, 20]
    assert len(asked) == 4


def test_what_a_list_does_not_bring_is_asked_for_by_itself():
    peer = Peer(set(UIDS) - {UIDS[7], UIDS[60]})
    asked, verdicts = ask(peer)
    assert verdicts == truth(peer)
    single = [query.study_uids for query in asked if len(query.study_uids) == 1]
    assert single[:2] == [(UIDS[7],), (UIDS[60],)]
    (proof,) = single[2:]
    assert peer.has.issuperset(proof)


@pytest.mark.parametrize("lists", ["first", "last", "none", "refused", "all"])
def test_a_peer_that_does_not_is_noticed_by_two_studies_that_it_has(lists):
    peer = Peer(UIDS, lists=lists)
    asked, verdicts = ask(peer)
    assert verdicts == truth(peer)
    assert lists_of(asked) == [2]
    assert len(asked) <= 1 + 2 + len(UIDS)


@pytest.mark.parametrize("lists", ["first", "last", "none", "all"])
def test_it_is_noticed_without_any_study_that_it_is_known_to_have(lists):
    peer = Peer(UIDS, lists=lists)
    asked, verdicts = ask(peer, planner=SinglesPlanner())
    assert verdicts == truth(peer)
    assert lists_of(asked) == [50]
    assert len(asked) <= 1 + len(UIDS)


@pytest.mark.parametrize("lists", ["cut", "refused above"])
def test_lists_become_as_short_as_the_peer_can_read(lists):
    peer = Peer(UIDS, lists=lists)
    asked, verdicts = ask(peer)
    assert verdicts == truth(peer)
    assert len(asked) < 2 * len(UIDS) / 6 + 10


def test_what_the_profile_says_of_lists_is_gone_by():
    peer = Peer(UIDS)
    asked, verdicts = ask(peer, planner=SinglesPlanner(uid_lists=False, known=known(peer)))
    assert (lists_of(asked), verdicts) == ([], truth(peer))
    peer = Peer(UIDS)
    asked, verdicts = ask(peer, planner=SinglesPlanner(uid_lists=True, known=known(peer)))
    assert (lists_of(asked), verdicts) == ([50, 50, 20], truth(peer))


def test_studies_that_are_there_no_more_do_not_speak_against_lists():
    peer = Peer(UIDS)
    gone = [DescribedStudy(study_uid=f"1.9.{n}") for n in range(2)]
    asked, _ = ask(peer, planner=SinglesPlanner(known=[*gone, *known(peer)]))
    assert lists_of(asked) == [2, 2, 50, 50, 20]


def test_that_nothing_came_is_no_proof_at_a_peer_that_has_never_answered_such_a_question():
    peer = Peer(())
    _, verdicts = ask(peer, UIDS[:3], ["A1"])
    assert set(verdicts) == {Presence.UNPROVEN}
    silent = Peer(UIDS, lists="none", singly="none")
    _, verdicts = ask(silent, UIDS[:3])
    assert set(verdicts) == {Presence.UNPROVEN}


def test_each_kind_of_question_is_proven_by_itself():
    peer = Peer(UIDS[:1])
    _, verdicts = ask(peer, [UIDS[0], "1.9"], ["A1.9"], planner=SinglesPlanner())
    assert verdicts == [Presence.FOUND, Presence.ABSENT, Presence.UNPROVEN]
    _, verdicts = ask(Peer(UIDS[:1]), ["1.9"], ["A1.9"])
    assert verdicts == [Presence.ABSENT, Presence.ABSENT]


def test_what_came_though_it_was_not_asked_for_proves_no_absence():
    _, verdicts = ask(Peer(UIDS, singly="all"), ["1.9"])
    assert verdicts == [Presence.UNPROVEN]


@pytest.mark.parametrize(("how", "verdict"), [("lost", "failed"), ("refused", "refused")])
def test_a_peer_that_answers_nothing_at_all_is_soon_not_asked_any_more(how, verdict):
    peer = Peer(UIDS, lists=how, singly=how)
    asked, verdicts = ask(peer, [f"1.3.{n}" for n in range(1000)])
    assert set(verdicts) <= {Presence.FAILED, verdict}
    assert len(asked) <= 12


def test_what_a_planner_has_learnt_holds_for_the_next_studies():
    peer = Peer(UIDS, lists="first")
    planner = SinglesPlanner(known=known(peer))
    ask(peer, UIDS[:10], planner=planner)
    asked, verdicts = ask(peer, [*UIDS[10:20], "1.9"], planner=planner)
    assert lists_of(asked) == [2]
    assert verdicts == [*[Presence.FOUND] * 10, Presence.ABSENT]


def test_what_a_peer_is_known_to_have_is_asked_for_with_its_date_before_it_is_denied():
    peer = Peer(UIDS, hidden=UIDS[:2])
    planner = SinglesPlanner(uid_lists=False, universal=True, known=dated(UIDS[5:8]))
    planner.recall(dated(UIDS[:2]))
    asked, verdicts = ask(peer, [*UIDS[:3], "1.9"], ["A1.2.0", "A1.2.3", "A1.9"], planner=planner)
    found, unproven = Presence.FOUND, Presence.UNPROVEN
    assert verdicts == [found, found, found, unproven, found, found, unproven]
    assert [query.study_uids for query in asked if query.window != Window()] == [
        (UIDS[0],), (UIDS[1],), (UIDS[0],),
    ]  # fmt: skip
    assert planner.contradiction is not None
    assert planner.contradiction[0] == "universal"


def test_what_is_known_and_there_no_more_is_absent_after_one_question_more():
    peer = Peer(UIDS[1:])
    planner = SinglesPlanner(known=dated(UIDS[:3]), oldest=dated(UIDS[:2]), universal=True)
    planner.recall(dated(UIDS[:1]))
    asked, verdicts = ask(peer, UIDS[:1], ["A1.2.0"], planner=planner)
    assert verdicts == [Presence.ABSENT, Presence.ABSENT]
    assert planner.contradiction is None
    # each by itself and with its date; the oldest that is known, once for each kind of question
    assert len(asked) == 2 * (2 + 3)


def test_absence_is_said_only_by_a_peer_that_answers_the_oldest_study_that_it_has():
    peer = Peer(UIDS, hidden=UIDS[:2])
    old, new = dated(UIDS[:2]), dated(UIDS[50:53], date(2024, 1, 1))
    planner = SinglesPlanner(known=new, oldest=old)
    asked, verdicts = ask(peer, [], ["A1.9", "A1.8"], planner=planner)
    assert verdicts == [Presence.UNPROVEN] * 2
    assert len(asked) == 2 + 2
    asked, verdicts = ask(peer, [], ["A1.7"], planner=planner)
    assert (verdicts, len(asked)) == ([Presence.UNPROVEN], 5), "it is known by now"
    honest = Peer(UIDS)
    asked, verdicts = ask(honest, [], ["A1.9"], planner=SinglesPlanner(known=new, oldest=old))
    assert (verdicts, len(asked)) == ([Presence.ABSENT], 2), "no question more than without a date"


def test_a_question_that_brings_some_of_the_known_studies_of_a_number_is_completed():
    class Twice(Peer):
        def reply(self, query: StudyQuery) -> Reply:
            self.asked.append(query)
            return Reply(
                complete=True,
                study_uids=frozenset(query.study_uids or UIDS[:1]),
            )

    planner, resolved = SinglesPlanner(), {}
    planner.recall(
        [DescribedStudy(study_uid=uid, accession_number="A", study_date=DAY) for uid in UIDS[:2]]
    )
    query = StudyQuery(accession_number="A")
    plan, peer = planner.plan([query], resolved), Twice(())
    plan.send(peer.reply(next(plan)))
    with pytest.raises(StopIteration):
        plan.send(peer.reply(StudyQuery(study_uids=(UIDS[1],))))
    assert resolved[query].study_uids == tuple(UIDS[:2])


def test_a_peer_that_does_not_answer_the_question_with_a_date_denies_nothing():
    class Refusing(Peer):
        def reply(self, query: StudyQuery) -> Reply:
            reply = super().reply(query)
            return reply if query.window == Window() else Reply(complete=False, refused=True)

    peer = Refusing(UIDS, hidden=UIDS[:1])
    planner = SinglesPlanner(known=known(peer))
    planner.recall(dated(UIDS[:1]))
    _, verdicts = ask(peer, UIDS[:1], planner=planner)
    assert verdicts == [Presence.UNPROVEN]


def test_as_many_studies_of_a_number_as_a_peer_answers_at_most_are_perhaps_not_all():
    for cap, presence in ((1, Presence.CUT), (2, Presence.FOUND), (0, Presence.FOUND)):
        _, verdicts = ask(Peer(UIDS), UIDS[:1], ["A1.2.3"], planner=SinglesPlanner(cap=cap))
        assert verdicts == [Presence.FOUND, presence]


def test_nothing_is_asked_when_nothing_is_wanted():
    assert ask(Peer(UIDS), [], []) == ([], [])


@settings(max_examples=150, deadline=None)
@given(
    has=st.sets(st.sampled_from(UIDS)),
    wanted=st.lists(st.sampled_from([*UIDS, *(f"1.9.{n}" for n in range(40))]), unique=True),
    lists=st.sampled_from(LISTS),
    singly=st.sampled_from(["matched", "matched", "none", "all", "refused", "lost"]),
    most=st.integers(1, 60),
    profile=st.sampled_from([None, True, False]),
    acquainted=st.integers(0, 5),
)
def test_whatever_a_peer_makes_of_lists_absence_is_said_only_of_what_is_not_there(
    has, wanted, lists, singly, most, profile, acquainted
):
    peer = Peer(has, lists=lists, most=most, singly=singly)
    planner = SinglesPlanner(uid_lists=profile, known=known(peer, acquainted))
    asked, verdicts = ask(peer, wanted, planner=planner)
    for uid, verdict in zip(wanted, verdicts, strict=True):
        assert verdict is not Presence.FOUND or uid in has
        assert verdict is not Presence.ABSENT or uid not in has
        if singly == "matched":
            assert verdict in {Presence.FOUND if uid in has else Presence.ABSENT, Presence.UNPROVEN}
            assert verdict is not Presence.UNPROVEN or not (acquainted and has)
            assert verdict is not Presence.UNPROVEN or not has.intersection(wanted)
    assert len(asked) <= 2 * len(wanted) + len(wanted) // LIST_LENGTH + 20


@pytest.mark.parametrize(
    ("query", "unbounded"),
    [
        (StudyQuery(), True),
        (StudyQuery(modality="CT"), True),
        (StudyQuery(patient_id="*"), True),
        (StudyQuery(patient_id="?*"), True),
        (StudyQuery(accession_number="**", modality="CT"), True),
        (StudyQuery(patient_id="A*"), False),
        (StudyQuery(accession_number="7"), False),
        (StudyQuery(study_uids=("1.2",)), False),
    ],
)
def test_what_may_match_everything_is_known(query, unbounded):
    assert query.unbounded is unbounded


def test_a_lone_wildcard_is_no_key():
    january = Window(start=date(2024, 1, 1), end=date(2024, 1, 31))
    any_ = {"patient_ids": ["*", "**"], "accession_numbers": ["*"]}
    others = {"modalities": None, "study_uids": None, "project": None}
    assert queries_of(january, **any_, **others) == [StudyQuery(window=january)]
    with pytest.raises(UsageError, match="say what to find"):
        queries_of(Window(), **any_, **others)


def test_a_range_of_dates_is_a_bound():
    assert not StudyQuery(window=Window(start=date(2024, 1, 1)), modality="CT").unbounded
