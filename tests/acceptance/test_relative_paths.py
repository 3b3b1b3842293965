"""Relative paths in a configuration file start from its folder, wherever a command is typed."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select

from node.config import load
from schema import Database, Image, SyncDatabase
from tests.support.images import generate

TEXT = """\
node: {tls: {certificate: tls/c.pem, key: ../k.pem, client_certificates: ignored}}
storage: {resources: "sqlite:///data/node.db", directory: images}
peers: {my_pacs: {aetitle: PACS, host: h, port: 104, tls: {ca: ca.pem, key: /etc/k.pem}}}
"""


@pytest.fixture
def home(tmp_path) -> Path:
    """Return a folder with a configuration file, beside another one without."""
    (tmp_path / "u1").mkdir()
    (tmp_path / "u2").mkdir()
    (tmp_path / "u1" / "x.yaml").write_text(TEXT)
    return tmp_path


def paths(cli, *arguments, **options):
    result = cli("config", "check", "--json", *arguments, **options)
    assert result.code == 0, result
    return json.loads(result.stdout)["paths"]


def test_a_file_means_the_same_database_from_every_folder(cli, home):
    u1, u2 = home / "u1", home / "u2"
    assert cli("db", "init", "-f", "../u1/x.yaml", cwd=u2).code == 0
    assert (u1 / "data" / "node.db").is_file()
    assert list(u2.iterdir()) == []
    for where, options in (
        (u1, {"cwd": u1}),
        (home, {"cwd": home, "env": {"DICOM_NODE_CONFIG": "u1/x.yaml"}}),
    ):
        arguments = ("-f", where / "x.yaml") if where == u1 else ()
        assert cli("db", "current", *arguments, **options).code == 0
    assert sorted(path.name for path in home.iterdir() if path.is_dir()) == ["cli", "u1", "u2"]


def test_what_is_received_or_parsed_has_one_path_from_wherever_it_was_named(home, monkeypatch):
    found = set()
    for folder, name in (("u1", "x.yaml"), ("u2", "../u1/x.yaml"), (".", "u1/../u1/x.yaml")):
        monkeypatch.chdir(home / folder)
        storage = load(Path(name), environ={}).config.storage
        found.add(str(storage.directory.absolute()))
        assert str(Database(Path(name))).endswith(storage.resources.removeprefix("sqlite:///"))
    assert found == {str(home / "u1" / "images")}


def test_check_shows_all_full_paths(cli, home):
    u1 = home / "u1"
    expected = {
        "node.tls.certificate": f"{u1}/tls/c.pem",
        "node.tls.key": f"{u1}/../k.pem",
        "storage.resources": f"sqlite:///{u1}/data/node.db",
        "storage.directory": f"{u1}/images",
        "peers.my_pacs.tls.ca": f"{u1}/ca.pem",
        "peers.my_pacs.tls.key": "/etc/k.pem",
    }
    assert paths(cli, "-f", "../u1/x.yaml", cwd=home / "u2") == expected
    assert paths(cli, "-f", "x.yaml", cwd=u1) == expected
    shown = cli("config", "check", "-f", "../u1/x.yaml", cwd=home / "u2").stdout
    assert f"  peers.my_pacs.tls.ca: {u1}/ca.pem\n" in shown


def test_the_environment_and_the_command_line_start_from_the_current_folder(cli, home):
    u1, u2 = home / "u1", home / "u2"
    env = {"DICOM_NODE__STORAGE__RESOURCES": "sqlite:///mine.db"}
    found = paths(cli, "-f", "../u1/x.yaml", cwd=u2, env=env)
    assert found["storage.resources"] == f"sqlite:///{u2}/mine.db"
    assert found["storage.directory"] == f"{u1}/images"
    assert cli("db", "init", "-f", "../u1/x.yaml", cwd=u2).code == 0
    assert cli("db", "dump", "-f", "../u1/x.yaml", "-o", "out", cwd=u2).code == 0
    assert (u2 / "out" / "images.csv").is_file()


def test_what_a_file_leaves_out_is_in_its_folder_too(cli, home):
    (home / "u1" / "short.yaml").write_text("node: {port: 104}\n")
    found = paths(cli, "-f", "../u1/short.yaml", cwd=home / "u2")
    assert found == {
        "storage.resources": f"sqlite:///{home}/u1/var/node.db",
        "storage.directory": f"{home}/u1/var/dicom",
    }
    without = paths(cli, cwd=home / "u2")
    assert without["storage.directory"] == f"{home}/u2/var/dicom"


def test_a_link_to_a_file_has_the_folder_of_the_link(cli, home):
    (home / "u2" / "link.yaml").symlink_to(home / "u1" / "x.yaml")
    found = paths(cli, "-f", "u2/link.yaml", cwd=home)
    assert found["storage.directory"] == f"{home}/u2/images"


@pytest.mark.parametrize(
    ("url", "means"),
    [
        ("sqlite:///a.db?mode=rw", "{u1}/a.db?mode=rw"),
        ("sqlite+aiosqlite:///a.db", "{u1}/a.db"),
        ("sqlite:///file:a.db?uri=true", "file:{u1}/a.db?uri=true"),
        ("sqlite:////a.db", "/a.db"),
        ("postgresql://node@db/node", "node@db/node"),
    ],
)
def test_every_way_to_write_a_database_is_understood(cli, home, url, means):
    (home / "u1" / "u.yaml").write_text(json.dumps({"storage": {"resources": url}}))
    found = paths(cli, "-f", "../u1/u.yaml", cwd=home / "u2")["storage.resources"]
    assert found.endswith(means.format(u1=home / "u1"))


def test_python_opens_the_same_database_as_the_command_line(cli, home, monkeypatch):
    assert cli("db", "init", "-f", "../u1/x.yaml", cwd=home / "u2").code == 0
    images = generate(home / "sent", images=1)
    indexed = cli("parse", "-i", images[0].path, "-f", "../u1/x.yaml", cwd=home / "u2")
    assert indexed.code == 0
    monkeypatch.chdir(home / "u2")
    with SyncDatabase("../u1/x.yaml") as database, database.session() as session:
        (image,) = session.scalars(select(Image)).all()
    assert image.filepath == str(images[0].path)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory"])
def test_a_database_in_memory_is_refused_with_what_to_write(cli, url):
    env = {"DICOM_NODE__STORAGE__RESOURCES": url}
    for command in (("db", "init"), ("status",), ("config", "check")):
        result = cli(*command, env=env)
        assert (result.code, result.stdout) == (2, "")
        assert "in memory is gone when the command ends" in result.stderr
        assert "sqlite:///var/node.db" in result.stderr
    mirror = cli("db", "mirror", "--target", url)
    assert (mirror.code, mirror.stdout) == (2, "")
    assert "--target: a database in memory" in mirror.stderr


def test_no_message_names_a_driver_that_nobody_has_written(cli):
    env = {"DICOM_NODE__STORAGE__RESOURCES": "sqlite:///absent.db"}
    for command in (("status",), ("db", "upgrade"), ("verify",)):
        result = cli(*command, env=env)
        assert result.code == 1
        assert "aiosqlite" not in result.stderr
        assert "absent.db" in result.stderr
