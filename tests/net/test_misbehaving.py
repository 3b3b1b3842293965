"""Every behaviour of the simulated PACS towards queries, seen by a peer; and some together."""

import asyncio
import random
import time
from collections import Counter
from datetime import date

import pytest
from pydicom.dataset import Dataset

from node.dicom.status import Status
from node.net.dimse.contexts import REPOSITORY_QUERY, Service
from node.net.dimse.identifiers import decoded_identifier, write_identifier
from node.net.scu.requestor import associate
from node.simulator.archive import SimulatedArchive
from node.simulator.corpus import make_corpus
from node.upperlayer import Command, CommandField
from node.upperlayer.associate_pdus import decode_accept
from node.upperlayer.dimse import DATASET, decode_command
from node.upperlayer.framing import PDUType
from tests.support import misbehaving
from tests.support.misbehaving import ask
from tests.support.peers import dcmtk
from tests.support.rawpeer import EXPLICIT, RawPeer, associate_request, command, data

JANUARY = "20240101-20240131"
ARCHIVE = misbehaving.ARCHIVE | {"studies": 120}
"""With 95 of January, 20 of a migration and 5 without a date."""


def misbehaving_pacs(*holdings, **settings):
    return misbehaving.misbehaving_pacs(*holdings, **({"archive": ARCHIVE} | settings))


def days(told):
    return Counter(str(answer.get("StudyDate", "")) for answer in told.answers)


def present(pacs, *, of=lambda study: True):
    return {uid for uid, study in pacs.truth().items() if of(study)}


def dated(low, high):
    return lambda study: low <= study.get("StudyDate", ("",))[0] <= high


# An honest one, to compare with


async def test_without_a_behaviour_it_answers_all_that_it_has():
    async with misbehaving_pacs() as pacs:
        told = await pacs.ask()
        assert (set(told.uids), len(told.uids)) == (set(pacs.truth()), 120)
        january = await pacs.ask(StudyDate=JANUARY)
        assert set(january.uids) == present(pacs, of=dated("20240101", "20240131"))
        assert len(january.uids) == 95
        assert (pacs.counters.questions, pacs.counters.answers) == (2, 215)


# How many are answered


async def test_a_cap_cuts_the_answers_off_and_says_success():
    async with misbehaving_pacs(cap={"studies": 50}) as pacs:
        told = await pacs.ask(StudyDate=JANUARY)
        assert (len(told.uids), told.status) == (50, 0)
        first = await pacs.ask(StudyDate="20240102")
        assert set(first.uids) == present(pacs, of=dated("20240102", "20240102"))


async def test_exactly_as_many_as_the_cap_are_all_answered():
    archive = ARCHIVE | {"studies": 50, "migrations": [], "undated": 0}
    for kind in ("cut", "empty", "refused", "announced"):
        async with misbehaving_pacs(archive=archive, cap={"studies": 50, "kind": kind}) as pacs:
            told = await pacs.ask()
            assert (len(told.uids), told.status) == (50, 0)


@pytest.mark.parametrize(
    ("cap", "count", "status", "comment"),
    [
        ({"kind": "empty"}, 0, 0, ""),
        ({"kind": "refused", "comment": "Too many"}, 0, 0xA700, "Too many"),
        ({"kind": "refused", "first": True, "status": "0xC001"}, 50, 0xC001, ""),
        ({"kind": "announced"}, 50, Status.RESPONSE_LIMIT, ""),
    ],
)
async def test_beyond_a_cap_it_answers_as_its_kind_says(cap, count, status, comment):
    async with misbehaving_pacs(cap={"studies": 50} | cap) as pacs:
        told = await pacs.ask(StudyDate=JANUARY)
        assert (len(told.uids), told.status) == (count, status)
        assert comment in told.message
        assert pacs.counters.refused == (status == 0xA700 or status == 0xC001)


async def test_a_short_answer_about_series_says_success():
    async with misbehaving_pacs(short={"SERIES": 1, "IMAGE": 2}) as pacs:
        uid = next(
            uid
            for uid, study in pacs.truth().items()
            if int(study["NumberOfStudyRelatedSeries"][0]) > 2
        )
        series = await pacs.ask("SERIES", StudyInstanceUID=uid, SeriesInstanceUID="")
        assert (len(series.answers), series.status) == (1, 0)
        assert len((await pacs.ask()).uids) == 120


