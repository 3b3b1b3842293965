"""The insert path against plain dictionaries, for any sequence of batches and finds."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from schema import (
    Database,
    Image,
    ImageRecord,
    Patient,
    Series,
    Study,
    StudyFind,
    add_images,
    record_found,
)
from tests.db.records import finding, record

few = st.integers(0, 3).map(str)
records = st.builds(
    lambda image, series, study, patient, institution, name: record(
        image, series, study, patient_id=patient, institution=institution, patient_name=name
    ),
    st.integers(0, 12).map(str),
    few,
    few,
    st.sampled_from(["", "A", "B"]),
    st.sampled_from(["", "X", "Y"]),
    st.sampled_from([None, "Doe^Jane", "Roe^Richard"]),
)
batches = st.lists(records, max_size=8)
finds = st.sets(few, max_size=2).map(frozenset)
steps = st.lists(st.one_of(batches, batches, finds), max_size=6)

Step = list[ImageRecord] | frozenset[str]


@dataclass
class Model:
    """What the index must hold: parents by UID, each as it first came."""

    patients: dict[tuple[str, str], str | None] = field(default_factory=dict)
    studies: dict[str, tuple[str, str]] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)
    images: dict[str, ImageRecord] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)

    def add(self, one: ImageRecord) -> bool:
        """Put an image in; tell whether it was new."""
        if one.image_uid in self.images:
            return False
        if one.series_uid not in self.series:
            if one.study_uid not in self.studies:
                patient = (one.patient_id, one.institution)
                self.studies[one.study_uid] = patient
                self.patients.setdefault(patient, one.patient_name)
            self.series[one.series_uid] = one.study_uid
        self.images[one.image_uid] = one
        return True

    def links(self) -> dict[str, str | None]:
        """Return what each received study is linked to: the study that was found, if any."""
        return {uid: uid if uid in self.found else None for uid in self.studies}

    def flags(self, one: ImageRecord) -> list[str]:
        """Return in what an image disagrees with the study and patient it is kept under."""
        study = self.series[one.series_uid]
        patient, institution = self.studies[study]
        kinds = [] if study == one.study_uid else ["study"]
        if patient != one.patient_id:
            kinds.append("patient")
        elif institution and one.institution and institution != one.institution:
            kinds.append("institution")
        return kinds


async def held(db: Database) -> tuple[dict, dict, dict, dict, dict]:
    """Return what the index holds, in the model's terms."""
    async with db.session() as session:
        patients = {
            (patient, institution): name
            for patient, institution, name in await session.execute(
                select(Patient.patient_id, Patient.institution, Patient.patient_name)
            )
        }
        studies = {
            uid: (patient, institution)
            for uid, patient, institution in await session.execute(
                select(Study.study_uid, Patient.patient_id, Patient.institution).join(Study.patient)
            )
        }
        links = dict(
            (
                await session.execute(
                    select(Study.study_uid, StudyFind.study_uid).outerjoin(Study.study_find)
                )
            ).all()
        )
        series = dict(
            (
                await session.execute(select(Series.series_uid, Study.study_uid).join(Series.study))
            ).all()
        )
        images = {
            uid: (kept, own, study, patient, name, kinds_of(flag))
            for uid, kept, own, study, patient, name, flag in await session.execute(
                select(
                    Image.image_uid,
                    Series.series_uid,
                    Image.series_uid,
                    Image.study_uid,
                    Image.patient_id,
                    Image.patient_name,
                    Image.flag,
                ).join(Image.series)
            )
        }
    return patients, studies, links, series, images


def kinds_of(flag: str | None) -> list[str]:
    """Return what a flag says an image disagrees in."""
    return [reason.partition(":")[0] for reason in flag.split("; ")] if flag is not None else []


async def compare(db: Database, work: list[Step]) -> None:
    async with db.begin() as session:
        for table in (Image, Series, Study, StudyFind, Patient):
            await session.execute(delete(table))
    model = Model()
    for step in work:
        if isinstance(step, frozenset):
            async with db.begin() as session:
                await record_found(session, map(finding, sorted(step)), peer="pacs")
            model.found |= step
            continue
        expected = [model.add(one) for one in step]
        async with db.begin() as session:
            added = await add_images(session, step)
        assert [one.inserted for one in added] == expected
        assert [one.image_uid for one in added] == [one.image_uid for one in step]
    patients, studies, links, series, images = await held(db)
    assert (patients, studies, series) == (model.patients, model.studies, model.series)
    assert links == model.links()
    assert images == {
        uid: (
            one.series_uid,
            one.series_uid,
            one.study_uid,
            one.patient_id,
            one.patient_name,
            model.flags(one),
        )
        for uid, one in model.images.items()
    }


def test_any_sequence_of_batches_and_finds_gives_what_dictionaries_would(migrated_url):
    with asyncio.Runner() as runner:
        db = Database(migrated_url)

        @settings(
            max_examples=40,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(steps)
        def agrees(work: list[Step]) -> None:
            runner.run(compare(db, work))

        try:
            agrees()
        finally:
            runner.run(db.dispose())
