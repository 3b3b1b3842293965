"""`dicom-node config`, and the command line as a whole, as a user meets them."""

import json
import os
import subprocess
import sys
import time

import pytest
import yaml


def test_a_new_user_writes_checks_and_sees_a_configuration(cli):
    written = cli("config", "init")
    assert (written.code, written.stderr) == (0, "")
    assert "dicom-node.yaml written" in written.stdout
    here = cli.folder
    assert cli("config", "check") == (
        0,
        "dicom-node.yaml: ok\n"
        f"  storage.resources: sqlite:///{here}/var/node.db\n"
        f"  storage.directory: {here}/var/dicom\n",
        "",
    )
    shown = cli("config", "show")
    assert yaml.safe_load(shown.stdout)["peers"]["pacs"]["port"] == 4242
    assert "# dicom-node.yaml, line" in shown.stdout


def test_an_existing_file_is_left_alone(cli):
    path = cli.folder / "mine.yaml"
    path.write_text("mine")
    for arguments in ([path], ["-f", path]):
        result = cli("config", "init", *arguments)
        assert (result.code, result.stdout) == (2, "")
        assert "is there already" in result.stderr
    assert path.read_text() == "mine"


def test_the_file_may_be_named_by_the_option_but_only_once(cli):
    assert cli("config", "init", "-f", "a.yaml").code == 0
    assert (cli.folder / "a.yaml").exists()
    assert cli("config", "init", "b.yaml", "--config", "c.yaml").code == 2


def test_a_wrong_configuration_is_one_message_that_helps(cli):
    path = cli.folder / "dicom-node.yaml"
    path.write_text("node:\n  aetitle: ABCDEFGHIJKLMNOPQRST\n  prot: 104\n")
    for command in (["config", "check"], ["config", "show"], ["db", "init"], ["db", "current"]):
        result = cli(*command)
        assert (result.code, result.stdout) == (2, "")
        first, title, key = result.stderr.splitlines()
        assert first == "dicom-node: the configuration has 2 errors:"
        assert title.startswith("  dicom-node.yaml, line 2: node.aetitle: an AE title has 1 to 16")
        assert "line 3: node.prot: unknown key (did you mean node.port?)" in key
    assert not (cli.folder / "var").exists()


def test_check_says_which_folders_files_and_programs_cannot_be_used(cli):
    here = cli.folder
    (here / "file").write_text("")
    path = here / "dicom-node.yaml"
    path.write_text("storage: {directory: file/dicom, resources: sqlite:///file/node.db}\n")
    wrong = cli("config", "check")
    assert (wrong.code, wrong.stdout) == (2, "")
    assert [line.strip() for line in wrong.stderr.splitlines()] == [
        "dicom-node: the configuration has 2 errors:",
        f"storage.resources: {here}/file/node.db cannot be: {here}/file is not a folder",
        f"storage.directory: {here}/file/dicom cannot be: {here}/file is not a folder",
    ]

    path.write_text("""\
storage: {resources: "sqlite:///.", directory: images}
hooks:
  told: {events: alarm, command: [no-such-program, "1"]}
  known: {events: alarm, command: [sh]}
  signed: {events: alarm, url: "https://127.0.0.1/", secret_file: secret}
""")
    told = json.loads(cli("config", "check", "--json").stdout)
    assert [problem["message"] for problem in told["problems"]] == [
        f"{here} is a folder: a file is needed"
    ]
    path.write_text(path.read_text().replace("sqlite:///.", "postgresql://127.0.0.1/node"))
    noted = json.loads(cli("config", "check", "--json").stdout)
    assert (noted["ok"], noted["notes"]) == (
        True,
        [
            f"hooks.signed.secret_file: {here}/secret: there is no such file",
            "hooks.told.command: no program no-such-program can be run here; `run` needs it",
        ],
    )


def test_check_as_json_lists_the_problems(cli):
    (cli.folder / "bad.yaml").write_text("node: {port: 0}\n")
    result = cli("config", "check", "--json", "-f", "bad.yaml")
    assert result.code == 2
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["key"] == "node.port"
    assert problem["where"] == "bad.yaml, line 1"
    good = cli("config", "check", "--json", env={"DICOM_NODE__NODE__PORT": "104"})
    document = json.loads(good.stdout)
    assert document.pop("paths").keys() == {"storage.resources", "storage.directory"}
    assert document == {"ok": True, "file": None, "notes": []}


def test_show_as_json_says_where_each_setting_came_from_and_no_password(cli):
    url = "postgresql://node:hunter2@db.example.org/node"
    result = cli("config", "show", "--json", env={"DICOM_NODE__STORAGE__RESOURCES": url})
    document = json.loads(result.stdout)
    assert document["origins"]["storage.resources"] == "DICOM_NODE__STORAGE__RESOURCES"
    assert document["origins"]["node.port"] == "default"
    assert document["settings"]["storage"]["resources"] == url.replace("hunter2", "***")
    assert "hunter2" not in result.stdout + result.stderr


def test_settings_without_effect_are_said_by_check(cli):
    (cli.folder / "p.yaml").write_text("find: {query_level: PATIENT}\n")
    result = cli("config", "check", "-f", "p.yaml")
    assert result.code == 0
    assert result.stderr == (
        "note: find.query_level has no effect: whole studies are found and moved\n"
    )