# How a question is understood


@pytest.mark.parametrize(
    ("behaviour", "keys", "status"),
    [
        ({"widest": {"days": 7, "then": "nothing"}}, {"StudyDate": "20240101-20240108"}, 0),
        ({"widest": {"days": 7}}, {"StudyDate": "20240101-20240108"}, 0xA700),
        ({"widest": {"days": 7}}, {"StudyDate": "20240101-"}, 0xA700),
        ({"widest": {"days": 7}}, {}, 0xA700),
        ({"lone_hyphen": "nothing"}, {"StudyDate": "-"}, 0),
        ({"lone_hyphen": "refused"}, {"StudyDate": "-"}, 0xA700),
        ({"open_ranges": "nothing"}, {"StudyDate": "20240101-"}, 0),
        ({"open_ranges": "refused"}, {"StudyDate": "-20240131"}, 0xA700),
        ({"date_ranges": "nothing"}, {"StudyDate": JANUARY}, 0),
        ({"date_ranges": "refused"}, {"StudyDate": JANUARY}, 0xA700),
        ({"no_date": "refused"}, {"PatientID": "P*"}, 0xA700),
        ({"no_date": "nothing"}, {}, 0),
        (
            {"time_ranges": "refused", "refusal": {"status": 0xC002}},
            {"StudyDate": "20240105", "StudyTime": "0800-1000"},
            0xC002,
        ),
        ({"wildcards": "nothing"}, {"PatientID": "P0*"}, 0),
        ({"wildcards": "refused"}, {"AccessionNumber": "A?"}, 0xA700),
        ({"levels": ["SERIES"]}, {"StudyDate": "20240105"}, 0xA700),
    ],
    ids=str,
)
async def test_what_it_does_not_like_is_answered_with_nothing_or_refused(behaviour, keys, status):
    async with misbehaving_pacs(**behaviour) as pacs:
        told = await pacs.ask(**keys)
        assert (told.answers, told.status) == ([], status)


@pytest.mark.parametrize(
    ("behaviour", "keys"),
    [
        ({"widest": {"days": 7}}, {"StudyDate": "20240101-20240107"}),
        ({"open_ranges": "refused", "no_date": "refused"}, {"StudyDate": JANUARY}),
        ({"date_ranges": "refused", "lone_hyphen": "refused"}, {"StudyDate": "20240105"}),
        ({"wildcards": "refused"}, {"StudyDate": "20240105", "PatientID": "*"}),
    ],
    ids=str,
)
async def test_what_it_likes_is_answered_all_the_same(behaviour, keys):
    async with misbehaving_pacs() as honest, misbehaving_pacs(**behaviour) as pacs:
        told = await pacs.ask(**keys)
        assert told.uids == (await honest.ask(**keys)).uids
        assert told.uids


@pytest.mark.parametrize(
    ("behaviour", "keys"),
    [
        ({"ignore": ["StudyDate"]}, {"StudyDate": "20240105"}),
        ({"ignore": ["PatientID", "StudyTime"]}, {"PatientID": "P1", "StudyTime": "1000"}),
        ({"ignore": ["ModalitiesInStudy"]}, {"ModalitiesInStudy": "PT"}),
        ({"ignore": ["AccessionNumber"]}, {"AccessionNumber": "A1"}),
        ({"ignore": ["StudyInstanceUID"]}, {"StudyInstanceUID": "1.2.3"}),
        ({"date_ranges": "ignored"}, {"StudyDate": "20240105-20240106"}),
        ({"lone_hyphen": "ignored"}, {"StudyDate": "-"}),
        ({"wildcards": "ignored"}, {"PatientID": "Q*"}),
        ({"uid_lists": "ignored"}, {"StudyInstanceUID": ["1.2.3", "1.2.4"]}),
    ],
    ids=str,
)
async def test_a_key_that_is_ignored_matches_everything_and_is_answered(behaviour, keys):
    async with misbehaving_pacs(**behaviour) as pacs:
        told = await pacs.ask(**keys)
        assert set(told.uids) == set(pacs.truth())
        assert sum(bool(answer.StudyDate) for answer in told.answers) == 115


