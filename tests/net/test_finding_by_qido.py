"""A find at a DICOMweb service that refuses, fails, or leaves out: what it asks, and its ledger."""

import random
import re
from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import select

from node.config import Config
from node.dicom.profile import PeerProfile
from node.dicom.query import StudyQuery, Window
from node.errors import PeerRefused
from node.net.messages import Timeouts
from node.net.qido.line import WebLine
from node.net.qido.place import WebLogin, WebPeer
from node.ops.finding import find as finds
from node.ops.finding import inquiry
from node.ops.finding.find import find
from node.ops.probing.knowledge import effective_profile
from node.ops.stalls import TimeLimits
from schema import Database, FindWindow, StudyFind
from schema.finding.profiles import keep_probe
from schema.header.values import parse_date, parse_time
from schema.tables.sources import StudySource
from tests.support.qido_server import QidoServer, Reply, good, page_of, studies_reply

LIMITS = TimeLimits(quiet=20.0, total=20.0)
STUDIES = [
    {
        "StudyInstanceUID": f"1.2.{number + 1}",
        "StudyDate": f"202401{number % 28 + 1:02}",
        "StudyTime": f"{number // 28 + 6:02}1500",
    }
    for number in range(337)
]
EVERY = {one["StudyInstanceUID"] for one in STUDIES}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(finds, "_PAUSE", 0.001)
    monkeypatch.setattr(inquiry, "_PAUSE", 0.001)


@pytest.fixture
async def db(migrated_sqlite_url):
    async with Database(migrated_sqlite_url) as database:
        yield database


async def found_by(db, server, first, last, *, name="web"):
    query = StudyQuery(window=Window(start=date(2024, 1, first), end=date(2024, 1, last)))
    peer = WebPeer(name=name, url=server.url)
    return await find(db, peer, [query], node="NODE", limits=LIMITS)


async def recorded(db):
    async with db.session() as session:
        return set(await session.scalars(select(StudyFind.study_uid)))


async def rows(db):
    async with db.session() as session:
        return list(await session.scalars(select(FindWindow).order_by(FindWindow.id)))


def once_failing(server, search):
    return Reply(status=500) if len(server.asked) == 2 else good(server, search)


def once_cut_short(server, search):
    return None if len(server.asked) == 2 else good(server, search)


def too_much_at_once(server, search):
    if len(server.matching(search)) > 60:
        return Reply(status=413)
    return good(server, search)


def more_than_asked_for(server, search):
    """Ignores whatever does not concern pages."""
    limit, offset = page_of(search)
    return studies_reply(server.studies[offset : offset + limit])


def capped(server, search):
    return good(server, search, most=50)


def without_offset(server, search):
    page = server.matching(search)[: page_of(search)[0]]
    return studies_reply(page)


def without_offset_and_cut(server, search):
    page = server.matching(search)[:40]
    return studies_reply(page)


def without_offset_but_warning(server, search):
    found = server.matching(search)
    headers = {"Warning": '299 web "more"'} if len(found) > 40 else {}
    return studies_reply(found[:40], headers=headers)


def without_limit(server, search):
    return studies_reply(server.matching(search)[page_of(search)[1] :])


def empty_list_for_nothing(server, search):
    reply = good(server, search)
    return Reply() if reply.status == 204 else reply


def elsewhere_on_the_server(server, search):
    if search.path == "/dicom-web/studies":
        query = "&".join(f"{key}={value}" for key, value in search.parameters.items())
        return Reply(status=307, headers={"Location": f"/other/studies?{query}"})
    return good(server, search)


def never_ending(_server, _search):
    return Reply(body=b"[", forever=b" " * 65536)


def trickling(_server, _search):
    return Reply(body=b"[", forever=b" ", pause=0.05)


def silent(_server, _search):
    return Reply(delay=60)


def no_list(_server, _search):
    return Reply(body=b'{"studies": []}')


def no_studies(_server, _search):
    return Reply(body=b'[{"StudyInstanceUID": "1.2.3"}, 5]')


BAD = [
    (never_ending, "more than 16 MB at once"),
    (trickling, "less than 1024 bytes a second moved"),
    (silent, "no answer for 0.5 s"),
]
NONE = [
    (no_list, "its answer is not DICOM JSON: it is no list of matches"),
    (no_studies, "none of its studies is as DICOM JSON is"),
    (lambda *_: Reply(status=403), "may not search for studies"),
    (lambda *_: Reply(status=404), "there is no QIDO-RS below http://127.0.0.1"),
]


