"""The pure parts of QIDO-RS: parameters, pages, DICOM JSON, and what a response means."""

import contextlib
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.query import (
    StudyQuery,
    Window,
    image_identifier,
    series_identifier,
    study_identifier,
)
from node.errors import PeerFailure, PeerRefused
from node.net.qido.page import NoDicomJson, identity, read_page, to_match
from node.net.qido.paging import Pages, PageVerdict, ServerPaging
from node.net.qido.place import WebPeer
from node.net.qido.search import query_string, search_of
from node.net.qido.verdicts import WebResponse, followed, patience_asked, trouble

PEER = WebPeer(name="web", url="https://pacs.example.org/dicom-web")
WANTED = {"0020000D", "00100010", "00081030", "00201208", "00080061"}


def parameters_of(query: StudyQuery, keywords=()) -> dict[str, str]:
    return dict(search_of(study_identifier(query, query.window, keywords)).parameters)


def test_an_identifier_becomes_the_parameters_of_a_search():
    window = Window(start=date(2019, 1, 1), end=date(2019, 12, 31))
    asked = parameters_of(StudyQuery(window=window, modality="CT"), ["ReferringPhysicianName"])
    told = asked.pop("includefield").split(",")
    assert asked == {"StudyDate": "20190101-20191231", "ModalitiesInStudy": "CT"}
    assert {"StudyDescription", "ReferringPhysicianName", "StudyTime"} <= set(told)
    assert not {"StudyDate", "QueryRetrieveLevel", "SpecificCharacterSet"} & set(told)
    listed = parameters_of(StudyQuery(study_uids=("1.2", "1.3")))
    assert listed["StudyInstanceUID"] == "1.2,1.3"


def test_what_is_in_a_study_is_searched_below_it():
    of_study = search_of(series_identifier("1.2"))
    assert (of_study.resource, of_study.key) == ("studies/1.2/series", "SeriesInstanceUID")
    asked = "Modality,SeriesDescription,NumberOfSeriesRelatedInstances"
    assert dict(of_study.parameters) == {"includefield": asked}
    of_series = search_of(image_identifier("1.2", "1.3"))
    assert of_series.resource == "studies/1.2/series/1.3/instances"
    assert dict(of_series.parameters) == {"includefield": "SOPClassUID"}
    image = {"00080018": {"vr": "UI", "Value": ["1.2.3"]}}
    assert to_match(image, {"00080018"}, of_series.key).SOPInstanceUID == "1.2.3"
    assert identity(image, of_series.key) == b"1.2.3"
    with pytest.raises(NoDicomJson):
        to_match(image, {"00080018"})


def test_no_value_leaves_its_parameter():
    written = query_string((("PatientID", "Ä&b=c+d #1*"), ("StudyInstanceUID", "1.2,1.3")))
    assert written == "PatientID=%C3%84%26b%3Dc%2Bd%20%231*&StudyInstanceUID=1.2,1.3"


def pages_of(answer, *, most=None, offset_works=True, announces=False, server=None):
    """Play a whole answer; return the studies that came, the last verdict and how many pages."""
    pages = Pages(server=server or ServerPaging(), limit=10)
    came: list[bytes] = []
    verdict, count = PageVerdict.MORE, 0
    while verdict is PageVerdict.MORE:
        first = pages.offset if offset_works else 0
        page = answer[first : first + min(most or 10, 10)]
        more = announces and first + len(page) < len(answer)
        before = pages.offset
        verdict = pages.take(page, announced=more)
        came += page if pages.offset > before else []
        count += 1
        assert count < 100
    return came, verdict, count


STUDIES = [b"%d" % number for number in range(57)]


@given(
    st.integers(0, 57),
    st.none() | st.integers(1, 12),
    st.booleans(),
    st.booleans(),
    st.integers(0, 9),
)
def test_an_answer_in_pages_is_whole_or_not_said_to_be(
    total, most, offset_works, announces, largest
):
    answer = STUDIES[:total]
    server = ServerPaging(largest=min(largest, most or largest))
    came, verdict, _ = pages_of(
        answer, most=most, offset_works=offset_works, announces=announces, server=server
    )
    if offset_works:
        assert (came, verdict) == (answer, PageVerdict.LAST)
    elif len(came) < total:  # without offsets, only what is under the limit and silent is believed
        assert verdict is PageVerdict.CUT or not announces
    if verdict is PageVerdict.LAST and len(came) < total:
        assert len(came) == most


def test_an_honest_server_is_asked_for_one_page_where_it_has_given_more_before():
    server = ServerPaging()
    assert pages_of(STUDIES[:7], server=server)[2] == 2
    assert pages_of(STUDIES[:6], server=server)[2] == 1
    assert pages_of(STUDIES, server=server)[2] == 6
    assert pages_of(STUDIES[:9], server=server)[2] == 1