@pytest.mark.parametrize(
    ("handling", "count", "status"),
    [("honest", 3, 0), ("first", 1, 0), ("nothing", 0, 0), ("refused", 0, 0xA700)],
)
async def test_of_a_list_of_uids_it_takes_what_it_can(handling, count, status):
    async with misbehaving_pacs(uid_lists=handling) as pacs:
        uids = list(pacs.truth())[100:103]
        told = await pacs.ask(StudyInstanceUID=uids)
        assert (told.uids, told.status) == (uids[:count], status)
        assert (await pacs.ask(StudyInstanceUID=uids[2])).uids == [uids[2]]


async def test_a_range_of_times_is_of_each_day_or_of_the_whole_range():
    def time(answer):
        return str(answer.StudyDate), str(answer.StudyTime)

    keys = {"StudyDate": "20240110-20240112", "StudyTime": "1200-1400"}
    async with misbehaving_pacs(archive=misbehaving.ARCHIVE, times="each-day") as pacs:
        each = {time(answer) for answer in (await pacs.ask(**keys)).answers}
        assert {day for day, _ in each} == {"20240110", "20240111", "20240112"}
        assert all("1200" <= at[:4] <= "1400" for _, at in each)
    async with misbehaving_pacs(archive=misbehaving.ARCHIVE, times="combined") as pacs:
        whole = {time(answer) for answer in (await pacs.ask(**keys)).answers}
        everything = await pacs.ask(StudyDate="20240110-20240112")
        low, high = ("20240110", "120000"), ("20240112", "140059")
        assert whole == {time(one) for one in everything.answers if low <= time(one) <= high}
        assert each < whole


# What answers say


async def test_attributes_are_left_out_of_all_answers_or_of_some():
    omitted = {"NumberOfStudyRelatedInstances": 1, "StudyDate": 0.3, "StudyInstanceUID": 0.1}
    async with misbehaving_pacs(omit=omitted, blank=["PatientName"]) as pacs:
        answers = (await pacs.ask(StudyDate=JANUARY)).answers
        assert len(answers) == 95
        assert not any("NumberOfStudyRelatedInstances" in answer for answer in answers)
        assert all("NumberOfStudyRelatedSeries" in answer for answer in answers)
        assert 10 < sum("StudyDate" not in answer for answer in answers) < 50
        assert 1 < sum("StudyInstanceUID" not in answer for answer in answers) < 25
        assert all(answer.PatientName == "" for answer in answers)


async def test_a_list_of_attributes_is_left_out_of_every_answer():
    async with misbehaving_pacs(omit=["ModalitiesInStudy", "QueryRetrieveLevel"]) as pacs:
        for answer in (await pacs.ask(StudyDate="20240105")).answers:
            assert "ModalitiesInStudy" not in answer
            assert "QueryRetrieveLevel" not in answer


async def test_counts_are_wrong_by_as_much_as_is_said():
    wrong = {"NumberOfStudyRelatedInstances": -3, "NumberOfSeriesRelatedInstances": 100}
    async with misbehaving_pacs(miscount=wrong) as pacs:
        truth = pacs.truth()
        for answer in (await pacs.ask()).answers:
            real = int(truth[answer.StudyInstanceUID]["NumberOfStudyRelatedInstances"][0])
            assert answer.NumberOfStudyRelatedInstances == max(real - 3, 0)
        (series, *_) = (
            await pacs.ask(
                "SERIES", StudyInstanceUID=next(iter(truth)), NumberOfSeriesRelatedInstances=""
            )
        ).answers
        assert series.NumberOfSeriesRelatedInstances > 100


async def test_a_study_comes_twice_and_in_other_words():
    async with misbehaving_pacs(twice=0.5, padded=0.5, lower_case=0.5) as pacs:
        told = await pacs.ask()
        assert 150 < len(told.uids) < 210
        assert {uid.strip(" \0") for uid in told.uids} == set(pacs.truth())
        accessions = {str(answer.AccessionNumber).strip() for answer in told.answers}
        assert any(number.startswith("a") for number in accessions)
        assert any(number.startswith("A") for number in accessions)


