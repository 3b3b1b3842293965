"""What a PACS's answer changes: decided without a database."""

from dataclasses import replace
from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.finding import weighing
from schema.finding.answer import StudyAnswer, read_answer
from schema.finding.drawing import STUDY_FACTS, SourceAnswer, changes, draw
from schema.finding.facts import facts_of
from schema.finding.weighing import StudyBefore, weigh
from tests.db.records import finding

NOON = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - naive UTC, as the columns are

texts = st.sampled_from([None, "A", "B"])
counts = st.none() | st.integers(0, 5)
sources = st.lists(
    st.builds(
        SourceAnswer,
        peer=st.sampled_from("abcd"),
        last_seen_on=st.just(NOON),
        gone_on=st.sampled_from([None, None, NOON]),
        patient_id=texts,
        accession_number=texts,
        modalities=st.sampled_from([None, "CT", "SR\\CT", "CT\\SR"]),
        expected_images=counts,
        expected_series=counts,
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one.peer,
)


@given(sources=sources, here=st.integers(0, 9), shuffled=st.randoms())
def test_no_order_of_the_sources_draws_another_study(sources, here, shuffled):
    drawn = draw(sources, here=here)
    shuffled.shuffle(sources)
    assert draw(sources, here=here) == drawn
    assert drawn.keys() == set(STUDY_FACTS)
    live = [one for one in sources if one.gone_on is None] or sources
    for one in live:
        assert (drawn["expected_images"] or 0) >= (one.expected_images or 0)
        said = set((one.modalities or "").split("\\")) - {""}
        assert said <= set((drawn["modalities"] or "").split("\\"))
    if all(one.patient_id is None for one in sources):
        assert drawn["patient_id"] is None
    else:
        assert drawn["patient_id"] in {one.patient_id for one in sources}


def before(*sources: SourceAnswer, complete: bool = False, here: int = 0) -> StudyBefore:
    if complete:  # when all that each of them has is verified to be here
        sources = tuple(replace(one, verified_on=NOON) for one in sources)
    return StudyBefore(
        facts=draw(sources, here=here),
        complete=complete,
        given_up=False,
        here=here,
        sources=sources,
    )


def source(peer: str, images: int | None = None, **more: object) -> SourceAnswer:
    return SourceAnswer(peer=peer, last_seen_on=NOON, expected_images=images, **more)


def test_the_same_answer_again_changes_nothing():
    answer = StudyAnswer(study_uid="1", patient_id="P", expected_images=3, keys={"StudyID": "7"})
    was = SourceAnswer(peer="a", last_seen_on=NOON, **facts_of(answer))
    weighed = weigh(before(was, complete=True, here=3), answer, peer="a", now=NOON)
    assert (weighed.changed, weighed.otherwise, weighed.grown, weighed.reopened) == (False,) * 4
    assert weighed.changes == []


@pytest.mark.parametrize(
    ("was", "count", "here", "reopened"),
    [
        ((source("a", 2),), 3, 2, True),
        ((source("a", 2),), 3, 3, False),  # from nobody else: it came late, and is here
        ((source("a", 2), source("b", 4)), 3, 6, True),  # of the six, four are from b
        ((source("a"), source("b", 4)), 5, 6, False),
        ((source("b", 4),), 1, 4, True),  # its one may be another one
    ],
)
def test_growth_is_measured_at_the_peer_where_others_have_the_study(was, count, here, reopened):
    answer = StudyAnswer(study_uid="1", expected_images=count)
    study = before(*was, complete=True, here=here)
    assert weigh(study, answer, peer="a", now=NOON).reopened == reopened


def test_more_series_are_growth_where_images_are_not_counted():
    answer = StudyAnswer(study_uid="1", expected_series=3)
    study = before(source("a", expected_series=2), complete=True, here=9)
    assert weigh(study, answer, peer="a", now=NOON).reopened


def test_what_was_not_asked_for_before_is_kept_and_is_no_change():
    was = SourceAnswer(peer="a", last_seen_on=NOON, expected_images=2)
    answer = StudyAnswer(study_uid="1", expected_images=2, keys={"StudyID": "1"})
    weighed = weigh(before(was), answer, peer="a", now=NOON)
    assert (weighed.otherwise, weighed.changed, list(weighed.changes)) == (True, False, [])
    assert weighed.facts["keys"] == {"StudyID": "1"}


def test_a_changed_key_that_was_asked_for_besides_is_history():
    one = finding("1", StudyID="7", InstitutionName="Here\\There", StudyTime="0102")
    answer = read_answer(one, ("StudyID", "InstitutionName", "ReferringPhysicianName"))
    assert answer.keys == {"StudyID": "7", "InstitutionName": "Here\\There"}
    assert answer.study_time == time(1, 2)
    was = source("a", keys={"StudyID": "6", "Occasion": "kept"}, study_time=time(1, 3))
    facts = facts_of(answer, was)
    assert facts["keys"] == {"StudyID": "7", "InstitutionName": "Here\\There", "Occasion": "kept"}
    assert [(one.field, one.was, one.became) for one in changes(was, facts, NOON)] == [
        ("study_time", "01:03:00", "01:02:00"),
        ("StudyID", "6", "7"),
    ]


@pytest.mark.parametrize("gone_on", [None, NOON])
def test_a_study_is_opened_again_by_a_source_of_which_not_all_was_verified_to_be_here(gone_on):
    answer = StudyAnswer(study_uid="1", expected_images=2)
    here = replace(source("a", 2), verified_on=NOON)
    elsewhere = replace(source("b", 2), gone_on=gone_on)
    study = replace(before(here, elsewhere, here=2), complete=True)
    assert not weigh(study, answer, peer="a", now=NOON).reopened
    assert weigh(study, answer, peer="b", now=NOON).reopened


facts = st.builds(
    StudyAnswer,
    study_uid=st.just("1.2.3"),
    patient_id=texts,
    accession_number=texts,
    modalities=st.sampled_from([None, "CT", "SR\\CT", "CT\\SR"]),
    expected_images=counts,
    expected_series=counts,
    keys=st.sampled_from([None, {"StudyID": "1"}, {"StudyID": "2"}]),
)


@given(
    was=sources,
    row=st.none() | facts,
    answer=facts,
    complete=st.booleans(),
    given_up=st.booleans(),
    here=st.integers(0, 5),
)
def test_that_nothing_can_come_of_an_answer_is_what_weighing_it_comes_to(
    was, row, answer, complete, given_up, here
):
    drawn = draw(was, here=here)
    study = StudyBefore(
        facts=drawn if row is None else {name: getattr(row, name) for name in STUDY_FACTS},
        complete=complete,
        given_up=given_up,
        here=here,
        sources=was,
    )
    said = replace(answer, **facts_of(was[0])) if answer.patient_id is None else answer
    for one in (said, answer):
        shortly = weigh(study, one, peer=was[0].peer, now=NOON)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weighing, "_is_known", lambda *_: False)
            assert replace(shortly, changes=list(shortly.changes)) == weigh(
                study, one, peer=was[0].peer, now=NOON
            )
