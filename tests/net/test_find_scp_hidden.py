"""What is hidden from who asks is neither shown nor told by what is answered; on both databases."""

import asyncio

import pytest
from sqlalchemy import insert

from node.errors import PeerFailure, PeerRefused
from schema import DatabaseUnavailable, StudyFind
from schema.tables.statements import table_of
from tests.support.answering import answering_node, ask, column, combined, header, hold, keys

SR = "1.2.840.10008.5.1.4.1.1.88.11"
ONLY_CT = {"only_modalities": ["CT"]}


async def studies(node, level="STUDY", **values):
    unique = "PatientID" if level == "PATIENT" else "StudyInstanceUID"
    return column(await ask(node, keys(level, **{unique: "", **values})), unique)


async def with_hidden_series(db):
    """A study of a visible CT and a hidden SR, which came first; and one that is hidden whole."""
    hidden = {"Modality": "SR", "SOPClassUID": SR, "AccessionNumber": "SECRET"}
    await hold(
        db,
        [
            header(1, series=2, image=2, PatientName="Secret^Name", StudyDate="19990101", **hidden),
            header(1, AccessionNumber="PUBLIC", StudyDate="20240101", SeriesDescription="thin"),
            header(3, PatientID="P3", **hidden),
        ],
    )


HIDDEN_SERIES = {
    "Modality": "SR",
    "SOPClassUID": SR,
    "SOPInstanceUID": "1.2.3.1.2.2",
    "SeriesInstanceUID": "1.2.3.1.2",
    "ModalitiesInStudy": "SR",
    "SOPClassesInStudy": SR,
    "AccessionNumber": "SECRET",
    "PatientName": "Secret*",
    "StudyDate": "19990101",
}


async def test_a_hidden_series_answers_no_question(db):
    await with_hidden_series(db)
    async with answering_node(db, viewer=ONLY_CT) as node:
        for keyword, value in HIDDEN_SERIES.items():
            assert (keyword, await studies(node, **{keyword: value})) == (keyword, [])
        for keyword in ("Modality", "SOPInstanceUID", "AccessionNumber", "StudyDate"):
            value = HIDDEN_SERIES[keyword]
            told = await ask(node, keys("PATIENT", PatientID="", **{keyword: value}))
            assert (keyword, told) == (keyword, [])
        assert await studies(node, "PATIENT", StudyInstanceUID="1.2.3.3") == []
        assert await studies(node, AccessionNumber="PUBLIC", StudyDate="20240101") == ["1.2.3.1"]
        assert await studies(node, SeriesDescription="thin", Modality="CT") == ["1.2.3.1"]
        assert await studies(node, PatientID="P1", PatientName="doe*") == ["1.2.3.1"]
        assert await studies(node, "PATIENT", PatientID="P1") == ["P1"]


async def test_what_is_shown_is_of_what_may_be_seen(db):
    await with_hidden_series(db)
    wanted = dict.fromkeys(
        ("StudyInstanceUID", "PatientName", "StudyDate", "AccessionNumber", "SOPClassesInStudy"), ""
    )
    async with answering_node(db, viewer=ONLY_CT) as node:
        (match,) = await ask(node, keys("STUDY", NumberOfStudyRelatedInstances="", **wanted))
    assert match.PatientName == "DOE^JANE"
    assert (match.StudyDate, match.AccessionNumber) == ("20240101", "PUBLIC")
    assert match.SOPClassesInStudy != SR
    assert match.NumberOfStudyRelatedInstances == 1


async def test_an_image_is_seen_only_where_its_own_header_may_be_too(db):
    """One of another modality than its series, and one that says another study than it is in."""
    await hold(
        db,
        [
            header(1),
            header(1, image=7, Modality="SR", SOPClassUID=SR),
            header(2),
            header(2, SeriesInstanceUID="1.2.3.1.1", SOPInstanceUID="1.2.3.9"),
        ],
    )
    level = {"StudyInstanceUID": "1.2.3.1", "SeriesInstanceUID": "1.2.3.1.1"}
    async with answering_node(db, viewer=ONLY_CT) as node:
        found = await ask(node, keys("IMAGE", SOPInstanceUID="", **level))
        assert column(found, "SOPInstanceUID") == ["1.2.3.1.1.1", "1.2.3.9"]
        (series,) = await ask(node, keys("SERIES", **level, NumberOfSeriesRelatedInstances=""))
        assert series.NumberOfSeriesRelatedInstances == 2
    async with db.begin() as session:
        await session.execute(insert(table_of(StudyFind)), [pending("1.2.3.2")])
    async with answering_node(db, viewer={"hide_incomplete": True}) as node:
        found = await ask(node, keys("IMAGE", SOPInstanceUID="", **level))
        assert column(found, "SOPInstanceUID") == ["1.2.3.1.1.1", "1.2.3.1.1.7"]