@pytest.mark.peers
async def test_findscu_sees_the_padding_and_the_doubles():
    async with misbehaving_pacs(twice=1, padded=1) as pacs:
        uid = next(iter(pacs.truth()))
        keys = ("StudyInstanceUID=" + uid, "PatientID", "PatientName")
        done = await asyncio.to_thread(
            dcmtk.run, "findscu", "-S", "-aec", "PACS", "-k", "QueryRetrieveLevel=STUDY",
            *(part for key in keys for part in ("-k", key)), "127.0.0.1", str(pacs.port),
        )  # fmt: skip
        assert done.output.count("Find Response") == 2
        assert done.output.count("[ P0") == 2


@pytest.mark.parametrize(
    ("charset", "declared", "name"),
    [
        ({}, "ISO_IR 192", b"M\xc3\xbcller"),
        ({"declared": "none"}, None, b"M\xc3\xbcller"),
        ({"declared": "ISO_IR 100", "written": "latin-1"}, "ISO_IR 100", b"M\xfcller"),
        ({"declared": "ISO_IR 100"}, "ISO_IR 100", b"M\xc3\xbcller"),
        ({"declared": "none", "written": "ascii"}, None, b"M?ller"),
    ],
)
async def test_a_character_set_is_declared_or_not_or_is_another(charset, declared, name):
    async with misbehaving_pacs(charset=charset) as pacs:
        answers = (await pacs.ask()).answers
        assert {answer.get("SpecificCharacterSet") for answer in answers} == {declared}
        assert any(answer.PatientName.original_string.startswith(name) for answer in answers)


# What changes in the course of time


async def test_late_imports_come_after_some_questions():
    async with misbehaving_pacs(late={"share": 0.2, "after_questions": 3}) as pacs:
        before = len(pacs.truth())
        assert 80 < before < 112
        sizes = [len((await pacs.ask()).uids) for _ in range(3)]
        assert sizes == [before, before, 120]
        assert len(pacs.truth()) == 120


async def test_studies_go_and_patients_are_renamed_after_some_questions():
    changes = {
        "gone": {"share": 0.2, "after_questions": 2},
        "renamed": {"share": 0.3, "after_questions": 2},
    }
    async with misbehaving_pacs(**changes) as pacs:
        first, second = await pacs.ask(), await pacs.ask()
        assert (len(first.uids), first.status) == (120, 0)
        assert 80 < len(second.uids) < 112
        assert set(second.uids) == set(pacs.truth())
        names = Counter(str(answer.PatientName) for answer in second.answers)
        assert 10 < names["Renamed^Patient"] < 50
        assert "Renamed^Patient" not in {str(answer.PatientName) for answer in first.answers}


async def test_a_change_can_wait_for_seconds():
    async with misbehaving_pacs(late={"share": 1, "after_seconds": 3600}) as pacs:
        assert (await pacs.ask()).uids == []
        pacs.behave(archive=ARCHIVE, late={"share": 1})
        assert len((await pacs.ask()).uids) == 120


# How it conducts itself


async def test_each_question_is_refused_the_first_times():
    refuse = {"first": 2, "status": 0xA701, "comment": "Busy"}
    async with misbehaving_pacs(refuse=refuse) as pacs:
        for day in ("20240105", "20240108"):
            told = [await pacs.ask(StudyDate=day) for _ in range(3)]
            assert [one.status for one in told] == [0xA701, 0xA701, 0]
            assert [bool(one.answers) for one in told] == [False, False, True]
            assert "Busy" in told[0].message
        assert pacs.counters.refused == 4


async def test_every_third_question_is_refused():
    async with misbehaving_pacs(refuse={"every": 3}) as pacs:
        statuses = [(await pacs.ask(StudyDate="20240105")).status for _ in range(6)]
        assert statuses == [0, 0, 0xA700, 0, 0, 0xA700]


@pytest.mark.parametrize(("then", "status"), [("abort", None), ("refused", 0xA700)])
async def test_there_are_only_so_many_operations_over_one_association(then, status):
    async with misbehaving_pacs(operations={"most": 2, "then": then}) as pacs:
        for _ in range(2):
            async with associate(pacs.peer(), Service.FIND) as association:
                told = [await ask(association, StudyDate="20240105") for _ in range(3)]
            assert [one.status for one in told] == [0, 0, status]
        assert pacs.counters.questions == 6


async def test_an_association_is_dropped_in_the_middle_of_an_answer():
    async with misbehaving_pacs(drop={"answers": 5, "every": 2}) as pacs:
        told = [await pacs.ask(StudyDate=JANUARY) for _ in range(4)]
        assert [(len(one.uids), one.status) for one in told] == [(95, 0), (5, None)] * 2
        assert pacs.counters.broken == 2