def test_pages_that_overlap_are_no_answer():
    pages = Pages(server=ServerPaging(), limit=2)
    assert pages.take([b"1", b"2"], announced=False) is PageVerdict.MORE
    assert pages.take([b"2", b"3"], announced=False) is PageVerdict.SHIFTED


def test_a_study_comes_as_the_dataset_that_a_c_find_brings():
    body = orjson.dumps(
        [
            {
                "0020000d": {"vr": "UI", "Value": ["1.2"]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Yamada^Tarou"}]},
                "00081030": {"vr": "LO"},
                "00201208": {"vr": "IS", "Value": ["7"]},
                "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
                "7FE00010": {"vr": "OW", "BulkDataURI": "http://elsewhere"},
            }
        ]
    )
    (study,) = read_page(body)
    dataset = to_match(study, WANTED)
    assert str(dataset.PatientName) == "Yamada^Tarou"
    assert (dataset.StudyInstanceUID, int(dataset.NumberOfStudyRelatedInstances)) == ("1.2", 7)
    assert list(dataset.ModalitiesInStudy) == ["CT", "MR"]
    assert "PixelData" not in dataset


@pytest.mark.parametrize(
    "study",
    [
        5,
        {},
        {"StudyInstanceUID": "1.2"},
        {"0020000D": "1.2"},
        {"0020000D": {"vr": "UI", "Value": "1.2"}},
        {"0020000D": {"Value": ["1.2"]}},
        {"0020000D": {"vr": "UI", "Value": [{"a": 1}]}},
        {"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00100010": {"vr": "PN", "Value": [5]}},
        {"0020000D": {"vr": "ZZ", "Value": ["1.2"]}},
    ],
)
def test_what_is_not_shaped_as_dicom_json_is_no_study(study):
    assert isinstance(identity(study), bytes)
    with pytest.raises(NoDicomJson):
        to_match(study, WANTED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
ATTRIBUTE = JSON | st.fixed_dictionaries(
    {"vr": st.sampled_from(["UI", "PN", "LO", "IS", "DA", "SQ", "OB", "??"])},
    optional={"Value": st.lists(JSON) | JSON},
)


@given(JSON | st.dictionaries(st.sampled_from(sorted(WANTED)), ATTRIBUTE))
def test_whatever_json_comes_is_a_study_or_said_to_be_none(study):
    identity(study)
    with contextlib.suppress(NoDicomJson):
        assert to_match(study, WANTED).StudyInstanceUID


@given(st.binary(), st.sampled_from(["", "utf-8", "latin-1", "no-charset", "hex", "utf-16"]))
def test_whatever_bytes_come_are_a_page_or_said_to_be_none(body, charset):
    with contextlib.suppress(NoDicomJson):
        assert isinstance(read_page(body, charset), list)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        ('["Jürgen"]'.encode(), ""),
        ('["Jürgen"]'.encode(), "iso-8859-1"),
        ('["Jürgen"]'.encode("latin-1"), ""),
        ('["Jürgen"]'.encode("latin-1"), "utf-8"),
        ('["Jürgen"]'.encode("cp437"), "cp437"),
        (b'\xef\xbb\xbf["J\xc3\xbcrgen"]', ""),
    ],
)
def test_the_text_of_a_page_is_read_in_utf_8_or_as_it_is_declared(body, charset):
    assert read_page(body, charset) == ["Jürgen"]


def test_one_study_s_wrong_text_does_not_spoil_the_others():
    body = '["Jürgen", "'.encode() + b"J\xfcrgen" + '", "Ünal"]'.encode()
    assert read_page(body) == ["Jürgen", "Jürgen", "Ünal"]


def test_how_long_a_busy_server_wants_to_be_left_is_understood():
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for text, seconds in [
        ("7", 7.0),
        (format_datetime(now + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(now - timedelta(seconds=90), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("", None),
    ]:
        assert patience_asked(WebResponse(status=503, retry_after=text), now) == seconds


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("/other", "https://pacs.example.org/other"),
        ("https://pacs.example.org/x?y=1", "https://pacs.example.org/x?y=1"),
        ("http://pacs.example.org/x", None),
        ("https://pacs.example.org:444/x", None),
        ("//evil.example.org/x", None),
        ("https://me:pw@pacs.example.org/x", None),
        ("https://[bad", None),
        ("", None),
    ],
)
def test_a_redirect_is_followed_on_the_same_server_only(location, there):
    response = WebResponse(status=302, location=location)
    assert followed(response, f"{PEER.url}/studies?limit=1") == there


def test_what_a_service_has_answered_before_decides_what_a_refusal_means():
    for status in (404, 405, 501):
        response = WebResponse(status=status)
        assert isinstance(trouble(PEER, response, has_answered=False), PeerRefused)
        assert isinstance(trouble(PEER, response, has_answered=True), PeerFailure)
    for status in (400, 413, 500, 502):
        assert isinstance(
            trouble(PEER, WebResponse(status=status), has_answered=False), PeerFailure
        )
