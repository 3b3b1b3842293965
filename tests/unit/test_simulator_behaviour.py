"""What the simulator answers, without a network."""

import asyncio
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from node.dicom.part10 import file_header
from node.dicom.querying.question import InvalidIdentifierError
from node.net.dimse.identifiers import decoded_identifier
from node.net.messages import Caller, FindRequest, QueryModel
from node.simulator.archive import SimulatedArchive
from node.simulator.behaviour import Honest, Partial
from node.simulator.corpus import make_corpus
from node.simulator.instances import NotAnInstanceError, read_instance

TODAY = date(2026, 3, 1)
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
STUDY, PATIENT = QueryModel.STUDY_ROOT, QueryModel.PATIENT_ROOT


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    make_corpus(folder, today=TODAY)
    return SimulatedArchive.load(folder)


@pytest.fixture
def honest(archive):
    return Honest(archive=archive, aetitle="PACS")


def identifier(level, **keys):
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    dataset.SpecificCharacterSet = "ISO_IR 192"
    with disable_value_validation():  # keys such as "-" and "" are what peers send
        for keyword, value in keys.items():
            setattr(dataset, keyword, value)
    return dataset


def ask(behaviour, model, level, syntax=IMPLICIT, **keys):
    request = FindRequest(
        caller=Caller(aetitle="ME", address="127.0.0.1", port=1),
        model=model,
        identifier=identifier(level, **keys),
        transfer_syntax_uid=syntax,
    )

    async def answers():
        return [await decoded_identifier(one, syntax) async for one in behaviour.find(request)]

    return asyncio.run(answers())


@pytest.fixture
def thorax(honest):
    (study,) = ask(honest, STUDY, "STUDY", StudyDescription="CT thorax", StudyInstanceUID="")
    return study.StudyInstanceUID


# The archive


def test_an_archive_indexes_every_image_of_a_folder(archive):
    assert len(archive) == sum(1 for _ in archive.instances)
    assert len(archive.studies) == 8
    assert sum(len(list(s.instances)) for s in archive.studies) == len(archive)
    assert sum(len(p.studies) for p in archive.patients.values()) == 8
    assert archive.skipped == 0


def test_files_that_are_not_instances_are_skipped_and_counted(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing of the kind")
    (tmp_path / "empty").touch()
    dicomdir = Path(get_testdata_file("DICOMDIR", download=False))
    (tmp_path / "DICOMDIR").write_bytes(dicomdir.read_bytes())
    (tmp_path / "ct").write_bytes(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    archive = SimulatedArchive.load(tmp_path)
    assert (len(archive), archive.skipped) == (1, 3)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        SimulatedArchive.load(tmp_path / "nowhere")


def test_a_dataset_without_preamble_is_recognised(tmp_path):
    source = Path(get_testdata_file("rtstruct.dcm", download=False))
    instance = read_instance(source)
    assert instance.bare_from == 0
    assert instance.transfer_syntax_uid == "1.2.840.10008.1.2"
    assert instance.attributes["Modality"] == ("RTSTRUCT",)


def test_meta_information_without_preamble_is_recognised(tmp_path):
    source = Path(get_testdata_file("MR_small.dcm", download=False))
    bare = tmp_path / "bare"
    bare.write_bytes(source.read_bytes()[132:])
    instance = read_instance(bare)
    whole = file_header(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
    )
    (tmp_path / "whole").write_bytes(whole + bare.read_bytes()[instance.bare_from :])
    assert dcmread(tmp_path / "whole").PixelData == dcmread(source).PixelData


def test_noise_is_not_an_instance(tmp_path):
    path = tmp_path / "noise"
    path.write_bytes(bytes(range(256)) * 8)
    with pytest.raises(NotAnInstanceError):
        read_instance(path)


# C-FIND


def test_a_study_is_answered_with_its_counts_and_modalities(honest):
    (study,) = ask(
        honest,
        STUDY,
        "STUDY",
        PatientID="DEMO-1001",
        StudyDate="20260201-",
        ModalitiesInStudy="",
        NumberOfStudyRelatedSeries="",
        NumberOfStudyRelatedInstances="",
        StudyInstanceUID="",
    )
    assert list(study.ModalitiesInStudy) == ["CT", "SEG", "SR"]
    assert study.NumberOfStudyRelatedSeries == 4
    assert study.NumberOfStudyRelatedInstances == 22
    assert study.StudyDate == "20260228"
    assert study.QueryRetrieveLevel == "STUDY"
    assert study.RetrieveAETitle == "PACS"
    assert study.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({}, 8),
        ({"StudyDate": "20260223-20260301"}, 7),
        ({"StudyDate": "20260301"}, 1),
        ({"StudyDate": "-20260201"}, 1),
        ({"StudyDate": "-"}, 0),
        ({"ModalitiesInStudy": "CT"}, 2),
        ({"ModalitiesInStudy": ["MR", "US"]}, 2),
        ({"ModalitiesInStudy": "PT"}, 0),
        ({"PatientID": "DEMO-*"}, 8),
        ({"PatientID": "DEMO-100?"}, 8),
        ({"PatientID": "demo-1001"}, 0),
        ({"PatientName": "muster^*"}, 2),
        ({"PatientName": "山田*"}, 1),
        ({"PatientName": "*지*"}, 0),
        ({"PatientName": "홍^길동"}, 1),
        ({"PatientName": "BUC^JÉRÔME"}, 1),
        ({"AccessionNumber": "D2026030103"}, 1),
        ({"StudyTime": "0800-1000"}, 2),
        ({"StudyDescription": "*%*"}, 0),
        ({"SeriesDescription": "a key of a level below is not matched"}, 8),
        ({"StudyComments": "an unsupported key is not matched"}, 8),
    ],
)
def test_studies_match_by_their_keys(honest, keys, count):
    assert len(ask(honest, STUDY, "STUDY", **keys)) == count


