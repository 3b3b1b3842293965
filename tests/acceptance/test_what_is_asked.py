"""What a peer is asked for: never what cannot match, and each of several values."""

import pydicom
import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port
from tests.support.simulated import simulated

DATES = ("--from", "2024-01-01", "--to", "2024-01-03")


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def port() -> int:
    """Return where the peer listens, if it does."""
    return free_port()


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url, port):
    """Return a node for what does not depend on the database, with a peer that may be served."""
    peers = {"pacs": ("PACS", port)}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


CANNOT_MATCH = (
    (("--modality", "CT,MR"), "--modality: 'CT,MR' is no modality"),
    (("--modality", "CT\\MR"), "is no modality"),
    (("--modality", "CT MR"), "'CT MR' is no modality: that is up to 16 letters, digits and"),
    (("--modality", "C*"), "is no modality"),
    (("--modality", "COMPUTEDTOMOGRAPHY"), "up to 16"),
    (("--modality", "", "--patient-id", "P"), "is no modality"),
    (("--study-uid", "notauid"), "'notauid' is no Study Instance UID"),
    (("--study-uid", "9.9.9"), "is no Study Instance UID"),
    (("--study-uid", "1.2", "--study-uid", "1." + "2" * 63), "is no Study Instance UID"),
    (("--study-uid", ""), "is no Study Instance UID"),
    (("--patient-id", "A\\B"), "--patient-id: 'A\\B' is no Patient ID"),
    (("--patient-id", "A" * 65), "65 characters, 64 are the most"),
    (("--patient-id", "A\tB"), "is no Patient ID"),
    (("--patient-id", ""), "an empty Patient ID"),
    (("--accession", "A\\B"), "--accession: 'A\\B' is no accession number"),
    (("--accession", ""), "--accession: an empty accession number names nothing: say which, or"),
    (("--accession", "A" * 301), "301 characters"),
    (("--from", "2024111"), "'2024111' is no day"),
    (("--from", "2024-1-1"), "is no day"),
    (("--from", "20240230"), "is no day"),
    (("--to", "yesterday"), "is no day"),
)


def test_what_cannot_match_is_refused_before_anything_is_asked(node):
    for options, said in CANNOT_MATCH:
        refused = node("find", "pacs", *DATES, *options)
        assert (refused.code, said in refused.stderr) == (2, True), (options, refused)
    assert node.value("SELECT count(*) FROM cycles") == 0
    assert node.value("SELECT count(*) FROM find_windows") == 0
    node.ok("project", "create", "knee")
    for options in (("--modality", "CT,MR"), ("--patient-id", "A\\B"), ("--modality", "")):
        refused = node("project", "add", "knee", *options)
        assert (refused.code, options[0] in refused.stderr) == (2, True), (options, refused)


def test_each_value_of_an_option_is_asked_for_whatever_its_case(node, tmp_path, port):
    both, mr, other = (image.path for image in generate(tmp_path / "images", studies=3, images=1))
    second = pydicom.dcmread(both)
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
        setattr(second, keyword, f"{second[keyword].value}.1")
    second.Modality = "CT"
    second.save_as(tmp_path / "images" / "ct.dcm")
    third = pydicom.dcmread(other)
    third.Modality = "US"
    third.save_as(other)
    with simulated(node, tmp_path / "images", port):
        found = node.json("find", "pacs", *DATES, "--modality", "ct", "--modality", "MR")
        assert (found["found"], found["new"], found["failed_windows"]) == (2, 2, 0)
        asked = node.rows("SELECT query FROM find_windows")
        assert {row["query"] for row in asked} == {
            '{"ModalitiesInStudy":"CT"}',
            '{"ModalitiesInStudy":"MR"}',
        }
        assert node.value("SELECT count(*) FROM cycles") == 1
        assert node.value(f"SELECT count(*) FROM studies_find WHERE study_uid = '{uid(mr)}'") == 1

        ids = [str(pydicom.dcmread(path).PatientID) for path in (mr, other)]
        numbers = [str(pydicom.dcmread(path).AccessionNumber) for path in (both, other)]
        options = [part for one in ids for part in ("--patient-id", one)]
        assert node.json("find", "pacs", *options)["found"] == 2
        options = [part for one in numbers for part in ("--accession", one)]
        assert node.json("find", "pacs", *options)["found"] == 2
        options = [part for path in (both, mr) for part in ("--study-uid", uid(path))]
        assert node.json("find", "pacs", *options)["found"] == 2

    add = ("project", "add", "knee", "--json")
    node.ok("project", "create", "knee")
    assert node.json("project", "add", "knee", "--modality", "us", "--modality", "ct")["new"] == 2
    assert (
        node.json(*add[:-1], *(part for one in ids for part in ("--patient-id", one)))["new"] == 1
    )


