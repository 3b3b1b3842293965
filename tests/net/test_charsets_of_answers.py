"""Other makers' requestors ask in the character sets of the world, and read the answers' names."""

import asyncio
import os

import pytest
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as StudyRoot

from tests.support.answering import answering_node, header, hold, keys
from tests.support.peers.dcmtk import findscu

NAMES = {
    "1.2.3.1": "Müller^Jürgen",
    "1.2.3.2": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "1.2.3.3": "Łukasz^Wałęsa",
    "1.2.3.4": "DOE^JANE",
}
LATIN_1, JAPANESE, UTF_8 = ["ISO_IR 100"], ["", "ISO 2022 IR 87"], ["ISO_IR 192"]
CODECS = {"ISO_IR 100": ["latin_1"], "ISO 2022 IR 87": ["iso8859", "iso2022_jp"]}

ASKED = [
    pytest.param(LATIN_1, "MÜLLER^*", "1.2.3.1", LATIN_1, id="Latin-1"),
    pytest.param(LATIN_1, "*al?sa", None, None, id="nobody"),
    pytest.param(LATIN_1, "Yamada*", "1.2.3.2", UTF_8, id="Latin-1-has-no-kanji"),
    pytest.param(JAPANESE, "山田^太郎", "1.2.3.2", JAPANESE, id="ISO-2022-IR-87"),
    pytest.param(JAPANESE, "*=山田^*=*", "1.2.3.2", JAPANESE, id="ISO-2022-IR-87-groups"),
    pytest.param(JAPANESE, "M?ller*", "1.2.3.1", UTF_8, id="ISO-2022-IR-87-has-no-umlaut"),
    pytest.param(UTF_8, "łukasz^*", "1.2.3.3", UTF_8, id="UTF-8"),
    pytest.param(UTF_8, "müller^jürgen", "1.2.3.1", UTF_8, id="UTF-8-of-Latin-1"),
    pytest.param(UTF_8, "doe^jane", "1.2.3.4", None, id="ASCII"),
]


@pytest.fixture
async def node(sqlite):
    images = [
        header(number, PatientName=name) for number, name in enumerate(NAMES.values(), start=1)
    ]
    await hold(sqlite, images)
    async with answering_node(sqlite) as running:
        yield running


def check(matches: list[Dataset], uid: str | None, charset: list[str] | None) -> None:
    """See that one study is answered, whose name the character set that is said decodes."""
    assert [match.StudyInstanceUID for match in matches] == ([uid] if uid else [])
    for match in matches:
        said = match.get("SpecificCharacterSet")
        assert ([said] if isinstance(said, str) else said and list(said)) == charset
        assert str(match.PatientName) == NAMES[match.StudyInstanceUID]
        raw = match.PatientName.original_string
        codecs = CODECS.get((charset or [""])[-1], ["utf-8"])
        assert str(PersonName(raw, codecs)) == NAMES[match.StudyInstanceUID]


@pytest.mark.parametrize(("asked", "name", "uid", "charset"), ASKED)
async def test_pynetdicom_reads_the_names_it_asks_for(node, asked, name, uid, charset):
    identifier = keys("STUDY", StudyInstanceUID="")
    identifier.SpecificCharacterSet = asked
    identifier.PatientName = name

    def ask() -> list[Dataset]:
        ae = AE(ae_title="VIEWER")
        ae.add_requested_context(StudyRoot)
        association = ae.associate(node.host, node.port, ae_title=node.aetitle)
        assert association.is_established
        answers = list(association.send_c_find(identifier, StudyRoot))
        association.release()
        assert answers[-1][0].Status == 0
        return [match for _, match in answers if match is not None]

    check(await asyncio.to_thread(ask), uid, charset)


@pytest.mark.peers
@pytest.mark.parametrize(("asked", "name", "uid", "charset"), ASKED)
async def test_findscu_reads_the_names_it_asks_for(node, asked, name, uid, charset):
    codecs = CODECS.get(asked[-1], ["utf-8"])
    encoded = os.fsdecode(PersonName(name).encode(codecs))
    options = (
        "SpecificCharacterSet=" + "\\".join(asked),
        "StudyInstanceUID",
        f"PatientName={encoded}",
    )
    done, matches = await asyncio.to_thread(
        findscu, node.port, *options, called=node.aetitle, calling="VIEWER"
    )
    assert done.code == 0, done.output
    check(matches, uid, charset)