def test_only_supported_keys_are_returned(honest):
    answer = ask(honest, STUDY, "STUDY", PatientComments="", StudyComments="", Modality="")[0]
    assert "StudyComments" not in answer
    assert "Modality" not in answer
    assert "PatientComments" in answer
    assert not answer.PatientComments


def test_names_are_answered_in_utf_8(honest):
    (study,) = ask(honest, STUDY, "STUDY", PatientName="Yamada*")
    assert study.PatientName.ideographic == "山田^太郎"
    assert "山田".encode() in _encoded(study)


def _encoded(dataset):
    file = BytesIO()
    dataset.save_as(file, implicit_vr=True, little_endian=True)
    return file.getvalue()


def test_series_are_found_below_one_study(honest, thorax):
    series = ask(
        honest,
        STUDY,
        "SERIES",
        StudyInstanceUID=thorax,
        SeriesInstanceUID="",
        Modality="CT",
        NumberOfSeriesRelatedInstances="",
    )
    assert [s.NumberOfSeriesRelatedInstances for s in series] == [16, 4]
    assert {s.StudyInstanceUID for s in series} == {thorax}


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_images_are_found_below_one_series(honest, thorax, syntax):
    series = ask(honest, STUDY, "SERIES", StudyInstanceUID=thorax, SeriesInstanceUID="")
    images = ask(
        honest,
        STUDY,
        "IMAGE",
        syntax,
        StudyInstanceUID=thorax,
        SeriesInstanceUID=series[0].SeriesInstanceUID,
        SOPInstanceUID="",
        InstanceNumber="",
        Rows="",
    )
    assert [i.InstanceNumber for i in images] == list(range(1, 17))
    assert {i.Rows for i in images} == {128}
    assert len({i.SOPInstanceUID for i in images}) == 16


def test_patients_are_found_in_the_patient_root_model(honest):
    patients = ask(
        honest, PATIENT, "PATIENT", PatientID="", PatientName="", NumberOfPatientRelatedStudies=""
    )
    assert len(patients) == 6
    assert sum(p.NumberOfPatientRelatedStudies for p in patients) == 8
    studies = ask(honest, PATIENT, "STUDY", PatientID="DEMO-1001", StudyInstanceUID="")
    assert len(studies) == 2


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        (STUDY, "PATIENT", {"PatientID": "DEMO-1001"}),
        (STUDY, "WARD", {}),
        (STUDY, "", {}),
        (STUDY, "SERIES", {}),
        (STUDY, "SERIES", {"StudyInstanceUID": ["1.2", "1.3"]}),
        (STUDY, "IMAGE", {"StudyInstanceUID": "1.2"}),
        (PATIENT, "STUDY", {}),
        (PATIENT, "STUDY", {"PatientID": "DEMO*"}),
    ],
)
def test_a_question_against_the_model_is_refused(honest, model, level, keys):
    with pytest.raises(InvalidIdentifierError):
        ask(honest, model, level, **keys)