def test_uids_and_accession_numbers_together_name_all_their_studies(node, tmp_path, port):
    one, two, _ = (image.path for image in generate(tmp_path / "images", studies=3, images=1))
    number, patient = (
        str(pydicom.dcmread(two)[key].value) for key in ("AccessionNumber", "PatientID")
    )
    named = ("--study", uid(one), "--accession", number)
    with simulated(node, tmp_path / "images", port):
        found = node.json("find", "pacs", *named)
        assert (found["found"], found["not_found"]) == (2, [])
        nowhere = ("--study", "1.2.3", "--accession", "NOWHERE")
        found = node.json("find", "pacs", *named, *nowhere)
        keys = [{"StudyInstanceUID": "1.2.3"}, {"AccessionNumber": "NOWHERE"}]
        assert (found["found"], found["not_found"]) == (2, keys)
        told = node.ok("find", "pacs", *nowhere).stdout.splitlines()
        assert told[1:] == ["not found at pacs: 1.2.3", "not found at pacs: NOWHERE"]
        cycle = node.value("SELECT max(id) FROM cycles")
        shown = node.ok("cycles", "show", str(cycle)).stdout
        assert "\nStudyInstanceUID 1.2.3 " in shown
        assert "\nAccessionNumber NOWHERE " in shown
        asked = [window["query"] for window in node.json("cycles", "show", str(cycle))["windows"]]
        assert {"AccessionNumber": "NOWHERE"} in asked
        *_, line = node.ok("cycles", "list", "--limit", "1").stdout.splitlines()
        assert "  single studies  windows " in line
        assert "\nlast find of single studies at pacs: done, " in node.ok("status").stdout
        told = node.ok("find", "pacs", "--study", uid(one), "--patient-id", patient).stdout
        assert f"not found at pacs: {uid(one)}, patient {patient}" in told
        told = node.ok("find", "pacs", "--patient-id", "NOBODY", "--patient-id", patient).stdout
        assert told.splitlines()[1:] == ["not found at pacs: patient NOBODY"]
    for other in (DATES, ("--accession", "A*")):
        refused = node("find", "pacs", *named, *other)
        assert (refused.code, "in a find of its own" in refused.stderr) == (2, True), refused


def uid(path):
    return str(pydicom.dcmread(path).StudyInstanceUID)


def test_more_attributes_can_be_asked_for_and_their_changes_are_kept(
    cli, tmp_path, migrated_url, port
):
    fields = {"find": {"search_fields": ["PatientID", "SOPClassesInStudy", "StudyID"]}}
    peers = {"pacs": ("PACS", port)}
    node = Node(cli, tmp_path / "node", migrated_url, peers=peers, settings=fields)
    (image,) = generate(tmp_path / "images", studies=1, images=1)
    for number in ("17", "18"):
        dataset = pydicom.dcmread(image.path)
        dataset.StudyID = number
        dataset.save_as(image.path)
        with simulated(node, image.path.parent, port):
            node.ok("find", "pacs", *DATES)
    node.ok("project", "create", "one")
    node.ok("project", "add", "one", "--study", image.study_uid)
    (member,) = node.json("project", "show", "one")["members"]
    (source,) = member["sources"]
    assert source["keys"] == {"SOPClassesInStudy": str(dataset.SOPClassUID), "StudyID": "18"}
    (change,) = member["changes"]
    assert (change["field"], change["was"], change["became"]) == ("StudyID", "17", "18")
    for wrong in ("StudyDat", "ReferencedStudySequence", "PixelData", "TransferSyntaxUID"):
        fields["find"]["search_fields"] = [wrong]
        refused = Node(cli, tmp_path / wrong, migrated_url, settings=fields)("status")
        assert (refused.code, wrong in refused.stderr) == (2, True), refused


def test_a_plan_names_the_first_windows_and_asks_nobody(node):
    year = ("--from", "2024-01-01", "--to", "2024-12-31")
    planned = node.json("find", "pacs", *year, "--plan")
    (peer,) = planned["peers"]
    assert (peer["peer"], peer["studies_per_day"]) == ("pacs", None)
    assert peer["windows"][0] == "2024-01-01 to 2024-01-31"
    assert (2 < peer["queries"] <= 20, peer["queries_at_most"]) == (True, None)
    assert len(set(peer["windows"])) == len(peer["windows"])
    told = node.ok("find", "pacs", *year, "--plan").stdout
    unknown = "how many studies its dates have is not known yet"
    assert f"pacs: {peer['queries']} questions or more ({unknown}): where it cuts off" in told
    of_the_last = f" (part of {peer['windows'][2]})"
    lines = told.splitlines()[1:]
    assert [line.endswith(of_the_last) for line in lines] == [False] * 3 + [True] * 2
    assert node("find", "pacs", "--study", "1.2", "--plan").code == 2
    assert node.value("SELECT count(*) FROM find_windows") == 0


def test_only_the_gaps_are_asked_for_again(node, tmp_path, port):
    generate(tmp_path / "images", studies=3, images=1)
    first, whole = ("--from", "2024-01-01", "--to", "2024-01-02"), ("--from", "2024-01-01")
    with simulated(node, tmp_path / "images", port):
        assert node.json("find", "pacs", *first)["found"] == 2
        undated = node("find", "pacs", "--only-gaps")
        assert (undated.code, "--only-gaps goes with the study dates" in undated.stderr) == (
            2,
            True,
        )
        nothing = node.ok("find", "pacs", *first, "--only-gaps").stdout
        assert nothing == "pacs: nothing to ask: every day is proven\n"
        rest = node.json("find", "pacs", *whole, "--to", "2024-01-03", "--only-gaps")
        assert (rest["found"], rest["failed_windows"]) == (1, 0)
    dates = node.rows("SELECT start_date FROM find_windows ORDER BY id DESC LIMIT 1")
    assert dates[0]["start_date"] == "2024-01-03"
