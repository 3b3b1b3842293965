"""Projects: entries by key, members found or received later, what is missing and why."""

import asyncio
from datetime import date

import pytest
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from schema import (
    Criteria,
    Database,
    Project,
    ProjectStudy,
    add_images,
    add_to_project,
    create_project,
    delete_project,
    get_project_members,
    get_project_study_uids,
    list_projects,
    record_found,
    remove_from_project,
    select_studies,
    update_retrieved_study,
)
from schema.errors import InvalidProject
from schema.finding.asking import add_window
from schema.moves import record_move_attempt
from schema.project.entries import (
    add_known_studies,
    check_accession_number,
    check_project_name,
    check_study_uid,
)
from schema.project.members import get_ambiguous_accessions, get_unfound
from tests.db.records import finding, record


async def make(db: Database, name: str = "cohort", **entries) -> int:
    async with db.begin() as session:
        project = await create_project(session, name)
        assert project is not None
        await add_to_project(session, project.id, **entries)
        return project.id


async def record_all(db: Database, *identifiers, peer: str = "pacs") -> None:
    async with db.begin() as session:
        await record_found(session, identifiers, peer=peer)


async def receive(db: Database, study: str, images: int = 1, **values) -> None:
    async with db.begin() as session:
        records = [record(f"{study}.1.{n}", f"{study}.1", study, **values) for n in range(images)]
        await add_images(session, records)


async def ask(db: Database, outcome: str = "complete", message: str | None = None, **query) -> None:
    async with db.begin() as session:
        await add_window(
            session,
            cycle_id=None,
            peer="pacs",
            query=query,
            start_date=None,
            end_date=None,
            outcome=outcome,
            matches=0,
            message=message,
        )


async def members(db: Database, project: int) -> dict[str, object]:
    async with db.session() as session:
        return {
            member.study_uid or member.accession_number or "": member
            for member in await get_project_members(session, project)
        }


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\0b", "x" * 201, "-x"])
def test_a_name_that_cannot_be_one_is_refused(name):
    with pytest.raises(InvalidProject):
        check_project_name(name)


def test_a_name_is_kept_without_the_spaces_around_it():
    assert check_project_name("  Étude 7: thorax ") == "Étude 7: thorax"


@pytest.mark.parametrize(
    "uid", ["", "1", "1.2.x", "3.4", "1..2", "1.2.", ".1.2", "1,2,3", "1.2E+05", "1." + "2" * 64]
)
def test_what_is_no_uid_is_refused(uid):
    with pytest.raises(InvalidProject, match="no Study Instance UID"):
        check_study_uid(uid)


@pytest.mark.parametrize("uid", ["1.2", "2.25.0123", " 1.2.3\0"])
def test_uids_are_taken_as_devices_write_them(uid):
    assert check_study_uid(uid) == uid.strip(" \0")


@pytest.mark.parametrize("number", ["", "  ", "A*", "A?", "A\\B", "A\x01", "x" * 301])
def test_what_is_no_accession_number_is_refused(number):
    with pytest.raises(InvalidProject):
        check_accession_number(number)


async def test_a_project_is_made_once(db):
    async with db.begin() as session:
        first = await create_project(session, " cohort ", description="what for\0")
        assert first is not None
        assert (first.name, first.description) == ("cohort", "what for\ufffd")
        assert await create_project(session, "cohort") is None
        assert (await Project.by_name(session, "cohort")).description == "what for\ufffd"


async def test_entries_are_added_once_and_removed_by_their_key(db):
    project = await make(db, study_uids=["1.1", "1.2"], accession_numbers=["A1"])
    async with db.begin() as session:
        added = await add_to_project(
            session, project, study_uids=["1.2", "1.3", "1.3 "], accession_numbers=["A1", "A2"]
        )
        assert (added.changed, added.unchanged) == (2, 2)
        gone = await remove_from_project(
            session, project, study_uids=["1.1", "9.9"], accession_numbers=["A2"]
        )
        assert (gone.changed, gone.unchanged) == (2, 1)
        left = set(
            (
                await session.execute(select(ProjectStudy.study_uid, ProjectStudy.accession_number))
            ).all()
        )
    assert left == {("1.2", None), ("1.3", None), (None, "A1")}


async def test_nothing_is_added_when_one_is_wrong_or_the_project_is_gone(db):
    project = await make(db)
    for entries in ({"study_uids": ["1.1", "x"]}, {"accession_numbers": ["A1", "*"]}):
        with pytest.raises(InvalidProject):
            async with db.begin() as session:
                await add_to_project(session, project, **entries)
    with pytest.raises(InvalidProject, match="no project"):
        async with db.begin() as session:
            await add_to_project(session, project + 1, study_uids=["1.1"])
    async with db.session() as session:
        assert (await session.scalars(select(ProjectStudy))).all() == []


async def test_two_at_once_add_each_study_once(db):
    project = await make(db)
    uids = [f"1.{n}" for n in range(300)]

    async def add(order):
        async with db.begin() as session:
            return await add_to_project(session, project, study_uids=order)

    added = await asyncio.gather(add(uids), add(uids[::-1]), add(uids[100:200]))
    assert sum(one.changed for one in added) == 300


