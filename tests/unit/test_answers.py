"""What a match says of a study: read straight from its bytes, and by pydicom, alike."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from node.dicom.query import STUDY_KEYS, StudyQuery, Window, study_identifier
from node.net.dimse.identifiers import EncodedIdentifier, decoded_identifier, write_identifier
from node.ops.finding.answers import reading
from node.ops.finding.answers.digests import Digests
from node.ops.finding.answers.reading import answer_of
from schema.errors import InvalidDicom
from schema.finding.answer import StudyAnswer, read_answer
from schema.header.dicomjson import read_header
from schema.header.plain import read_plain
from tests.support.encoded import EXPLICIT, IMPLICIT, element, item, sequence

MORE = ("ReferringPhysicianName", "StudyID")

CHARSETS = (
    b"",
    b"ISO_IR 100",
    b"ISO_IR 192",
    b"\\ISO 2022 IR 87",
    b"ISO-IR 100",
    b"nonsense",
    b"GB18030",
)
TEXTS = st.one_of(
    st.sampled_from(
        [
            *(
                b"",
                b" ",
                b"\0",
                b"CT",
                b"CT\\MR",
                b"CT \\ MR ",
                b"\\",
                b"12",
                b"-1",
                b"3.0",
                b"n/a",
            ),
            *(
                "Müller^Käthe".encode("latin-1"),
                "Müller^Käthe".encode(),
                b"Doe^Jane=\x1b$B;3ED\x1b(B",
            ),
            *(
                b"20240131",
                b"2024.01.31",
                b"20241331",
                b"202401",
                b"101112.123456",
                b"25",
                b"10:11:12",
            ),
            *(b"1.2.840.1 ", b"1.2.840.1\0", b"1.2.3\\1.2.4", b"9999999999", b"1e3", b" 7"),
        ]
    ),
    st.binary(max_size=12),
)
KEYS = {
    0x00080020: "DA", 0x00080030: "TM", 0x00080050: "SH", 0x00080061: "CS", 0x00081030: "LO",
    0x00100010: "PN", 0x00100020: "LO", 0x00100030: "DA", 0x00201206: "IS", 0x00201208: "IS",
    0x00080090: "PN", 0x00200010: "SH",
}  # fmt: skip


@st.composite
def matches(draw: st.DrawFn) -> EncodedIdentifier:
    """Return a match as some PACS might write it, most of them wrongly."""
    syntax = draw(st.sampled_from([EXPLICIT, IMPLICIT]))
    found = {
        tag: element(tag, vr, draw(TEXTS), syntax=syntax)
        for tag, vr in KEYS.items()
        if draw(st.booleans())
    }
    if draw(st.booleans()):
        found[0x00080005] = element(
            0x00080005, "CS", draw(st.sampled_from(CHARSETS)), syntax=syntax
        )
    if draw(st.integers(0, 9)):
        uid = draw(st.sampled_from([b"1.2.840.1", b"1.2.3 ", b"1.2\0", b"", b" ", b"1." * 200]))
        found[0x0020000D] = element(0x0020000D, "UI", uid, syntax=syntax)
    if draw(st.booleans()):
        found[0x00090010] = element(0x00090010, "LO", b"ACME", syntax=syntax)
        found[0x00091001] = element(0x00091001, "LO", draw(TEXTS), syntax=syntax)
    if draw(st.booleans()):
        undefined = draw(st.booleans())
        inner = item(
            element(0x00080050, "SH", b"INNER", syntax=syntax), syntax=syntax, undefined=undefined
        )
        found[0x00081110] = sequence(0x00081110, inner, syntax=syntax, undefined=undefined)
    order = sorted(found) if draw(st.integers(0, 4)) else draw(st.permutations(sorted(found)))
    order.sort(key=lambda tag: tag != 0x00080005)  # what it is for comes behind it
    data = b"".join(found[tag] for tag in order)
    if not draw(st.integers(0, 4)):
        data = data[: draw(st.integers(0, len(data)))]
    if not draw(st.integers(0, 9)):
        data += bytes(draw(st.integers(1, 20)))
    return EncodedIdentifier(data, syntax)


pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
"""pydicom warns of much that is wrong here."""


async def by_pydicom(match: EncodedIdentifier) -> StudyAnswer:
    """Read a match by the way that forgives more."""
    found = await decoded_identifier(match.data, match.transfer_syntax, values=False)
    return read_answer(found, MORE)


EMPTY_UNDER_NO_VR = b"\x20\0\x0d\0UI\x04\x001.2\0" + b"\x20\0\x08\x12I\0\0\0"
"""A study, and an element of no length under a VR that there is not."""


@given(matches())
@example(EncodedIdentifier(EMPTY_UNDER_NO_VR, EXPLICIT))
async def test_a_match_is_read_from_its_bytes_as_it_is_by_pydicom(match):
    try:
        read = read_answer(match.data, MORE, transfer_syntax_uid=match.transfer_syntax)
    except InvalidDicom:
        read = None  # then pydicom has the last word
    try:
        expected = await by_pydicom(match)
    except ValueError:
        expected = None
    if read is not None:
        assert read == expected
    if expected is None:
        with pytest.raises(InvalidDicom):
            await answer_of(match, MORE)
    else:
        assert await answer_of(match, MORE) == expected


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
async def test_a_usual_match_costs_no_pydicom(syntax, monkeypatch):
    dataset = Dataset()
    dataset.StudyInstanceUID, dataset.PatientName = "1.2.3", "Doe^Jane"
    dataset.ModalitiesInStudy, dataset.NumberOfStudyRelatedInstances = ["CT", "SR"], 12
    dataset.ReferringPhysicianName = "Who^Doctor"
    monkeypatch.delattr(reading, "decoded_identifier")
    answer = await answer_of(EncodedIdentifier(write_identifier(dataset, syntax), syntax), MORE)
    assert answer == await answer_of(dataset, MORE)
    assert (answer.study_uid, answer.modalities, answer.expected_images) == ("1.2.3", "CT\\SR", 12)
    assert answer.keys == {"ReferringPhysicianName": "Who^Doctor"}


async def test_a_match_with_a_count_that_is_none_names_its_study_all_the_same():
    data = element(0x0020000D, "UI", b"1.2.3 ") + element(0x00201208, "IS", b"many")
    answer = await answer_of(EncodedIdentifier(data, EXPLICIT), ())
    assert (answer.study_uid, answer.expected_images) == ("1.2.3", None)


@pytest.mark.parametrize(
    "data", [b"", b"\x08\0", element(0x0020000D, "UI", b""), b"\x20\0\x0d\0UI\xff\xff"]
)
async def test_what_names_no_study_is_no_answer(data):
    with pytest.raises(InvalidDicom):
        await answer_of(EncodedIdentifier(data, EXPLICIT), ())


@given(st.lists(st.text(max_size=3)))
def test_digests_tell_what_was_there(texts):
    digests, expected = Digests(), set()
    for text in texts:
        assert (text in digests) == (text in expected)
        assert digests.add(text) == (text not in expected)
        expected.add(text)
    assert len(digests) == len(expected)


def test_digests_of_many_texts_are_small():
    digests = Digests()
    assert all(digests.add(f"1.2.840.113619.2.416.{number}") for number in range(20_000))
    assert not any(digests.add(f"1.2.840.113619.2.416.{number}") for number in range(20_000))
    assert len(digests._slots) * 8 <= 32 * len(digests)


@given(match=matches())
def test_what_is_plain_is_read_as_its_header_is(match):
    plain = read_plain(match.data, match.transfer_syntax)
    if plain is None:
        return
    header = read_header(match.data, match.transfer_syntax)
    for keyword in (*STUDY_KEYS, "StudyInstanceUID", *MORE):
        assert plain.text(keyword) == header.text(keyword)
        assert plain.texts(keyword) == header.texts(keyword)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_a_pacs_usually_answers_is_plain(syntax):
    answer = study_identifier(StudyQuery(), Window())
    answer.SpecificCharacterSet = "ISO_IR 100"
    answer.RetrieveAETitle, answer.StudyInstanceUID = "PACS", "1.2.3"
    answer.PatientName, answer.NumberOfStudyRelatedInstances = "Müller^Käthe", "12"
    plain = read_plain(write_identifier(answer, syntax), syntax)
    assert plain is not None
    assert plain.text("PatientName") == "Müller^Käthe"
    assert plain.text("NumberOfStudyRelatedInstances") == "12"