async def test_a_silent_pacs_never_answers_and_serves_others_meanwhile():
    async with misbehaving_pacs(silent={"every": 2}) as pacs:
        assert (await pacs.ask(StudyDate="20240105")).status == 0
        async with associate(pacs.peer(dimse=0.2), Service.FIND) as association:
            silent = await ask(association, StudyDate="20240105")
        assert (silent.answers, silent.status) == ([], None)
        assert (await pacs.ask(StudyDate="20240105")).status == 0
        assert pacs.counters.silent == 1


@pytest.mark.parametrize(("keys", "uids"), [({}, 120), ({"StudyDate": "20300101"}, 1)])
async def test_an_endless_answer_repeats_its_last_match_for_ever(keys, uids):
    async with misbehaving_pacs(endless={"interval": 0.001}) as pacs:
        async with associate(pacs.peer(), Service.FIND) as association:
            asked = asyncio.create_task(ask(association, **keys))
            done, _ = await asyncio.wait([asked], timeout=1.0)
            assert not done
            await association.cancel()
            told = await asked
        assert len(told.uids) > len(set(told.uids)) == uids


async def test_a_slow_pacs_takes_its_time_for_each_question_and_each_answer():
    async with misbehaving_pacs(slow={"question": 0.1, "answer": 0.02}) as pacs:
        count = len(present(pacs, of=dated("20240105", "20240105")))
        begun = time.monotonic()
        assert len((await pacs.ask(StudyDate="20240105")).uids) == count
        assert time.monotonic() - begun > 0.1 + 0.02 * count


# Together, and over files


async def test_behaviours_combine():
    async with misbehaving_pacs(
        cap={"studies": 40, "kind": "empty"},
        ignore=["ModalitiesInStudy"],
        uid_lists="first",
        omit=["NumberOfStudyRelatedInstances"],
        twice=1,
        late={"share": 0.1, "after_questions": 4},
        refuse={"first": 1},
        operations={"most": 1},
    ) as pacs:
        keys = {"StudyDate": "20240108-20240109", "ModalitiesInStudy": "PT"}
        assert (await pacs.ask(**keys)).status == 0xA700
        told = await pacs.ask(**keys)
        here = present(pacs, of=dated("20240108", "20240109"))
        assert Counter(told.uids) == Counter(dict.fromkeys(here, 2))
        assert not any("NumberOfStudyRelatedInstances" in answer for answer in told.answers)
        wide = [await pacs.ask(StudyDate=JANUARY) for _ in range(2)]
        assert [(one.uids, one.status) for one in wide] == [([], 0xA700), ([], 0)]
        assert len(pacs.truth()) == 120


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, today=date(2026, 3, 1))
    return folder


async def test_files_are_served_with_the_same_behaviours(corpus):
    archive = SimulatedArchive.load(corpus)
    async with misbehaving_pacs(archive, cap={"studies": 5}, padded=1, archive=None) as pacs:
        told = await pacs.ask()
        assert len(told.uids) == 5
        assert {uid.strip(" \0") for uid in told.uids} < set(pacs.truth())
        assert len(pacs.truth()) == 8
        pacs.behave(short={"SERIES": 1}, late={"share": 0.5, "after_questions": 100})
        assert 0 < len((await pacs.ask()).uids) == len(pacs.truth()) < 8


