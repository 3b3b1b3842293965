"""The insert path against a plain dictionary, for batches of any mixture."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from schema import Database, Image, ImageRecord, Patient, Series, Study, add_images
from tests.db.records import record

few = st.integers(0, 3).map(str)
records = st.builds(
    lambda image, series, study, patient, institution: record(
        image, series, study, patient_id=patient, institution=institution
    ),
    st.integers(0, 12).map(str),
    few,
    few,
    st.sampled_from(["", "A", "B"]),
    st.sampled_from(["", "X"]),
)
batches = st.lists(st.lists(records, max_size=8), max_size=5)


@dataclass
class Model:
    """What the index must hold: parents by UID, each as it first came."""

    patients: set[tuple[str, str]] = field(default_factory=set)
    studies: dict[str, tuple[str, str]] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)
    images: dict[str, ImageRecord] = field(default_factory=dict)

    def add(self, one: ImageRecord) -> bool:
        """Put an image in; tell whether it was new."""
        if one.image_uid in self.images:
            return False
        if one.series_uid not in self.series:
            if one.study_uid not in self.studies:
                self.studies[one.study_uid] = (one.patient_id, one.institution)
                self.patients.add((one.patient_id, one.institution))
            self.series[one.series_uid] = one.study_uid
        self.images[one.image_uid] = one
        return True

    def flagged(self, one: ImageRecord) -> bool:
        """Tell whether an image disagrees with the study and patient it is kept under."""
        study = self.series[one.series_uid]
        patient, institution = self.studies[study]
        elsewhere = bool(institution and one.institution and institution != one.institution)
        return study != one.study_uid or patient != one.patient_id or elsewhere


async def held(db: Database) -> tuple[set, dict, dict, dict]:
    """Return what the index holds, in the model's terms."""
    async with db.session() as session:
        patients = set(
            map(tuple, await session.execute(select(Patient.patient_id, Patient.institution)))
        )
        studies = {
            uid: (patient, institution)
            for uid, patient, institution in await session.execute(
                select(Study.study_uid, Patient.patient_id, Patient.institution).join(Study.patient)
            )
        }
        series = dict(
            (
                await session.execute(select(Series.series_uid, Study.study_uid).join(Series.study))
            ).all()
        )
        images = {
            uid: (kept, own, study, patient, flag is not None)
            for uid, kept, own, study, patient, flag in await session.execute(
                select(
                    Image.image_uid,
                    Series.series_uid,
                    Image.series_uid,
                    Image.study_uid,
                    Image.patient_id,
                    Image.flag,
                ).join(Image.series)
            )
        }
    return patients, studies, series, images


async def compare(db: Database, work: list[list[ImageRecord]]) -> None:
    async with db.begin() as session:
        for table in (Image, Series, Study, Patient):
            await session.execute(delete(table))
    model = Model()
    for one_batch in work:
        expected = [model.add(one) for one in one_batch]
        async with db.begin() as session:
            added = await add_images(session, one_batch)
        assert [one.inserted for one in added] == expected
        assert [one.image_uid for one in added] == [one.image_uid for one in one_batch]
    patients, studies, series, images = await held(db)
    assert (patients, studies, series) == (model.patients, model.studies, model.series)
    assert images == {
        uid: (one.series_uid, one.series_uid, one.study_uid, one.patient_id, model.flagged(one))
        for uid, one in model.images.items()
    }


def test_any_sequence_of_batches_gives_what_a_dictionary_would(database_url):
    with asyncio.Runner() as runner:
        db = Database(database_url)
        runner.run(db.initialize())

        @settings(
            max_examples=60,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(batches)
        def agrees(work: list[list[ImageRecord]]) -> None:
            runner.run(compare(db, work))

        try:
            agrees()
        finally:
            runner.run(db.dispose())