def pending(uid):
    return {"study_uid": uid, "state": "partial", "attempts": 0, "priority": 0}


async def test_a_study_that_is_not_complete_hides_no_other(db):
    await hold(db, [header(number) for number in (1, 2, 3)])
    async with db.begin() as session:
        await session.execute(insert(table_of(StudyFind)), [pending("1.2.3.2")])
    async with answering_node(db, viewer={"hide_incomplete": True}) as node:
        assert await studies(node) == ["1.2.3.1", "1.2.3.3"]
        assert await studies(node, "PATIENT") == ["P1", "P3"]
        assert await studies(node, StudyInstanceUID="1.2.3.2") == []


async def test_what_cannot_be_matched_is_refused_and_never_passed_over(db):
    await hold(db, [header(1, StudyDate="20240101"), header(2, StudyDate="20240202")])
    async with answering_node(db) as node:
        for level, keyword, value in (
            ("STUDY", "NumberOfSeriesRelatedInstances", "1"),
            ("STUDY", "AvailableTransferSyntaxUID", "1.2.840.10008.1.2.1"),
            ("PATIENT", "NumberOfStudyRelatedInstances", "1"),
            ("STUDY", "PatientComments", "x" * 2000),
        ):
            with pytest.raises(PeerFailure, match="0xA900"):
                await studies(node, level, **{keyword: value})
        both = {"ModalitiesInStudy": "CT", "StudyDate": "20240202"}
        assert await studies(node, "PATIENT", **both) == ["P2"]
        assert await studies(node, "PATIENT", StudyDate="garbage") == []
        assert await studies(node, InstanceAvailability="ONLINE") == []
        assert await studies(node, InstanceAvailability="UNAVAILABLE") == ["1.2.3.1", "1.2.3.2"]
        assert await studies(node, RetrieveAETitle="ELSEWHERE") == []
        assert len(await studies(node, RetrieveAETitle="NODE")) == 2
        assert await studies(node, Modality="c*") == []
        assert len(await studies(node, Modality="C*")) == 2


async def test_a_key_of_many_asterisks_takes_no_time(sqlite):
    await hold(sqlite, [header(1, StudyDescription="-" * 64)])
    async with answering_node(sqlite) as node:
        key = "*-" * 30 + "x"
        async with asyncio.timeout(10):
            assert await studies(node, StudyDescription=key) == []
            assert await studies(node, StudyDescription="*-" * 30 + "*") == ["1.2.3.1"]


@pytest.mark.parametrize(
    ("day", "moment", "matches"),
    [
        ("20240115", "093000", True),
        ("20240114-20240116", "0800-0700", True),
        ("20240115-20240116", "0931-0700", False),
        ("20240114-20240115", "1000-0929", False),
        ("20240114-20240115", "1000-0930", True),
        ("-20240115", "-0930", True),
        ("20240115-", "093001-", False),
    ],
)
async def test_a_date_and_a_time_are_one_moment_where_that_is_negotiated(
    sqlite, day, moment, matches
):
    await hold(sqlite, [header(1, StudyDate="20240115", StudyTime="093000")])
    found = await combined(sqlite, keys("STUDY", StudyDate=day, StudyTime=moment))
    assert bool(found) == matches


async def test_a_right_that_is_missing_is_named_in_the_log(sqlite, caplog):
    caplog.set_level("INFO")
    async with answering_node(sqlite, viewer={"may_query": []}) as node:
        with pytest.raises(PeerRefused):
            await ask(node, keys("STUDY", StudyInstanceUID=""))
    given = "peers.viewer.may_query: [VIEWER] would give it"
    assert f"VIEWER may not query: it is peers.viewer, without that right; {given}" in caplog.text


async def test_who_cannot_be_answered_is_named_in_the_log(sqlite, monkeypatch, caplog):
    async def fail(*_, **__):
        raise DatabaseUnavailable("it is away")

    monkeypatch.setattr("node.ops.answering.finding.candidates", fail)
    async with answering_node(sqlite) as node:
        with pytest.raises(PeerFailure, match="the database cannot be asked"):
            await ask(node, keys("STUDY", StudyInstanceUID=""))
    assert "A query of VIEWER cannot be answered: it is away" in caplog.text