async def asked_once(db, server):
    peer = WebPeer(name="web", url=server.url, timeouts=Timeouts(dimse=0.5))
    return await find(db, peer, [StudyQuery(study_uids=("1.2.1",))], node="NODE", limits=LIMITS)


@pytest.mark.parametrize(("script", "why"), BAD)
async def test_an_answer_that_does_not_come_to_its_end_is_given_up(db, script, why):
    with QidoServer(STUDIES, script) as server:
        report = await asked_once(db, server)
    assert why in report.failures[0].message
    assert await recorded(db) == set()


@pytest.mark.parametrize(("script", "why"), NONE)
async def test_what_is_no_service_is_asked_once_and_named(db, script, why):
    with QidoServer(STUDIES, script) as server:
        with pytest.raises(PeerRefused, match=why):
            await asked_once(db, server)
        assert len(server.asked) == 1
    assert {row.outcome for row in await rows(db)} == {"failed"}


@pytest.mark.parametrize(
    "script",
    [
        capped,
        without_offset,
        without_offset_and_cut,
        without_offset_but_warning,
        without_limit,
        empty_list_for_nothing,
        elsewhere_on_the_server,
    ],
)
async def test_pages_that_are_not_as_they_should_be_leave_no_study_out(db, script):
    with QidoServer(STUDIES, script) as server:
        report = await found_by(db, server, 1, 28)
    assert (report.failures, await recorded(db)) == ([], EVERY)


@pytest.mark.parametrize("script", [once_failing, once_cut_short, too_much_at_once])
async def test_what_fails_is_asked_again_or_in_parts(db, script):
    with QidoServer(STUDIES, script) as server:
        report = await found_by(db, server, 1, 28)
    assert (report.failures, await recorded(db)) == ([], EVERY)


async def test_studies_without_a_uid_count_where_the_service_cuts_off(db):
    studies = [dict(one) for one in STUDIES if one["StudyDate"] <= "20240106"]
    for one in studies[::25]:
        del one["StudyInstanceUID"]

    def script(server, search):
        return studies_reply(server.matching(search)[:10])

    with QidoServer(studies, script) as server:
        report = await found_by(db, server, 1, 6)
    assert await recorded(db) == {one["StudyInstanceUID"] for one in studies if len(one) == 3}
    told = [gap for gap in report.failures if "no study, or could not be recorded" in gap.message]
    assert all(any(one["StudyDate"] in _days(gap) for gap in told) for one in studies[::25])
    assert {row.outcome for row in await rows(db)} <= {"complete", "truncated", "failed"}


def _days(gap):
    window = gap.query.window
    return {f"202401{day:02}" for day in range(window.start.day, window.end.day + 1)}


async def test_a_service_that_ignores_dates_is_asked_a_few_times_and_named(db):
    with QidoServer(STUDIES, more_than_asked_for) as server:
        report = await found_by(db, server, 1, 20)
    assert len(server.asked) < 12
    assert any("ignores dates" in gap.message for gap in report.failures)


async def test_the_ledger_has_the_status_of_http_where_a_search_is_refused(db):
    def script(server, search):
        return Reply(status=400) if "20240104" in search.window else good(server, search)

    with QidoServer(STUDIES, script) as server:
        report = await found_by(db, server, 3, 4)
    assert report.failures
    assert await recorded(db) == {
        one["StudyInstanceUID"] for one in STUDIES if one["StudyDate"] == "20240103"
    }
    told = {(row.status, row.comment, row.covered_on is None) for row in await rows(db)}
    assert (None, "HTTP 400 Bad Request", True) in told
    assert (0, None) in {(status, comment) for status, comment, _ in told}
    assert {row.outcome for row in await rows(db) if row.status is None} == {"refused"}


async def test_a_url_at_which_every_search_is_refused_is_named_after_a_few(db):
    with QidoServer(STUDIES, lambda *_: Reply(status=400)) as server:
        with pytest.raises(PeerRefused, match=re.escape(server.url)) as refused:
            await found_by(db, server, 1, 28)
    assert len(server.asked) == 8, "two of them once more, over a connection of their own"
    assert "web answered the search with HTTP 400 Bad Request; so it did" in str(refused.value)
    assert "is the base URL of its DICOMweb service" in str(refused.value)


