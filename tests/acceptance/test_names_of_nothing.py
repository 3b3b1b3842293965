"""An argument that names nothing is an error, in every command: never an empty success."""

import pytest

from tests.support.images import generate
from tests.support.node import Node
from tests.support.processes import free_port

NO_UID = ", which is no Study Instance UID"
COMMANDS = (
    (("echo", "nobody"), 2, "no peer is named 'nobody'"),
    (("find", "nobody", "--last", "1d"), 2, "no peer is named 'nobody'"),
    (("find", "pacs", "--list", "no/such.csv"), 2, "no/such.csv: No such file"),
    (("project", "add", "trial", "--csv", "no/such.csv"), 2, "no/such.csv: No such file"),
    (("find", "--project", "nothing"), 2, "no project is named 'nothing'"),
    (("find", "pacs", "--last", "1d", "--project", "nothing"), 2, "no project is named"),
    (("find", "--project", "trial"), 2, "'trial' has no studies: `dicom-node project add trial"),
    (("move", "--project", "trial"), 2, "'trial' has no studies: `dicom-node project add trial"),
    (("hold", "--project", "trial"), 2, "'trial' has no studies"),
    (("move", "nobody"), 2, "no peer is named 'nobody'"),
    (("move", "--study", "9.9.9"), 2, f"no find has recorded the study 9.9.9{NO_UID}"),
    (("move", "--study", ""), 2, f"no find has recorded the study ''{NO_UID}"),
    (("hold", "1.2.x"), 2, f"no find has recorded the study 1.2.x{NO_UID}"),
    (("release", "foo"), 2, f"no find has recorded the study foo{NO_UID}"),
    (("explain", "--study", "1.2.x"), 2, f"nothing is known of the study 1.2.x{NO_UID}"),
    (("move", "--project", "nothing"), 2, "no project is named"),
    (("move", "--project", "trial", "--study", "1.2.3"), 2, "is not in the project 'trial'"),
    (("send", "nobody", "."), 2, "no peer is named 'nobody'"),
    (("send", "pacs", "no/such/file"), 2, "no/such/file"),
    (("parse", "-i", "no/such/folder"), 2, "no/such/folder"),
    (("verify", "--study", "9.9.9"), 2, f"no image of the study '9.9.9'{NO_UID}"),
    (("verify", "--study", "{study}", "--study", "1.2.3"), 2, "no image of the study '1.2.3'"),
    (("verify", "--project", "nothing"), 2, "no project is named"),
    (("verify", "--project", "trial", "--study", "{study}"), 2, "is not in the project 'trial'"),
    (("quarantine", "list", "--kind", "conflikt"), 2, "conflikt"),
    (("quarantine", "retry", "7"), 2, "not in quarantine: 7"),
    (("quarantine", "retry", "2147483647"), 2, "not in quarantine: 2147483647"),
    (("quarantine", "retry", "99999999999"), 2, "larger than 2147483647"),
    (("quarantine", "export", "7", "-o", "out"), 2, "not in quarantine: 7"),
    (("quarantine", "accept", "7"), 2, "not in quarantine: 7"),
    (("quarantine", "discard", "7", "--yes"), 2, "not in quarantine: 7"),
    (("explain", "%" * 300), 1, "No study, accession number or patient"),
    (("status", "nobody"), 2, "no peer is named 'nobody'"),
    (("cycles", "list", "--peer", "nobody"), 2, "no peer is named 'nobody'"),
    (("move", "--project", "nothing", "--dry-run"), 2, "no project is named"),
    (("project", "priority", "nothing", "1"), 2, "known are: 'trial'"),
    (("project", "show", "nothing"), 2, "known are: 'trial'"),
    (("project", "export", "nothing", "-o", "out"), 2, "known are: 'trial'"),
    (("project", "delete", "nothing", "--yes"), 2, "known are: 'trial'"),
    (("project", "add", "nothing", "--study", "1.2.3"), 2, "known are: 'trial'"),
    (("project", "add", "trial", "--peer", "nobody"), 2, "no peer is named 'nobody'"),
    (("project", "add", "trial", "--patient-id", "NOBODY"), 2, "the Patient ID 'NOBODY'"),
    (("project", "add", "trial", "--modality", "XX"), 2, "the modality 'XX'"),
    (("project", "add", "trial", "--manufacturer", "Nil"), 2, "the manufacturer 'Nil'"),
    (("project", "remove", "nothing", "--study", "1.2.3"), 2, "known are: 'trial'"),
    (("project", "remove", "trial", "--study", "1.2.3"), 1, "1 was not in it"),
    (
        ("query", "pacs", "-k", "PatientID=1", "--result", "out/r.csv"),
        2,
        "--result out/r.csv: the folder out",
    ),
    (("find", "pacs", "--list", "l.csv", "--result", "out/r.csv"), 2, "the folder out does"),
    (("manifest", "create", "--all", "-o", "out/m"), 2, "--output out/m: the folder out does"),
    (("verify", "--list", "out/v.csv"), 2, "/out does not exist"),
    (("reconcile", "--list", "out/r.csv"), 2, "/out does not exist"),
    (("parse", "-i", ".", "--list", "out/f.csv"), 2, "/out does not exist"),
    (("parse", "-i", ".", "--fmt", "csv", "-o", "out/i.csv"), 2, "the folder out does"),
    (("report", "-o", "out/r.csv"), 2, "the folder out does not exist"),
    (("db", "dump", "-o", "out", "-t", "nothing"), 2, "nothing"),
)


@pytest.fixture
def cli(inside):
    return inside


@pytest.fixture
def node(cli, tmp_path, migrated_sqlite_url):
    peers = {"pacs": ("PACS", free_port())}
    return Node(cli, tmp_path / "node", migrated_sqlite_url, peers=peers)


def test_an_argument_that_names_nothing_is_an_error_in_every_command(node, tmp_path):
    (image,) = generate(tmp_path / "images", images=1)
    node.ok("parse", "-i", tmp_path / "images")
    node.ok("project", "create", "trial")
    (node.cli.folder / "l.csv").write_text("StudyInstanceUID\n1.2.3\n")
    for arguments, code, said in COMMANDS:
        refused = node(*(one.format(study=image.study_uid) for one in arguments))
        told = refused.stderr + refused.stdout
        assert (refused.code, said in told) == (code, True), (arguments, refused)
        if arguments[0] == "status":
            assert refused.stdout == "", "the error alone"
    counting = node.cli("simulate", "--counters", "out/c.json")
    assert (counting.code, "the folder out does not exist" in counting.stderr) == (2, True)
    assert not (node.cli.folder / "out").exists()
    assert node.value("SELECT count(*) FROM cycles") == 0
