"""The demonstration PACS's images."""

import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.filereader import read_file_meta_info

from node.simulator.archive import SimulatedArchive
from node.simulator.corpus import derived_uid, make_corpus

TODAY = date(2026, 3, 1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), today=TODAY)


@pytest.fixture(scope="module")
def datasets(corpus):
    return [dcmread(path) for path in corpus]


def test_it_has_at_least_six_studies_and_sixty_images(datasets):
    assert len({d.StudyInstanceUID for d in datasets}) >= 6
    assert len({d.SOPInstanceUID for d in datasets}) == len(datasets) >= 60


def test_it_has_what_a_node_meets(datasets):
    syntaxes = {d.file_meta.TransferSyntaxUID.keyword for d in datasets}
    assert {d.Modality for d in datasets} >= {"CT", "MR", "US", "CR", "NM", "SR", "RTSTRUCT", "SEG"}
    assert syntaxes >= {
        "ImplicitVRLittleEndian",
        "ExplicitVRLittleEndian",
        "ExplicitVRBigEndian",
        "JPEGBaseline8Bit",
        "JPEGExtended12Bit",
        "JPEGLosslessSV1",
        "JPEGLSLossless",
        "JPEG2000Lossless",
        "JPEG2000",
        "RLELossless",
    }
    assert any(int(d.get("NumberOfFrames") or 1) > 1 for d in datasets)
    assert any("ConceptNameCodeSequence" in d for d in datasets if d.Modality == "SR")


def test_names_are_in_several_scripts(datasets):
    names = {str(d.PatientName) for d in datasets}
    assert names >= {
        "Buc^Jérôme",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "Hong^Gildong=洪^吉洞=홍^길동",
    }
    charsets = {str(d.SpecificCharacterSet) for d in datasets}
    assert any("ISO 2022 IR 87" in charset for charset in charsets)
    assert any("ISO 2022 IR 149" in charset for charset in charsets)


def test_one_study_has_several_series(datasets):
    series = {(d.StudyInstanceUID, d.SeriesInstanceUID) for d in datasets}
    assert max(Counter(study for study, _ in series).values()) >= 3


def test_a_study_is_one_patients_and_one_days(datasets):
    described = {
        (d.StudyInstanceUID, d.PatientID, str(d.PatientName), d.StudyDate, d.AccessionNumber)
        for d in datasets
    }
    assert len(described) == len({d.StudyInstanceUID for d in datasets})


def test_the_last_week_has_studies_and_nothing_is_in_the_future(datasets):
    days = [date.fromisoformat(d.StudyDate) for d in datasets]
    assert max(days) == TODAY
    assert len({d for d in days if d > TODAY - timedelta(days=7)}) >= 6
    assert min(days) < TODAY - timedelta(days=30)


def test_every_file_is_part_10_and_names_what_it_holds(corpus, datasets):
    for path, dataset in zip(corpus, datasets, strict=True):
        meta = read_file_meta_info(path)
        assert meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert meta.MediaStorageSOPClassUID == dataset.SOPClassUID
        assert dataset.SOPInstanceUID.startswith("2.25.")
        assert dataset.SOPInstanceUID.is_valid


@pytest.mark.parametrize(
    "name", ["MR_small_RLE.dcm", "MR_small_bigendian.dcm", "examples_ybr_color.dcm", "CT_small.dcm"]
)
def test_pixels_and_transfer_syntax_are_the_sources(datasets, name):
    source = dcmread(get_testdata_file(name, download=False))
    kept = [
        d
        for d in datasets
        if d.get("PixelData") == source.PixelData
        and d.file_meta.TransferSyntaxUID == source.file_meta.TransferSyntaxUID
    ]
    assert kept


def test_it_is_made_quickly_is_small_and_the_same_day_gives_the_same_bytes(corpus, tmp_path):
    began = time.process_time()
    again = make_corpus(tmp_path, today=TODAY)
    assert time.process_time() - began < 2
    assert sum(path.stat().st_size for path in again) < 30_000_000
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in corpus]


def test_another_day_gives_other_uids(corpus, tmp_path):
    other = make_corpus(tmp_path, today=TODAY + timedelta(days=1))
    before, after = ({i.sop_instance_uid for i in map_of(paths)} for paths in (corpus, other))
    assert len(before) == len(after)
    assert not before & after


def map_of(paths):
    return SimulatedArchive.load(Path(paths[0]).parents[2]).instances


def test_a_derived_uid_is_always_the_same_and_never_anothers():
    assert derived_uid("a", 1) == derived_uid("a", 1)
    assert derived_uid("a", 1) != derived_uid("a", 2)
    assert len(derived_uid("a")) <= 64