async def page_of(peer, prior=None):
    """Ask for all studies by Repository Query, after a Record Key; return matches and status."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = ""
    identifier.RecordKey = b""
    if prior is not None:
        identifier.PriorRecordKey = prior
    fields = Command(
        field=CommandField.C_FIND_RQ,
        message_id=1,
        affected_sop_class_uid=REPOSITORY_QUERY,
        priority=0,
        dataset_type=DATASET,
    )
    peer.send(command(fields) + data(write_identifier(identifier, EXPLICIT), last=True))
    found = []
    while True:
        _, body = await peer.pdu()
        content = body[6:]  # of one PDV (PS3.8 9.3.5.1)
        if not body[5] & 1:
            found.append(await decoded_identifier(content, EXPLICIT))
        elif (status := decode_command(content).status) != Status.PENDING:
            return found, status


@pytest.mark.parametrize("generated", [True, False])
async def test_a_repository_query_announces_its_limit_and_goes_on_from_there(generated, corpus):
    archive = None if generated else SimulatedArchive.load(corpus)
    cap = {"studies": 50 if generated else 3}
    async with misbehaving_pacs(archive, cap=cap, repository=True) as pacs:
        async with await RawPeer.associated(pacs.port, [REPOSITORY_QUERY]) as peer:
            found, status = await page_of(peer)
            statuses = [status]
            while statuses[-1] == Status.RESPONSE_LIMIT and len(statuses) < 5:
                matches, status = await page_of(peer, found[-1].RecordKey)
                found += matches
                statuses.append(status)
            assert statuses == [Status.RESPONSE_LIMIT, Status.RESPONSE_LIMIT, 0]
            assert [match.StudyInstanceUID for match in found] == list(pacs.truth())
            assert await page_of(peer, b"1.2.3.4") == ([], Status.INVALID_PRIOR_RECORD_KEY)


async def test_repository_query_is_offered_only_where_the_behaviour_has_it():
    async with misbehaving_pacs() as pacs:
        peer = await RawPeer.connect(pacs.port)
        async with peer:
            peer.send(associate_request([REPOSITORY_QUERY], called="PACS"))
            kind, body = await peer.pdu()
            assert kind == PDUType.ASSOCIATE_AC
            assert decode_accept(body).contexts[0].result == 3


PIECES = [
    {"ignore": ["StudyDate"]},
    {"ignore": ["StudyTime", "ModalitiesInStudy"]},
    {"date_ranges": "refused"},
    {"open_ranges": "nothing"},
    {"no_date": "refused"},
    {"times": "combined"},
    {"time_ranges": "ignored"},
    {"wildcards": "nothing"},
    {"uid_lists": "first"},
    {"widest": {"days": 3, "then": "nothing"}},
    {"cap": {"studies": 7}},
    {"cap": {"studies": 7, "kind": "empty"}},
    {"cap": {"studies": 7, "kind": "refused", "first": True}},
    {"cap": {"studies": 7, "kind": "announced"}},
    {"short": {"SERIES": 1, "STUDY": 20}},
    {"omit": {"StudyInstanceUID": 0.2, "StudyDate": 0.5}},
    {"blank": ["PatientName"]},
    {"miscount": {"NumberOfStudyRelatedInstances": -1000}},
    {"twice": 0.5},
    {"padded": 0.5},
    {"lower_case": 0.5},
    {"charset": {"declared": "none", "written": "latin-1"}},
    {"late": {"share": 0.3, "after_questions": 4}},
    {"gone": {"share": 0.3, "after_questions": 4}},
    {"renamed": {"share": 0.5}},
    {"refuse": {"first": 1}},
    {"refuse": {"every": 3}},
    {"operations": {"most": 2, "then": "refused"}},
    {"drop": {"answers": 3, "every": 4}},
    {"slow": {"question": 0.001}},
    {"repository": True},
]
QUESTIONS = [
    {},
    {"StudyDate": JANUARY},
    {"StudyDate": "20240105"},
    {"StudyDate": "20240120-"},
    {"StudyDate": "20240105-20240107", "StudyTime": "1000-1200"},
    {"StudyDate": "20240105", "ModalitiesInStudy": "CT"},
    {"PatientID": "P0000001*"},
    {"StudyInstanceUID": ["1.2.3", "1.2.4"]},
]


@pytest.mark.parametrize("seed", range(25))
async def test_whatever_is_combined_it_never_breaks_and_answers_what_there_is(seed, caplog):
    """A mistake of the simulator itself would be answered with 0xC000, and logged as an error."""
    drawn = random.Random(seed)
    settings = {}
    for piece in drawn.sample(PIECES, drawn.randint(2, 8)):
        settings |= piece
    async with misbehaving_pacs(**settings) as pacs:
        everything = set(pacs.truth())
        for question in drawn.sample(QUESTIONS, 5):
            told = await pacs.ask(**question)
            assert told.status in (0, 0xA700, Status.RESPONSE_LIMIT, None), settings
            assert (told.status is not None) or "drop" in settings
            uids = {uid.strip(" \0") for uid in told.uids}
            assert uids - {""} <= everything | set(pacs.truth()), settings
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
