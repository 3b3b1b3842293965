"""C-FIND as the node answers it from its index: PS3.4 C.4.1 and C.2.2.2, on both databases."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress

import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import text

from node.dicom.querying.model import QueryModel
from node.errors import PeerFailure
from node.net.dimse.contexts import Service
from node.net.dimse.identifiers import write_identifier
from node.net.messages import Caller, FindRequest
from node.net.scu.requestor import associate
from node.ops.answering.finding import IndexFinder
from node.upperlayer import Command, CommandField
from node.upperlayer.dimse import DATASET
from schema import Database
from schema.answering.scope import ALL_IMAGES
from tests.support.answering import answering_node, ask, column, header, hold, keys, peer_at
from tests.support.rawpeer import STUDY_FIND, RawPeer, command, data
from tests.support.waiting import wait_until_async


async def uids(node, level, **values):
    unique = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID"}
    keyword = unique.get(level, "SOPInstanceUID")
    values.setdefault(keyword, "")
    return column(await ask(node, keys(level, **values)), keyword)


async def test_a_study_is_answered_with_what_is_asked_for(db):
    await hold(
        db,
        [
            header(1, StudyDate="20240102", StudyTime="101500", StudyDescription="Thorax"),
            header(1, image=2, series=2, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"),
            header(2, StudyDate="20240103", PatientName="Müller^Jürgen"),
        ],
    )
    async with answering_node(db) as node:
        question = keys(
            "STUDY",
            StudyInstanceUID="1.2.3.1",
            StudyDate="",
            StudyTime="",
            StudyDescription="",
            PatientName="",
            PatientID="",
            ModalitiesInStudy="",
            SOPClassesInStudy="",
            NumberOfStudyRelatedSeries="",
            NumberOfStudyRelatedInstances="",
            InstanceAvailability="",
            AccessionNumber="",
        )
        (match,) = await ask(node, question)
        assert match.QueryRetrieveLevel == "STUDY"
        assert match.RetrieveAETitle == "NODE"
        assert (match.StudyDate, match.StudyTime) == ("20240102", "101500")
        assert match.StudyDescription == "Thorax"
        assert match.PatientName == "DOE^JANE"
        assert match.PatientID == "P1"
        assert list(match.ModalitiesInStudy) == ["CT", "MR"]
        assert len(match.SOPClassesInStudy) == 2
        assert match.NumberOfStudyRelatedSeries == 2
        assert match.NumberOfStudyRelatedInstances == 2
        assert match.AccessionNumber in ("", None)
        assert match.InstanceAvailability == "UNAVAILABLE"  # there are no files
        (match,) = await ask(node, keys("STUDY", StudyInstanceUID="1.2.3.2", PatientName=""))
        assert match.PatientName == "Müller^Jürgen"


MATCHED = (
    ({"PatientName": "doe*"}, [1, 2]),
    ({"PatientName": "*jane"}, [1]),
    ({"PatientName": "山田*"}, [3]),
    ({"PatientName": "YAMADA^tarou"}, [3]),
    ({"PatientName": "D?E^*"}, [1, 2]),
    ({"PatientName": "100%_^*"}, [5]),
    ({"PatientName": "100%_"}, [5]),
    ({"PatientName": "%"}, []),
    ({"PatientID": "P1"}, [1]),
    ({"PatientID": "p1"}, []),
    ({"PatientID": "P_"}, []),
    ({"PatientID": "P?"}, [1, 2, 3, 4, 5]),
    ({"PatientID": "' OR 1=1 --"}, []),
    ({"StudyDate": "20240101-20240131"}, [1]),
    ({"StudyDate": "-20240131"}, [1, 4]),
    ({"StudyDate": "20240201"}, [2]),
    ({"StudyDate": "nonsense"}, []),
    ({"StudyDate": "20240101-20240228", "StudyTime": "0900-1000"}, [1]),
    ({"AccessionNumber": "A1"}, [1]),
    ({"AccessionNumber": "A*"}, [1, 2]),
    ({"AccessionNumber": "a*"}, []),
    ({"ModalitiesInStudy": "MR"}, [2]),
    ({"ModalitiesInStudy": ["MR", "US"]}, [2, 3]),
    ({"ModalitiesInStudy": "M*"}, [2]),
    ({"Modality": "US"}, [3]),
    ({"NumberOfStudyRelatedInstances": "2"}, [1]),
    ({"StudyDescription": "*brain*"}, [2]),
    ({"SeriesDescription": "second"}, [1]),
    ({"KVP": "120"}, [4]),
    ({"StudyInstanceUID": ["1.2.3.1", "1.2.3.4", "9.9"]}, [1, 4]),
    ({"SOPInstanceUID": "1.2.3.3.3.3"}, [3]),
    ({"StudyInstanceUID": "1.2.*"}, []),
    ({"PatientName": "*"}, [1, 2, 3, 4, 5]),
    ({"PatientName": "=山田^*"}, [3]),
    ({"PatientName": "==やまだ^たろう"}, [3]),
    ({"PatientName": "yamada*==やま*"}, [3]),
    ({"PatientName": "=や*"}, []),
    ({"PatientName": "=*"}, [1, 2, 3, 4, 5]),
    ({"StudyDate": ""}, [1, 2, 3, 4, 5]),
)


async def test_keys_match_as_the_standard_says(db):
    await hold(
        db,
        [
            header(1, StudyDate="20240115", StudyTime="093000", AccessionNumber="A1"),
            header(1, image=2, series=2, SeriesDescription="second"),
            header(
                2,
                StudyDate="20240201",
                StudyTime="1200",
                AccessionNumber="A2",
                PatientName="Doe^John",
                Modality="MR",
                StudyDescription="MR brain",
            ),
            header(3, PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう", Modality="US"),
            header(4, StudyDate="19991231", PatientName="", KVP="120"),
            header(5, PatientName="100%_"),
        ],
    )
    async with answering_node(db) as node:
        for key, expected in MATCHED:
            found = await uids(node, "STUDY", **key)
            assert (key, found) == (key, [f"1.2.3.{number}" for number in expected])


async def test_what_does_not_count_in_a_value_hides_nothing(db):
    await hold(
        db,
        [
            header(1, PatientID="  P1", AccessionNumber=" A1", Modality=" CT"),
            header(2, PatientName="Hong^Gildong^^=洪^吉洞^="),
        ],
    )
    async with answering_node(db) as node:
        for keyword, asked in (
            *(("PatientID", one) for one in ("P1", "P*", " P1 ", "?1")),
            *(("AccessionNumber", one) for one in ("A1", "A*", " A1")),
            *(("ModalitiesInStudy", one) for one in ("CT", "C?")),
        ):
            found = await uids(node, "STUDY", **{keyword: asked})
            assert (asked, "1.2.3.1" in found) == (asked, True)
        for name in (
            *("Hong^Gildong=洪^吉洞", "hong^gildong^=洪^*", "洪^吉洞", "=洪*", "=洪^吉洞", "^=*洞"),
            *("hong*=洪^吉?", "*=洪*", "=洪^*"),
        ):
            assert await uids(node, "STUDY", PatientName=name) == ["1.2.3.2"]


async def test_each_level_is_asked_in_its_turn(db):
    await hold(
        db,
        [header(1, series=s, image=i) for s in (1, 2) for i in (1, 2, 3)] + [header(2)],
    )
    async with answering_node(db) as node:
        study = {"StudyInstanceUID": "1.2.3.1"}
        assert await uids(node, "SERIES", **study) == ["1.2.3.1.1", "1.2.3.1.2"]
        series = {**study, "SeriesInstanceUID": "1.2.3.1.2"}
        assert len(await uids(node, "IMAGE", **series)) == 3
        with pytest.raises(PeerFailure, match="0xA900"):
            await uids(node, "IMAGE", **study)


async def test_an_item_of_a_sequence_matches_and_is_answered(db):
    request = Dataset()
    request.RequestedProcedureID = "RP1"
    request.ScheduledProcedureStepID = "SP1"
    await hold(db, [header(1, RequestAttributesSequence=[request]), header(2)])
    wanted = Dataset()
    wanted.RequestedProcedureID = "RP*"
    wanted.ScheduledProcedureStepID = ""
    async with answering_node(db) as node:
        question = keys("STUDY", StudyInstanceUID="", RequestAttributesSequence=[wanted])
        (match,) = await ask(node, question)
    assert match.StudyInstanceUID == "1.2.3.1"
    (item,) = match.RequestAttributesSequence
    assert (item.RequestedProcedureID, item.ScheduledProcedureStepID) == ("RP1", "SP1")


_BINARY = (
    ("FrameIncrementPointer", "AT", 0x00181063, 0x00181065),
    ("TagAngleSecondAxis", "SS", -1, 1),
    ("SelectorUSValue", "US", 32, 31),
    ("SelectorULValue", "UL", 2**32 - 1, 1),
    ("SelectorSLValue", "SL", -(2**31), 1),
    ("SelectorFLValue", "FL", 0.1, 0.2),
    ("SelectorFDValue", "FD", 1 / 3, 0.3333),
    ("SelectorSVValue", "SV", -(2**53) - 1, -(2**53)),
    ("SelectorUVValue", "UV", 2**53 + 1, 2**53),
    ("Rows", "US", 512, 256),  # known, and of the level below
)


@pytest.mark.parametrize("several", [False, True])
async def test_binary_values_match_alone_and_in_a_list(sqlite, several):
    def inside(value, more):
        return [value, more] if several else value

    await hold(sqlite, [header(1, **{one: inside(value, 7) for one, _, value, _ in _BINARY})])
    async with answering_node(sqlite) as node:
        for keyword, vr, value, other in _BINARY:
            assert dictionary_VR(keyword) == vr
            for asked, found in ((value, 1), ([other, value], 1), (other, 0), ([other, other], 0)):
                matches = await ask(node, keys("STUDY", StudyInstanceUID="", **{keyword: asked}))
                assert (keyword, asked, len(matches)) == (keyword, asked, found)


async def test_what_came_as_unknown_is_compared_as_text_and_bytes_are_refused(sqlite):
    held = header(1)
    held.private_block(0x0009, "ACME", create=True).add_new(1, "LO", ["ABC", "D"])
    await hold(sqlite, [held, header(2)])

    def asking(tag, vr, value):
        question = keys("STUDY", StudyInstanceUID="")
        question.add_new(tag, vr, value)
        return question

    async with answering_node(sqlite) as node:
        for text, found in ((b"ABC ", 1), (b"X\\D ", 1), (b"A*", 1), (b"AB", 0), (b"", 2)):
            matches = await ask(node, asking(0x00091001, "UN", text))
            assert (text, len(matches)) == (text, found)
        for tag, vr, value in (
            (0x00091001, "UN", b"\x01\x02"),
            (0x00091001, "UN", bytes(4)),
            (0x00281201, "OW", b"AB"),  # Red Palette Color Lookup Table Data
        ):
            with pytest.raises(PeerFailure, match="0xA900.*bytes match nothing"):
                await ask(node, asking(tag, vr, value))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"QueryRetrieveView": "ENHANCED"}, "QueryRetrieveView"),
        ({"QueryRetrieveView": "CLASSIC"}, "QueryRetrieveView"),
        ({"TimezoneOffsetFromUTC": "+0100", "StudyDate": "20240115-"}, "beside StudyDate"),
        ({"TimezoneOffsetFromUTC": "+0100", "ContentTime": "1200"}, "beside ContentTime"),
    ],
)
async def test_what_was_not_negotiated_is_refused_by_name(sqlite, asked, named):
    await hold(sqlite, [header(1, StudyDate="20240115")])
    async with answering_node(sqlite) as node:
        with pytest.raises(PeerFailure, match=f"0xA900.*{named}"):
            await ask(node, keys("STUDY", StudyInstanceUID="", **asked))


async def test_a_timezone_is_answered_as_the_header_has_it_and_no_key(sqlite):
    await hold(sqlite, [header(1, StudyDate="20240115", TimezoneOffsetFromUTC="+0100")])
    async with answering_node(sqlite) as node:
        for asked in ("", "-0500"):
            question = keys(
                "STUDY",
                StudyInstanceUID="",
                StudyDate="",
                TimezoneOffsetFromUTC=asked,
                QueryRetrieveView="",
            )
            (match,) = await ask(node, question)
            assert match.TimezoneOffsetFromUTC == "+0100"
            assert "QueryRetrieveView" not in match


async def test_a_limit_ends_an_answer_with_a_failure_and_a_comment(db):
    await hold(db, [header(number) for number in range(1, 6)])
    async with answering_node(db, answer={"limit": 3}) as node:
        with pytest.raises(PeerFailure, match="0xA700.*more than 3 matches"):
            await uids(node, "STUDY")
        assert len(await uids(node, "STUDY", PatientID="P1")) == 1
    async with answering_node(db, answer={"limit": 5, "examine": 4}) as node:
        assert len(await uids(node, "STUDY")) == 5
        with pytest.raises(PeerFailure, match="0xA700.*StudyDescription"):
            await uids(node, "STUDY", StudyDescription="x")


async def test_who_may_see_a_part_is_shown_that_part(db):
    await hold(db, [header(1), header(1, series=2, image=2, Modality="MR"), header(2)])
    async with answering_node(db, viewer={"only_modalities": ["MR"]}) as node:
        (match,) = await ask(
            node,
            keys(
                "STUDY", StudyInstanceUID="", ModalitiesInStudy="", NumberOfStudyRelatedInstances=""
            ),
        )
        assert match.StudyInstanceUID == "1.2.3.1"
        assert match.ModalitiesInStudy == "MR"
        assert match.NumberOfStudyRelatedInstances == 1
        assert await uids(node, "SERIES", StudyInstanceUID="1.2.3.1") == ["1.2.3.1.2"]
    async with answering_node(db, viewer={"only_projects": ["cohort"]}) as node:
        assert await uids(node, "STUDY") == []


async def held_studies(db, count):
    await hold(db, [header(number) for number in range(1, count + 1)])


HISTORY = "history " * 1000
"""Of each study, so that few of them are more than connections and their buffers take."""


@pytest.fixture(scope="module")
def filled_url(shared_url):
    """Return the URL of a database with much to answer, which nobody changes."""

    async def fill():
        async with Database(shared_url) as db:
            await hold(db, [header(n, AdditionalPatientHistory=HISTORY) for n in range(1, 401)])

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, fill()).result()
    return shared_url


@pytest.fixture
async def filled(filled_url):
    async with Database(filled_url) as db:
        yield db


def everything():
    return keys("STUDY", StudyInstanceUID="", AdditionalPatientHistory="")


async def test_who_finds_nothing_is_told_of_in_the_log_with_what_its_query_says(sqlite, caplog):
    caplog.set_level("INFO")
    await hold(sqlite, [header(1, StudyDate="20240115")])
    nothing = "C-FIND from VIEWER: 0 matches of what peers.viewer.only_modalities shows"
    async with answering_node(sqlite, viewer={"only_modalities": ["MR"]}) as node:
        for day, why in (
            ("2024-01-15", "; StudyDate is no date"),
            ("20240116-20240114", "; StudyDate ends before it begins"),
            ("20240115", ""),
        ):
            assert await uids(node, "STUDY", StudyDate=day) == []
            assert f"{nothing}{why}" in caplog.messages


async def test_a_cancelled_query_ends_soon_though_much_is_left(filled):
    async with answering_node(filled) as node:
        async with associate(peer_at(node), Service.FIND) as association:
            matches = association.matches(everything())
            first = await anext(matches)
            assert first.data
            await association.cancel()
            left = [match async for match in matches]
            assert len(left) < 399
            assert len(await ask(node, keys("STUDY", StudyInstanceUID="1.2.3.7"))) == 1


def is_answering():
    return any(task.get_name() == "answer a query" for task in asyncio.all_tasks())


async def test_a_query_that_waits_for_the_database_is_cancelled_at_once(migrated_url):
    async with Database(migrated_url, pool_size=1, max_overflow=0) as db:
        await held_studies(db, 3)
        async with answering_node(db) as node, db.session() as only_connection:
            await only_connection.execute(text("SELECT 1"))
            async with associate(peer_at(node), Service.FIND) as association:
                matches = association.matches(keys("STUDY", StudyInstanceUID=""))
                waiting = asyncio.ensure_future(anext(matches, None))
                await wait_until_async(is_answering)
                began = time.monotonic()
                await association.cancel()
                assert await asyncio.wait_for(waiting, 5) is None
                assert time.monotonic() - began < 2


async def test_who_leaves_in_the_middle_leaves_nothing_behind(filled):
    async with answering_node(filled) as node:
        before = asyncio.all_tasks()
        for _ in range(3):
            with pytest.raises(RuntimeError, match="gone"):
                async with associate(peer_at(node), Service.FIND) as association:
                    await anext(association.matches(everything()))
                    raise RuntimeError("gone")
        await wait_until_async(lambda: node.open_connections == 0)
        await wait_until_async(lambda: asyncio.all_tasks() <= before | {asyncio.current_task()})
        assert filled.engine.pool.checkedout() == 0


async def test_who_does_not_read_keeps_nobody_from_asking(filled):
    question = everything()
    async with answering_node(filled, answer={"queries": 2}) as node, AsyncExitStack() as stack:
        for _ in range(6):
            association = await stack.enter_async_context(associate(peer_at(node), Service.FIND))
            matches = association.matches(question)
            await anext(matches)
            association._link.connection.pause_reading()
            stack.push_async_callback(matches.aclose)
        found = await asyncio.wait_for(ask(node, keys("STUDY", StudyInstanceUID="1.2.3.9")), 20)
        assert len(found) == 1


async def test_a_repository_query_goes_on_where_it_was_cut(db):
    await held_studies(db, 7)
    found = []
    async with answering_node(db, answer={"limit": 3}) as node:
        async with associate(peer_at(node), Service.REPOSITORY) as association:
            prior = None
            for _ in range(3):
                question = keys("STUDY", StudyInstanceUID="", RecordKey=b"")
                if prior is not None:
                    question.PriorRecordKey = prior
                page = []
                with suppress(PeerFailure):
                    async for match in association.find(question, service=Service.REPOSITORY):
                        page.append(match)
                found += [match.StudyInstanceUID for match in page]
                prior = page[-1].RecordKey
    assert found == [f"1.2.3.{number}" for number in range(1, 8)]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Müller^Jürgen"),
        ("ISO_IR 144", "Люкceмбypг"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
        ("ISO_IR 192", "Zoë^Łukasz"),
    ],
)
async def test_a_name_reads_the_same_whatever_set_it_is_asked_in(sqlite, charset, name):
    await hold(sqlite, [header(1, PatientName=name, charset=charset), header(2)])
    family = name.partition("=")[2].partition("^")[0] or name.partition("^")[0]
    async with answering_node(sqlite) as node:
        for asked in (charset, "ISO_IR 192", None):
            question = keys("STUDY", PatientName=f"{family}*" if asked else "", PatientID="P1")
            if asked is None:
                del question.SpecificCharacterSet
            else:
                question.SpecificCharacterSet = asked
            (match,) = await ask(node, question)
            assert str(match.PatientName) == name


async def test_a_query_may_leave_out_the_levels_above_where_that_is_negotiated(db):
    await hold(db, [header(1), header(1, series=2, image=2, Modality="MR"), header(2)])
    question = FindRequest(
        caller=Caller(aetitle="VIEWER", address="127.0.0.1", port=1, querying=("viewer",)),
        model=QueryModel.STUDY_ROOT,
        identifier=keys("SERIES", Modality="CT", SeriesInstanceUID=""),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        relational=True,
    )
    finder = IndexFinder(db, aetitle="NODE")
    pages = [page async for page in finder.answers(question, [ALL_IMAGES])]
    assert sum(map(len, pages)) == 2


async def test_a_key_of_what_is_below_is_answered_as_it_was_asked(db):
    await hold(db, [header(1), header(1, series=2, image=2, Modality="SR")])
    async with answering_node(db) as node:
        (match,) = await ask(node, keys("STUDY", StudyInstanceUID="", Modality="SR"))
        assert match.Modality == "SR"
        (match,) = await ask(node, keys("STUDY", StudyInstanceUID="", Modality="S*"))
        assert not match.Modality
        (match,) = await ask(node, keys("STUDY", StudyInstanceUID="", Modality=""))
        assert match.Modality == "CT"


async def test_a_value_that_is_none_of_its_kind_matches_nothing_and_is_not_logged(sqlite, caplog):
    asked = write_identifier(
        keys("STUDY", StudyInstanceUID="", PatientWeight=""), ExplicitVRLittleEndian
    )
    weight = b"\x10\x00\x30\x10DS"
    assert weight + b"\0\0" in asked
    wrong = asked.replace(weight + b"\0\0", weight + b"\6\0secret")
    request = command(
        Command(
            field=CommandField.C_FIND_RQ,
            message_id=1,
            affected_sop_class_uid=STUDY_FIND,
            priority=0,
            dataset_type=DATASET,
        )
    )
    await hold(sqlite, [header(1, PatientWeight="70")])
    caplog.set_level(logging.DEBUG)
    async with answering_node(sqlite) as node:
        async with await RawPeer.associated(
            node.port, (STUDY_FIND,), called="NODE", calling="VIEWER"
        ) as peer:
            peer.send(request + data(wrong, last=True))
            _, body = await peer.pdu()
    assert b"\0\0\0\x09\2\0\0\0\0\0" in body  # Status (0000,0900): Success
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.INFO]
    assert any("0 matches" in line for line in told)
    assert not any("secret" in line for line in told)


async def test_a_peer_of_the_same_title_that_may_not_query_shows_nothing_more(db):
    await hold(db, [header(1), header(2, Modality="MR")])
    sender = {"aetitle": "SENDER", "host": "127.0.0.1", "port": 1, "may_store": ["VIEWER"]}
    for more in ({}, {"may_retrieve": ["VIEWER"]}):
        async with answering_node(
            db, viewer={"only_modalities": ["CT"]}, peers={"sender": sender | more}
        ) as node:
            assert await uids(node, "STUDY") == ["1.2.3.1"]
    both = {"sender": sender | {"may_query": ["VIEWER"]}}
    async with answering_node(db, viewer={"only_modalities": ["CT"]}, peers=both) as node:
        assert await uids(node, "STUDY") == ["1.2.3.1", "1.2.3.2"]