async def test_ten_thousand_studies_are_added_and_reported(db):
    uids = [f"1.2.{n}" for n in range(10_000)]
    project = await make(db, study_uids=uids)
    async with db.session() as session:
        (summary,) = await list_projects(session)
        assert (summary.entries, summary.studies, summary.missing) == (10_000,) * 3
        assert len(await get_project_members(session, project)) == 10_000
        assert len((await get_unfound(session, project)).study_uids) == 10_000


async def test_members_are_found_and_received_whenever_that_happens(db):
    project = await make(
        db, study_uids=["1.1", "1.2", "1.3", "1.9"], accession_numbers=["A1", "A2", "NONE"]
    )
    await record_all(
        db,
        finding("1.1", 2),
        finding("1.2", 3),
        finding("1.4", 1, AccessionNumber="A1"),
        finding("1.5", 1, AccessionNumber="A2"),
        finding("1.6", 1, AccessionNumber="A2"),
        finding("1.7", 1),
    )
    await receive(db, "1.1", 2)
    await receive(db, "1.2", 1)
    await receive(db, "1.3", 4)
    async with db.begin() as session:
        await update_retrieved_study(session, "1.1")
        await record_move_attempt(session, "1.2", state="partial", error="2 are missing")
    known = await members(db, project)
    assert {key: member.state for key, member in known.items()} == {
        "1.1": "retrieved",
        "1.2": "partial",
        "1.3": "received",
        "1.4": "pending",
        "1.5": "pending",
        "1.6": "pending",
        "1.9": "not found",
        "NONE": "not found",
    }
    assert (known["1.2"].received_images, known["1.2"].expected_images) == (1, 3)
    assert known["1.2"].last_error == "2 are missing"
    assert (known["1.3"].received_images, known["1.3"].expected_images) == (4, None)
    assert (known["1.4"].accession_number, known["1.4"].peer) == ("A1", "pacs")
    assert [key for key, member in known.items() if member.complete] == ["1.1"]
    async with db.session() as session:
        (summary,) = await list_projects(session, name="cohort")
        assert (summary.entries, summary.studies, summary.found) == (7, 8, 5)
        assert (summary.received, summary.complete) == (3, 1)
        assert (summary.missing, summary.images) == (2, 7)
        assert await get_ambiguous_accessions(session, project) == {"A2": ("1.5", "1.6")}
        unfound = await get_unfound(session, project)
        assert unfound.study_uids == ("1.3", "1.9")
        assert unfound.accession_numbers == ("NONE",)
        uids = await get_project_study_uids(session, project)
        assert uids == ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.9"]


@pytest.mark.parametrize("number", ["A1", "B1"])
async def test_a_study_is_found_by_the_accession_number_that_any_of_its_sources_gives_it(
    db, number
):
    project = await make(db, accession_numbers=[number, "nobody's"])
    await record_all(db, finding("1.2", 5, AccessionNumber="A1"), peer="large")
    await record_all(db, finding("1.2", 3, AccessionNumber="B1"), peer="small")
    async with db.session() as session:
        assert await get_project_study_uids(session, project) == ["1.2"]
        unfound = await get_unfound(session, project)
        (summary,) = await list_projects(session)
    assert unfound.accession_numbers == ("nobody's",)
    assert (summary.studies, summary.found, summary.missing) == (2, 1, 1)
    await record_all(db, finding("1.3", 5, AccessionNumber="A1"), peer="small")
    await record_all(db, finding("1.3", 9, AccessionNumber="B1"), peer="large")
    async with db.session() as session:
        ambiguous = await get_ambiguous_accessions(session, project)
    assert ambiguous == {number: ("1.2", "1.3")}


async def test_a_study_named_twice_is_one_member(db):
    project = await make(db, study_uids=["1.1"], accession_numbers=["A1"])
    await record_all(db, finding("1.1", 1, AccessionNumber="A1"))
    await receive(db, "1.1", 1, accession_number="A1")
    assert list(await members(db, project)) == ["1.1"]
    async with db.session() as session:
        (summary,) = await list_projects(session)
        assert (summary.entries, summary.studies, summary.images) == (2, 1, 1)
        assert await get_ambiguous_accessions(session, project) == {}


async def test_not_asked_is_told_from_not_there(db):
    project = await make(db, study_uids=["1.1", "1.2", "1.3"], accession_numbers=["A1"])
    await ask(db, StudyInstanceUID="1.1\\1.2")
    await ask(db, AccessionNumber="A1", PatientID="P1")
    await ask(db, StudyInstanceUID="1.2", outcome="refused", message="out of resources")
    known = await members(db, project)
    assert known["1.1"].asked.outcome == "complete"
    assert known["1.1"].asked.peer == "pacs"
    assert (known["1.2"].asked.outcome, known["1.2"].asked.message) == (
        "refused",
        "out of resources",
    )
    assert known["1.3"].asked is None
    assert known["A1"].asked is None, "with another key, no answer does not say that it is nowhere"