def test_a_modality_that_the_standard_does_not_have_is_said_by_check(cli):
    (cli.folder / "p.yaml").write_text(
        "find: {modality: [CTT]}\n"
        "move: {want: {modality: [Ct, SEG, ST, WXYZ]}}\n"
        "peers: {a: {aetitle: A, host: h, port: 104, want: {modality: [MR, RTDOS]}}}\n"
    )
    result = cli("config", "check", "-f", "p.yaml")
    assert result.code == 0
    has_no, where = "the standard has no modality", "(PS3.3 C.7.3.1.1.1)"
    assert result.stderr.splitlines() == [
        f"note: find.modality: {has_no} CTT {where} (did you mean 'CT'?)",
        f"note: move.want.modality: {has_no} WXYZ {where}",
        f"note: peers.a.want.modality: {has_no} RTDOS {where} (did you mean 'RTDOSE'?)",
    ]


def test_peers_that_send_under_one_title_are_said_by_check(cli):
    (cli.folder / "p.yaml").write_text(
        "peers:\n"
        "  a: {aetitle: PACS, host: 10.0.0.1, port: 104}\n"
        "  b: {aetitle: PACS, host: 10.0.0.2, port: 104}\n"
        "  c: {aetitle: OTHER, host: 10.0.0.3, port: 104, may_store: [OTHER, C]}\n"
    )
    result = cli("config", "check", "-f", "p.yaml")
    assert (result.code, result.stdout.splitlines()[0]) == (0, "p.yaml: ok")
    assert result.stderr == (
        "note: peers.a and peers.b send as PACS, both: which of them has sent an image that nobody"
        " asked for is not known, so it counts for neither, and the study is asked for\n"
    )
    (cli.folder / "p.yaml").write_text(
        "peers:\n"
        "  a: {aetitle: A, host: 10.0.0.1, port: 104, may_store: [C]}\n"
        "  b: {aetitle: B, host: 10.0.0.2, port: 104, may_store: [C]}\n"
        "  C: {url: 'https://pacs.example.org/dicom-web'}\n"
    )
    result = cli("config", "check", "-f", "p.yaml", "--json")
    (note,) = json.loads(result.stdout)["notes"]
    assert note.startswith("peers.a, peers.b and peers.C send as C, all of them: ")
    assert ", so it counts for none of them," in note


def test_a_named_file_that_is_absent_is_wrong_usage(cli):
    result = cli("config", "show", "-f", "absent.yaml")
    assert (result.code, result.stdout) == (2, "")
    assert "absent.yaml: there is no such file" in result.stderr


@pytest.mark.parametrize("arguments", [["bogus"], ["config", "bogus"], ["db", "init", "--bogus"]])
def test_wrong_usage_is_exit_code_2_without_a_traceback(cli, arguments):
    result = cli(*arguments)
    assert (result.code, result.stdout) == (2, "")
    assert "bogus" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_version_is_printed(cli):
    result = cli.installed("--version")
    assert result.code == 0
    assert result.stdout.startswith("dicom-node ")


def test_python_can_run_it_as_a_module(cli):
    done = subprocess.run(
        [sys.executable, "-m", "node", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == cli.installed("--version").stdout


def test_every_command_has_a_configuration_option_and_help(cli):
    for command in ("init", "show", "check"):
        assert "--config" in cli("config", command, "--help").stdout
    for command in ("init", "upgrade", "current"):
        assert "--config" in cli("db", command, "--help").stdout


def test_a_shell_can_complete_it(cli):
    shown = cli(
        "--show-completion", "bash", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    )
    assert "_dicom_node_completion" in shown.stdout
    completed = cli(
        env={
            "_DICOM_NODE_COMPLETE": "complete_bash",
            "COMP_WORDS": "dicom-node con",
            "COMP_CWORD": "1",
        }
    )
    assert "config" in completed.stdout.split()


def test_a_reader_that_goes_away_leaves_no_complaint(cli):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            cli.args("config", "show"),
            stdout=closed,
            stderr=subprocess.PIPE,
            env=cli.env(),
            cwd=cli.folder,
            text=True,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_text_that_the_terminal_cannot_show_is_no_error(cli):
    (cli.folder / "dicom-node.yaml").write_text("node: {institution: 東京}", encoding="utf-8")
    result = cli("config", "show", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (result.code, result.stderr) == (0, "")
    assert 'institution: "\\u6771\\u4eac"' in result.stdout
    assert yaml.safe_load(result.stdout)["node"]["institution"] == "東京"


def test_help_needs_none_of_the_heavy_libraries(cli):
    code = (
        "import sys\n"
        "from node.cli.app import run\n"
        "run(['--help'])\n"
        "heavy = {'sqlalchemy', 'pydantic', 'pydicom', 'pynetdicom', 'alembic', 'yaml'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_quick(cli):
    def seconds() -> float:
        started = time.monotonic()
        assert cli.installed("--help").code == 0
        return time.monotonic() - started

    assert min(seconds() for _ in range(5)) < 1.0