async def test_a_probe_by_dimse_says_nothing_of_searches_at_a_url(db):
    peer = {"aetitle": "PACS", "host": "127.0.0.1", "port": 104}
    facts = {"cap": {"value": 500, "how": "seen", "learned_on": "2024-01-02T00:00:00Z"}}
    async with db.begin() as session:
        await keep_probe(session, peer="web", facts=facts, questions=7)
    by_dimse = Config(peers={"web": peer})
    by_url = Config(peers={"web": peer | {"url": "https://p", "profile": {"cap": 7}}})
    assert await effective_profile(by_dimse, db, "web") == PeerProfile(cap=500)
    assert await effective_profile(by_url, db, "web") == PeerProfile(cap=7)


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://pacs.example.org/dw", 1), ("https://pacs.example.org/dw", 0), ("http://[::1]/dw", 0)],
)
async def test_a_login_that_anybody_can_read_on_the_way_is_warned_of(caplog, url, warned):
    line = WebLine(WebPeer(name="web", url=url, login=WebLogin(secret="abc")))
    await line.get()
    await line.close()
    assert len([one for one in caplog.messages if "can read the login" in one]) == warned
    assert "abc" not in caplog.text


async def test_a_page_that_shifts_while_it_is_read_is_asked_for_again(db):
    shifted = []

    def script(server, search):
        _, offset = page_of(search)
        if offset and not shifted:  # a study came in front of the others
            shifted.append(search)
            search = replace(search, parameters=search.parameters | {"offset": str(offset - 1)})
        return good(server, search, most=50)

    with QidoServer(STUDIES, script) as server:
        report = await found_by(db, server, 1, 28)
    assert (report.failures, await recorded(db)) == ([], EVERY)
    assert "pages have studies in common" in {row.comment for row in await rows(db)}


def random_service(choose):
    """Return what a made-up service does: several things at once, all of them seen somewhere."""
    most = choose.choice([None, None, 1, 7, 20, 50])
    offsets = choose.random() < 0.7
    announces = choose.random() < 0.5
    refuses_beyond = choose.choice([None, None, None, 15, 60])
    empty_beyond = choose.choice([None, None, None, 60])
    fails = choose.choice([0.0, 0.0, 0.05])
    order = choose.choice([None, "StudyTime"])

    def script(server, search):
        if choose.random() < fails:
            return choose.choice([Reply(status=500), None, Reply(body=b"[{")])
        found = server.matching(search)
        if order:
            found = sorted(found, key=lambda one: one[order])
        if refuses_beyond is not None and len(found) > refuses_beyond:
            return Reply(status=413)
        if empty_beyond is not None and len(found) > empty_beyond:
            return Reply(status=204, body=b"")
        limit, offset = page_of(search)
        first = offset if offsets else 0
        page = found[first : first + min(limit, most or limit)]
        more = announces and first + len(page) < len(found)
        return studies_reply(page, headers={"Warning": '299 web "more"'} if more else {})

    return script


@pytest.mark.long
async def test_whatever_services_do_together_no_study_is_missing_in_silence(db):
    missing_somewhere = 0
    for seed in range(45):
        choose = random.Random(seed)
        count = choose.choice([0, 3, 40, 180])
        studies = [
            {
                "StudyInstanceUID": f"1.2.{number + 1}",
                "StudyDate": f"202401{choose.randint(1, 12):02}",
                "StudyTime": f"{choose.randint(0, 23):02}{choose.randint(0, 59):02}00",
            }
            for number in range(count)
        ]
        name = f"web{seed}"
        with QidoServer(studies, random_service(choose)) as server:
            report = await found_by(db, server, 1, 12, name=name)
        async with db.session() as session:
            there = set(
                await session.scalars(
                    select(StudyFind.study_uid)
                    .join(StudySource, StudySource.study_find_id == StudyFind.id)
                    .where(StudySource.peer == name)
                )
            )
        missing = [one for one in studies if one["StudyInstanceUID"] not in there]
        missing_somewhere += bool(missing)
        for one in missing:
            day = parse_date(one["StudyDate"])
            at = parse_time(one["StudyTime"])
            windows = [gap.query.window for gap in report.failures]
            assert any(window.contains(day) and window.contains_time(at) for window in windows), (
                f"seed {seed}: {one} is missing, and no gap names it"
            )
    assert missing_somewhere < 20