async def test_a_study_that_came_under_no_uid_belongs_to_a_project_but_is_not_asked_for(db):
    project = await make(db, study_uids=["1.1"])
    await receive(db, "not\\a UID")
    async with db.begin() as session:
        added = await add_known_studies(session, project, await select_studies(session, Criteria()))
        assert added.changed == 1
        assert (await get_unfound(session, project)).study_uids == ("1.1",)
    assert (await members(db, project))["not\\a UID"].state == "received"


async def test_projects_are_listed_by_name_and_count_only_their_own(db):
    await make(db, "b", study_uids=["1.1", "1.2"])
    await make(db, "a", study_uids=["1.1"])
    await make(db, "c")
    await receive(db, "1.1", 3)
    async with db.session() as session:
        listed = await list_projects(session)
        assert [(one.name, one.studies, one.images) for one in listed] == [
            ("a", 1, 3),
            ("b", 2, 3),
            ("c", 0, 0),
        ]
        assert await list_projects(session, name="d") == []


async def test_a_deleted_project_takes_nothing_with_it(db):
    project = await make(db, study_uids=["1.1", "1.2"])
    other = await make(db, "other", study_uids=["1.1"])
    await receive(db, "1.1")
    async with db.begin() as session:
        assert await delete_project(session, project) == 2
    async with db.session() as session:
        assert await Project.by_name(session, "cohort") is None
        assert await get_project_study_uids(session, other) == ["1.1"]
        assert await select_studies(session, Criteria()) == ["1.1"]


async def test_relationships_lead_from_the_project_to_its_patients(db):
    await make(db, study_uids=["1.1"], accession_numbers=["A1"])
    await record_all(db, finding("1.2", 1, AccessionNumber="A1"))
    await receive(db, "1.1", patient_id="P7")
    async with db.session() as session:
        options = [
            selectinload(relationship)
            for relationship in (Project.patients, Project.studies, Project.found_studies)
        ]
        project = (await session.scalars(select(Project).options(*options))).one()
        assert [patient.patient_id for patient in project.patients] == ["P7"]
        assert [study.study_uid for study in project.studies] == ["1.1"]
        assert [study.study_uid for study in project.found_studies] == ["1.2"]


SELECTIONS: list[tuple[dict, list[str]]] = [
    ({}, ["1.1", "1.2", "1.3"]),
    ({"first": date(2024, 1, 2)}, ["1.1", "1.2"]),
    ({"first": date(2024, 1, 3)}, ["1.2"]),
    ({"last": date(2024, 1, 2)}, ["1.1"]),
    ({"modality": "CT"}, ["1.1", "1.3"]),
    ({"modality": "C"}, []),
    ({"modality": "SR"}, ["1.1"]),
    ({"patient_id": "P1"}, ["1.1", "1.3"]),
    ({"patient_id": "P_"}, []),
    ({"peer": "second"}, ["1.2"]),
    ({"manufacturer": "ACME"}, ["1.3"]),
    ({"modality": "CT", "manufacturer": "ACME", "patient_id": "P2"}, []),
]


async def test_studies_are_selected_from_what_was_found_and_what_is_here(db):
    await record_all(db, finding("1.1", 1, ModalitiesInStudy=["CT", "SR"]))
    await record_all(db, finding("1.2", 1, StudyDate="20240103", PatientID="P2"), peer="second")
    await receive(db, "1.3", modality="CT", manufacturer="ACME")
    async with db.session() as session:
        selected = [
            (criteria, await select_studies(session, Criteria(**criteria)))
            for criteria, _ in SELECTIONS
        ]
    assert selected == SELECTIONS


async def test_the_studies_of_a_project_have_one_order_in_every_database(db):
    numbers = {"1.2.10": "B2", "1.2.9": "B1", "1.2.30": "B1", "1.2.4": "A9"}
    project = await make(db, study_uids=[*numbers, "1.9", "1.10"], accession_numbers=["b", "C"])
    await record_all(
        db,
        *(finding(uid, AccessionNumber=number) for uid, number in numbers.items()),
        finding("1.10", StudyDate=""),
    )
    async with db.begin() as session:
        await record_found(session, [finding("1.2.4", StudyDate="20230101")], peer="pacs")
    async with db.session() as session:
        shown = await get_project_members(session, project)
    assert [member.study_uid or member.accession_number for member in shown] == [
        "1.2.4",
        "1.2.30",
        "1.2.9",
        "1.2.10",
        "1.10",
        "1.9",
        "C",
        "b",
    ]


async def test_the_peer_that_was_asked_last_is_the_one_that_counts(db):
    uid, number = "1.2.5", "A5"
    project = await make(db, study_uids=[uid])
    await receive(db, uid, accession_number=number)
    for peer, key, value in (
        ("first", "StudyInstanceUID", uid),
        ("second", "StudyInstanceUID", uid),
        ("first", "AccessionNumber", number),
    ):
        async with db.begin() as session:
            await add_window(
                session,
                cycle_id=None,
                peer=peer,
                query={key: value},
                start_date=None,
                end_date=None,
                outcome="complete",
                matches=0,
            )
    async with db.session() as session:
        (member,) = await get_project_members(session, project)
    assert [asked.peer for asked in member.inquiries] == ["first", "second"]
