"""`find` at a DICOMweb service: the same studies and the same ledger as by C-FIND, or a gap."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.support.node import Node
from tests.support.qido_server import (
    QidoServer,
    Reply,
    dicom_json,
    good,
    page_of,
)
from tests.support.waiting import wait_until

DATES = ("--from", "2024-01-01", "--to", "2024-01-28")


@pytest.fixture
def cli(inside):
    return inside


def study(number: int, *, day: int, hour: int, **more) -> dict:
    return {
        "StudyInstanceUID": f"1.2.{number + 1}",
        "StudyDate": f"202401{day:02}",
        "StudyTime": f"{hour:02}1500",
        "PatientID": f"P{number % 30}",
        "PatientName": "Müller^Jürgen",
        "AccessionNumber": f"A{number}",
        "ModalitiesInStudy": ["CT"],
        "NumberOfStudyRelatedInstances": number % 7 + 1,
        **more,
    }


STUDIES = [study(n, day=n % 28 + 1, hour=n // 28 + 6) for n in range(337)]
EVERY = {one["StudyInstanceUID"] for one in STUDIES}


@pytest.fixture
def node_at(cli, tmp_path, migrated_url):
    return lambda server, **more: configured(cli, tmp_path, migrated_url, server, **more)


@pytest.fixture
def small_node_at(cli, tmp_path, migrated_sqlite_url):
    return lambda server, **more: configured(cli, tmp_path, migrated_sqlite_url, server, **more)


def configured(cli, folder, database_url, server, **more):
    peer = {"url": server.url, "timeouts": {"connect": "5s", "dimse": "2s"}, **more}
    return Node(cli, folder / "node", database_url, settings={"peers": {"web": peer}})


def recorded(node) -> set[str]:
    return {row["study_uid"] for row in node.rows("SELECT study_uid FROM studies_find")}


def windows(node) -> list[dict]:
    return node.rows("SELECT * FROM find_windows ORDER BY id")


def test_a_service_is_found_exactly_and_in_pages(node_at):
    many = [study(n, day=n % 2 + 1, hour=n // 100 + 6) for n in range(703)]
    with QidoServer(many) as server:
        node = node_at(server)
        done = node("find", "web", "--from", "2024-01-01", "--to", "2024-01-02")
    assert (done.code, recorded(node)) == (0, {one["StudyInstanceUID"] for one in many})
    first = [search for search in server.asked if search.window == server.asked[0].window]
    assert [page_of(search) for search in first[:2]] == [(500, 0), (500, 500)]
    asked = server.asked[0]
    assert (asked.path, asked.parameters["StudyDate"]) == (
        "/dicom-web/studies",
        "20240101-20240102",
    )
    assert "NumberOfStudyRelatedInstances" in asked.parameters["includefield"].split(",")
    assert asked.headers["accept"].startswith("application/dicom+json")
    assert asked.headers["cache-control"] == "no-cache"
    assert {(row["status"], row["outcome"]) for row in windows(node)} == {(0, "complete")}
    name, images = node.rows(
        "SELECT patient_name, expected_images FROM studies_find WHERE study_uid = '1.2.5'"
    )[0].values()
    assert (name, images) == ("Müller^Jürgen", 5)


def capped_in_silence(server, search):
    return replace(good(server, search, most=50), headers={})


def twice_busy(server, search):
    if len(server.asked) in (1, 4):
        return Reply(status=429, headers={"Retry-After": "0"})
    return good(server, search)


def in_latin_1(server, search):
    found = [dicom_json(one) for one in server.matching(search)]
    body = json.dumps(found, ensure_ascii=False).encode("latin-1")
    return Reply(body=body) if page_of(search)[1] == 0 else Reply(status=204, body=b"")


@pytest.mark.parametrize(
    "script",
    [
        capped_in_silence,
        twice_busy,
        in_latin_1,
    ],
)
def test_what_a_service_does_otherwise_leaves_no_study_out(small_node_at, script):
    with QidoServer(STUDIES, script) as server:
        node = small_node_at(server)
        done = node("find", "web", *DATES)
    assert (done.code, recorded(node)) == (0, EVERY), done
    names = node.rows("SELECT DISTINCT patient_name AS name FROM studies_find")
    assert [row["name"] for row in names] == ["Müller^Jürgen"]


def page_of_a_portal(_server, _search):
    return Reply(body=b"<html>Please log in", media="text/html")


def leads_away(_server, _search):
    return Reply(status=302, headers={"Location": "http://elsewhere.example:81/dicom-web?k=secret"})


def answers(status):
    def script(_server, _search):
        return Reply(status=status)

    script.__name__ = f"answers_{status}"
    return script


def wants_an_hour(_server, _search):
    return Reply(status=503, headers={"Retry-After": "3600"})


@pytest.mark.parametrize(
    ("script", "why", "code"),
    [
        (page_of_a_portal, "answered with text/html, where application/dicom+json is", 3),
        (leads_away, "leads to http://elsewhere.example:81, which is not followed", 3),
        (answers(401), "it wants a login; give peers.web.credentials", 3),
        (wants_an_hour, "is busy, and asks to be left for 3600 s", 3),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_answer_is_said_and_is_none(small_node_at, script, why, code):
    with QidoServer(STUDIES, script) as server:
        node = small_node_at(server, timeouts={"connect": "5s", "dimse": "1s"})
        done = node("find", "web", "--study", "1.2.1")
    assert done.code == code, done
    assert why in done.stderr
    assert "secret" not in done.stderr
    assert len(server.asked) == 1
    assert recorded(node) == set()
    assert {row["outcome"] for row in windows(node)} <= {"failed", "refused"}


def _question(search):
    """Return what a page was asked for, whichever page it is."""
    pages = {"limit", "offset"}
    return frozenset((key, value) for key, value in search.parameters.items() if key not in pages)


def test_a_find_that_was_killed_goes_on_with_the_answers_that_are_there(small_node_at):
    def script(server, search):
        return Reply(delay=600) if len(server.asked) > 4 else good(server, search, most=50)

    few = [one for one in STUDIES if one["StudyDate"] < "20240103"]
    with QidoServer(few, script) as server:
        node = small_node_at(server, timeouts={"connect": "5s", "dimse": "60s"})
        args = ("find", "web", "--from", "2024-01-01", "--to", "2024-03-01")
        process = node.cli.start(*args, "--config", node.config, log=node.folder / "find.log")
        try:
            wait_until(lambda: len(server.asked) > 4)
            answered = {_question(one) for one in server.asked[:4]}
            last = _question(server.asked[4])
            # what was answered is recorded while the next is asked for
            wait_until(lambda: len(windows(node)) >= len(answered - {last}))
        finally:
            process.kill()
        server.script = good
        server.asked.clear()
        assert node(*args).code == 0
    assert recorded(node) == {one["StudyInstanceUID"] for one in few}
    assert answered - {last}
    again = {_question(search) for search in server.asked}
    repeated = {dict(one)["StudyDate"] for one in again & answered - {last}}
    assert len(repeated) <= 1, "the largest window, to see that as many come as before"


def test_single_studies_are_asked_for_in_lists_and_one_by_one_where_lists_are_not_understood(
    small_node_at,
):
    wanted = [one["StudyInstanceUID"] for one in STUDIES[:5]]
    arguments = [word for uid in wanted for word in ("--study", uid)]

    def only_the_first(server, search):
        parameters = dict(search.parameters)
        parameters["StudyInstanceUID"] = parameters["StudyInstanceUID"].split(",")[0]
        return good(server, replace(search, parameters=parameters))

    with QidoServer(STUDIES) as server:
        node = small_node_at(server)
        assert node("find", "web", *arguments).code == 0
        assert recorded(node) == set(wanted)
        assert server.windows == 1
        node.change("DELETE FROM studies_find")
        server.script = only_the_first
        assert node("find", "web", *arguments).code == 0
    assert recorded(node) == set(wanted)


def test_what_goes_over_dimse_alone_is_refused_where_there_is_a_url_alone(small_node_at):
    with QidoServer(STUDIES[:3], good) as server:
        node = small_node_at(server)
        refused = node("probe", "web")
        assert (refused.code, "peers.web has a url alone" in refused.stderr) == (2, True)
        node.ok("find", "web", "--study", "1.2.1")
    node.configure({"pacs": ("PACS", 104)})
    left = node("move", "pacs")
    assert "1 study is open at web; `dicom-node move web -f" in left.stderr
    node.configure({}, settings={"peers": {"web": {"url": server.url, "retrieve": "move"}}})
    wrong = node("move", "web")
    assert (wrong.code, "and needs aetitle, host and port" in wrong.stderr) == (2, True)


def test_the_images_of_a_service_that_gives_no_numbers_are_counted_where_that_is_wanted(
    small_node_at,
):
    told = {key: value for key, value in STUDIES[0].items() if not key.startswith("Number")}
    images = [
        {"StudyInstanceUID": "1.2.1", "SeriesInstanceUID": f"1.2.1.{number % 2}"}
        for number in range(5)
    ]
    with QidoServer([told], images=images) as server:
        node = small_node_at(server)
        settings = {"peers": {"web": {"url": server.url}}, "find": {"counts": True}}
        node.configure({}, settings=settings)
        node.ok("find", "web", "--study", "1.2.1")
        assert node.value("SELECT counted_images FROM study_sources") is None
        node.ok("find", "web", "--from", "2024-01-01", "--to", "2024-01-02")
    counted = node.rows("SELECT counted_images, counted_series, counted_by FROM study_sources")
    assert counted == [{"counted_images": 5, "counted_series": 2, "counted_by": "series"}]