# C-MOVE


def test_a_study_is_moved_whole(honest, thorax):
    assert len(honest.retrieve(STUDY, identifier("STUDY", StudyInstanceUID=thorax))) == 22


def test_a_list_of_studies_is_moved(honest, archive):
    uids = [study.uid for study in archive.studies[:2]]
    chosen = honest.retrieve(STUDY, identifier("STUDY", StudyInstanceUID=uids))
    assert {i.study_uid for i in chosen} == set(uids)


def test_series_and_images_are_moved_by_their_own_keys(honest, archive, thorax):
    study = next(s for s in archive.studies if s.uid == thorax)
    series = list(study.series.values())[1]
    keys = {"StudyInstanceUID": thorax, "SeriesInstanceUID": series.uid}
    assert len(honest.retrieve(STUDY, identifier("SERIES", **keys))) == 4
    uids = list(series.instances)[1:3]
    chosen = honest.retrieve(STUDY, identifier("IMAGE", **keys, SOPInstanceUID=uids))
    assert [i.sop_instance_uid for i in chosen] == uids


def test_a_series_of_another_study_is_not_moved(honest, archive, thorax):
    other = next(iter(archive.studies[1].series))
    keys = {"StudyInstanceUID": thorax, "SeriesInstanceUID": other}
    assert honest.retrieve(STUDY, identifier("SERIES", **keys)) == []


def test_a_patient_is_moved_with_all_studies(honest):
    chosen = honest.retrieve(PATIENT, identifier("PATIENT", PatientID="DEMO-1001"))
    assert len({i.study_uid for i in chosen}) == 2


def test_other_keys_than_unique_ones_do_not_narrow_a_move(honest, thorax):
    keys = {"StudyInstanceUID": thorax, "StudyDescription": "something else"}
    assert len(honest.retrieve(STUDY, identifier("STUDY", **keys))) == 22


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        (STUDY, "STUDY", {}),
        (STUDY, "STUDY", {"StudyInstanceUID": ""}),
        (STUDY, "SERIES", {"SeriesInstanceUID": "1.2"}),
        (STUDY, "PATIENT", {"PatientID": "DEMO-1001"}),
        (PATIENT, "STUDY", {"StudyInstanceUID": "1.2"}),
    ],
)
def test_a_move_without_its_unique_keys_is_refused(honest, model, level, keys):
    with pytest.raises(InvalidIdentifierError):
        honest.retrieve(model, identifier(level, **keys))


# Misbehaviour


def test_a_partial_pacs_counts_all_images_and_delivers_fewer(honest, archive, thorax):
    partial = Partial(inner=honest, archive=archive, withhold=3)
    (study,) = ask(
        partial, STUDY, "STUDY", StudyInstanceUID=thorax, NumberOfStudyRelatedInstances=""
    )
    whole = honest.retrieve(STUDY, identifier("STUDY", StudyInstanceUID=thorax))
    chosen = partial.retrieve(STUDY, identifier("STUDY", StudyInstanceUID=thorax))
    assert study.NumberOfStudyRelatedInstances == 22
    assert chosen == whole[:19]


def test_what_is_withheld_is_withheld_at_every_level(honest, archive, thorax):
    partial = Partial(inner=honest, archive=archive, withhold=3)
    last = honest.retrieve(STUDY, identifier("STUDY", StudyInstanceUID=thorax))[-1]
    keys = {"StudyInstanceUID": thorax, "SeriesInstanceUID": last.series_uid}
    assert partial.retrieve(STUDY, identifier("SERIES", **keys)) == []
    keys["SOPInstanceUID"] = last.sop_instance_uid
    assert partial.retrieve(STUDY, identifier("IMAGE", **keys)) == []


def test_of_a_study_smaller_than_what_is_withheld_nothing_is_delivered(honest, archive, thorax):
    partial = Partial(inner=honest, archive=archive, withhold=100)
    assert partial.retrieve(STUDY, identifier("STUDY", StudyInstanceUID=thorax)) == []
