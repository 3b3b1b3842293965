import pytest

from node.config import Layout
from node.storage.layout import image_path, patient_component, uid_component

UIDS = {"study_uid": "1.2.3", "series_uid": "1.2.3.4", "sop_instance_uid": "1.2.3.4.5"}


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (Layout.PATIENT, "P-1/1.2.3/1.2.3.4/1.2.3.4.5.dcm"),
        (Layout.STUDY, "1.2.3/1.2.3.4/1.2.3.4.5.dcm"),
        (Layout.IMAGE, "1.2.3.4.5.dcm"),
    ],
)
def test_the_layout_decides_the_folders(layout, expected):
    assert str(image_path(layout, patient_id="P-1", **UIDS)) == expected


HOSTILE = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "1.2/3",
    "1.2\x003",
    "1..2",
    ".1",
    "1.",
    "1.2 ",
    "1" * 65,
    "1.2\n",
    "١.٢",
    "\ud800",
    "~1",
    "-rf",
]


@pytest.mark.parametrize("uid", HOSTILE)
def test_a_uid_that_is_none_never_becomes_part_of_a_path(uid):
    name = uid_component(uid)
    assert name.startswith("uid-")
    assert "/" not in name
    assert len(name) == 44


@pytest.mark.parametrize("patient_id", [*HOSTILE, "Müller", "a b", "con.", "*"])
def test_a_patient_id_that_is_unsafe_never_becomes_part_of_a_path(patient_id):
    path = patient_component(patient_id)
    assert len(path.parts) == 1
    assert path.parts[0].startswith(("id-", "no-patient-id")) or patient_id == "1" * 64


def test_different_hostile_names_get_different_files():
    assert len({uid_component(uid) for uid in HOSTILE}) == len(HOSTILE)


def test_an_ordinary_uid_and_patient_id_are_kept():
    assert uid_component("1.2.840.10008.1") == "1.2.840.10008.1"
    assert str(patient_component("ABC_123-x")) == "ABC_123-x"
