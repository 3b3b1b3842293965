"""Two persons with one Patient ID: each is found, and no answer mixes them; on both databases."""

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import insert, select

from node.net.dimse.contexts import Service
from node.net.scu.extension import QueryExtension
from node.net.scu.requestor import associate
from schema import Image, Patient, Series, Study
from schema.images import replace_image
from schema.inventory import HELD_COLUMNS, Held
from schema.record import read_record
from schema.tables.statements import table_of
from tests.support.answering import answering_node, ask, column, header, hold, keys, peer_at

ONE = {
    "PatientName": "ONE^X",
    "PatientBirthDate": "19500101",
    "PatientSex": "M",
    "IssuerOfPatientID": "A",
}
TWO = {
    "PatientName": "TWO^Y",
    "PatientBirthDate": "19900909",
    "PatientSex": "F",
    "IssuerOfPatientID": "B",
}
WANTED = dict.fromkeys(ONE, "")
UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
MR = {"Modality": "MR"}


def said(match: Dataset) -> dict[str, str]:
    return {keyword: str(match[keyword].value) for keyword in WANTED}


async def found(node, level, **values):
    return column(await ask(node, keys(level, **{UNIQUE[level]: "", **values})), UNIQUE[level])


@pytest.mark.parametrize("shown", [{}, {"only_modalities": ["MR"]}], ids=["all", "part"])
async def test_each_of_two_persons_is_found_and_answered_alone(db, shown):
    """As docs/conformance.md has it: at level PATIENT it is the one that came first."""
    await hold(db, [header(1, PatientID="S", **ONE), header(2, PatientID="S", **MR, **TWO)])
    above = {"StudyInstanceUID": "1.2.3.2", "SeriesInstanceUID": "1.2.3.2.2"}
    async with answering_node(db, viewer=shown) as node:
        (study,) = await ask(node, keys("STUDY", **WANTED | {"StudyInstanceUID": "1.2.3.2"}))
        (series,) = await ask(
            node, keys("SERIES", StudyInstanceUID="1.2.3.2", SeriesInstanceUID="", **WANTED)
        )
        (image,) = await ask(node, keys("IMAGE", SOPInstanceUID="", **above, **WANTED))
        assert said(study) == said(series) == said(image) == TWO
        # without anything that is in headers alone
        (study,) = await ask(node, keys("STUDY", StudyInstanceUID="1.2.3.2", PatientName=""))
        assert study.PatientName == "TWO^Y"
        (patient,) = await ask(node, keys("PATIENT", PatientID="", **WANTED))
        assert said(patient) == (TWO if shown else ONE)
        for keyword, value in TWO.items():
            assert await found(node, "STUDY", **{keyword: value}) == ["1.2.3.2"]
        for keyword, value in ONE.items():
            of_one = [] if shown else ["1.2.3.1"]
            assert await found(node, "STUDY", **{keyword: value}) == of_one
        for prefix in ("two*", "T?O*"):
            assert await found(node, "STUDY", PatientName=prefix) == ["1.2.3.2"]
        assert await found(node, "STUDY", PatientName=TWO["PatientName"], PatientID="S")
        assert not await found(node, "STUDY", PatientName="TWO*", PatientBirthDate="19500101")
        assert not await found(node, "STUDY", PatientName="TWO*", PatientSex="M")


async def test_two_persons_in_one_study_are_told_apart_by_series_and_by_image(db):
    images = [
        header(1, series=1, image=1, **ONE),
        header(1, series=2, image=2, **TWO),
        header(1, series=2, image=3, **ONE),
        header(1, series=3, image=4, **ONE | {"PatientBirthDate": "19500202"}),
    ]
    for image in images:  # one after the other
        await hold(db, [image])
    study = {"StudyInstanceUID": "1.2.3.1"}

    async with answering_node(db) as node:
        relational = {Service.FIND: QueryExtension(relational=True)}
        async with associate(peer_at(node), Service.FIND, extended=relational) as association:

            async def asked(level, **values):
                unique = UNIQUE[level]
                wanted = keys(level, **{unique: ""} | WANTED | values)
                return {
                    str(match[unique].value).removeprefix("1.2.3.1"): said(match)
                    async for match in association.find(wanted, service=Service.FIND)
                }

            assert await asked("STUDY") == {"": ONE}
            assert await asked("STUDY", PatientName="TWO*") == {}
            late = ONE | {"PatientBirthDate": "19500202"}
            series = {".1": ONE, ".2": TWO, ".3": late}
            for above in (study, {}):
                assert await asked("SERIES", **above) == series
                assert await asked("SERIES", PatientName="TWO*", **above) == {".2": TWO}
                assert await asked("SERIES", PatientName="one*", **above) == {".1": ONE, ".3": late}
                born = {"PatientBirthDate": "19500201-19500301"}
                assert await asked("SERIES", **born, **above) == {".3": late}
                assert await asked("IMAGE", **born, **above) == {".3.4": late}
                assert await asked("IMAGE", PatientName="TWO*", **above) == {".2.2": TWO}
                assert list(await asked("IMAGE", PatientName="ONE^X", **above)) == [
                    ".1.1",
                    ".2.3",
                    ".3.4",
                ]


async def test_a_name_that_is_corrected_by_an_image_in_the_place_of_the_first_is_answered(db):
    await hold(db, [header(1, **ONE), header(1, image=2, **TWO)])
    async with db.begin() as session:
        row = await session.execute(select(*HELD_COLUMNS).where(Image.image_uid == "1.2.3.1.1.1"))
        held = Held(**row.mappings().one())
        assert await replace_image(session, held, read_record(header(1, **TWO)))
    async with answering_node(db) as node:
        (study,) = await ask(node, keys("STUDY", **WANTED, StudyInstanceUID=""))
        assert said(study) == TWO
        assert await found(node, "STUDY", PatientName="TWO*") == ["1.2.3.1"]
        assert await found(node, "STUDY", PatientName="ONE*") == []


async def test_a_study_whose_row_was_put_in_by_hand_is_found_by_what_its_images_say(db):
    record = read_record(header(1, **TWO))
    async with db.begin() as session:
        for model, row in (
            (Patient, {"id": 1, "patient_id": "P1", "institution": "", "patient_name": "ONE^X"}),
            (Study, {"id": 1, "patient_id": 1, "study_uid": record.study_uid}),
            (Series, {"id": 1, "study_id": 1, "series_uid": record.series_uid}),
        ):
            await session.execute(insert(table_of(model)), [row])
    await hold(db, [header(1, **TWO)])
    async with answering_node(db) as node:
        assert await found(node, "STUDY", PatientName="TWO*") == ["1.2.3.1"]
        assert await found(node, "STUDY", PatientBirthDate="19900909") == ["1.2.3.1"]
        assert await found(node, "STUDY", PatientName="ONE*") == []
        (study,) = await ask(node, keys("STUDY", **WANTED, StudyInstanceUID=""))
        assert said(study) == TWO
