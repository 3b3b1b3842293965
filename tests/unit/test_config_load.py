"""Loading: which file, what overrides what, and what is said when something is wrong."""

from pathlib import Path

import pytest

from node.config import InvalidConfiguration, load, load_config
from node.config.load import candidates
from node.config.problems import every_key
from node.errors import ConfigurationError
from schema import Database
from schema.errors import InvalidDatabaseSource

THREE_KEYS = """\
storage:
  resources: "sqlite:///resources.db"
  resources_meta: ""
  directory: ""
"""


@pytest.fixture(autouse=True)
def empty_home(tmp_path, monkeypatch):
    """Work in an empty directory, with an empty home and nothing in the environment."""
    for name in ("DICOM_NODE_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def write(text: str, path: str = "node.yaml") -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def errors(text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(InvalidConfiguration) as caught:
        load(write(text), environ=environ or {})
    return [str(problem) for problem in caught.value.problems]


def test_without_any_file_there_are_defaults():
    loaded = load()
    assert loaded.path is None
    assert loaded.config.storage.resources == "sqlite:///var/node.db"
    assert loaded.config.storage.directory == Path("var/dicom")
    assert loaded.config.node.require_called_aetitle is True


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "node:\npeers:\nfind:\n"])
def test_an_empty_file_and_empty_sections_are_defaults(text):
    assert load_config(write(text), environ={}) == load_config(environ={})


def test_the_three_keys_of_the_guide_are_enough():
    config = load_config(write(THREE_KEYS))
    assert config.storage.resources == "sqlite:///resources.db"
    assert config.storage.directory == Path("var/dicom")


def test_the_named_file_comes_before_the_variable_the_working_directory_and_the_home(
    empty_home, monkeypatch
):
    named = write("node: {aetitle: NAMED}", "named.yaml")
    monkeypatch.setenv(
        "DICOM_NODE_CONFIG", str(write("node: {aetitle: VARIABLE}", "variable.yaml"))
    )
    here = write("node: {aetitle: HERE}", "dicom-node.yaml")
    write("node: {aetitle: HOME}", f"{empty_home}/.config/dicom-node/config.yaml")

    assert load_config(named).node.aetitle == "NAMED"
    assert load_config().node.aetitle == "VARIABLE"
    monkeypatch.delenv("DICOM_NODE_CONFIG")
    assert load_config().node.aetitle == "HERE"
    here.unlink()
    assert load_config().node.aetitle == "HOME"


def test_the_configuration_directory_of_the_desktop_is_respected(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert candidates(environ)[-1] == tmp_path / "dicom-node" / "config.yaml"


def test_a_named_file_that_is_absent_is_an_error():
    with pytest.raises(ConfigurationError, match=r"absent\.yaml: there is no such file"):
        load(Path("absent.yaml"))
    with pytest.raises(ConfigurationError, match=r"\$DICOM_NODE_CONFIG: absent\.yaml"):
        load(environ={"DICOM_NODE_CONFIG": "absent.yaml"})
    with pytest.raises(ConfigurationError, match="is not a file"):
        load(Path())


def test_the_environment_overrides_the_file_and_flags_override_both():
    file = write("node: {port: 1, host: a, aetitle: FILE}")
    environ = {"DICOM_NODE__NODE__PORT": "2", "DICOM_NODE__NODE__HOST": "b"}
    node = load_config(file, environ=environ, flags={"node.port": 3, "node.aetitle": None}).node
    assert (node.port, node.host, node.aetitle) == (3, "b", "FILE")


def test_the_environment_is_enough_without_a_file():
    config = load_config(
        environ={
            "DICOM_NODE__STORAGE__DIRECTORY": "/data",
            "DICOM_NODE__PEERS__PACS__AETITLE": "PACS",
            "DICOM_NODE__PEERS__PACS__HOST": "pacs",
            "DICOM_NODE__PEERS__PACS__PORT": "104",
            "DICOM_NODE__PEERS__PACS__TIMEOUTS__DIMSE": "2m",
            "DICOM_NODE__FIND__PEERS": "pacs",
            "DICOM_NODE__NODE__REQUIRE_CALLED_AETITLE": "false",
            "DICOM_NODE__NODE__ALLOWED_CALLING": "A, B",
        }
    )
    assert config.storage.directory == Path("/data")
    assert config.peer("pacs").port == 104
    assert config.peer("pacs").timeouts.dimse == 120
    assert config.node.require_called_aetitle is False
    assert config.node.allowed_calling == ("A", "B")


def test_a_duration_of_the_environment_has_the_same_most():
    (problem,) = errors("", {"DICOM_NODE__MOVE__EVERY": "99999999d"})
    assert "DICOM_NODE__MOVE__EVERY" in problem
    assert "no duration may be longer than 36525d" in problem


def test_a_variable_changes_the_peer_that_the_file_has_whatever_its_spelling():
    file = write("peers: {Main-PACS: {aetitle: PACS, host: pacs, port: 104}}")
    config = load_config(file, environ={"DICOM_NODE__PEERS__MAIN_PACS__PORT": "11112"})
    assert list(config.peers) == ["Main-PACS"]
    assert config.peer("Main-PACS").port == 11112


def test_a_variable_may_hold_a_whole_section():
    environ = {
        "DICOM_NODE__PEERS": '{"pacs": {"aetitle": "PACS", "ip": "pacs", "port": 104}}',
        "DICOM_NODE__PEERS__PACS__PORT": "11112",
    }
    peer = load_config(environ=environ).peer("pacs")
    assert (peer.host, peer.port) == ("pacs", 11112)


def test_an_empty_variable_counts_as_absent():
    assert load_config(environ={"DICOM_NODE__NODE__PORT": " "}).node.port == 11112


def test_every_setting_knows_where_it_came_from():
    file = write("node:\n  port: 1\n  host: a\n")
    loaded = load(file, environ={"DICOM_NODE__NODE__HOST": "b"}, flags={"node.aetitle": "X"})
    origins = {
        key: (loaded.origin(("node", key)).kind, loaded.origin(("node", key)).where)
        for key in ("port", "host", "aetitle", "grace")
    }
    assert origins == {
        "port": ("file", "node.yaml, line 2"),
        "host": ("environment", "DICOM_NODE__NODE__HOST"),
        "aetitle": ("flag", "--aetitle"),
        "grace": ("default", ""),
    }


@pytest.mark.parametrize(
    ("text", "key", "guess"),
    [
        ("nod: {}", "nod", "node"),
        ("node:\n  aetitel: X", "node.aetitel", "node.aetitle"),
        ("storage: {directroy: x}", "storage.directroy", "storage.directory"),
        ("node: {timeouts: {dimsee: 1}}", "node.timeouts.dimsee", "node.timeouts.dimse"),
        ("peers: {p: {aetitle: A, host: h, port: 1, prot: 1}}", "peers.p.prot", "peers.p.port"),
        ("move: {evry: 1h}", "move.evry", "move.every"),
        ("lookback: 1d", "lookback", "find.lookback"),
        ("net: {caled_node: {}}", "net.caled_node", "net.called_node"),
        ("database: {url: x}", "database", "storage.resources"),
        ("node: {may_find: [A]}", "node.may_find", "peers.<name>.may_query"),
        *(
            (
                f"peers: {{p: {{aetitle: A, host: h, port: 1, {wrong}: [A]}}}}",
                f"peers.p.{wrong}",
                right,
            )
            for wrong, right in (
                ("may_move", "peers.p.may_retrieve"),
                ("AllowGet", "peers.p.may_retrieve"),
                ("may_find", "peers.p.may_query"),
                ("allow_c_find", "peers.p.may_query"),
                ("allow-storage-commitment", "peers.p.may_commit"),
                ("may_stor", "peers.p.may_store"),
            )
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_path_its_line_and_the_nearest_known_key(
    text, key, guess
):
    (problem,) = errors(text)
    line = text.count("\n") + 1
    assert problem.startswith(f"node.yaml, line {line}: {key}: unknown key (did you mean {guess}?)")


@pytest.mark.parametrize("value", ["true", "1", "{VIEWER: true}"])
def test_what_are_no_ae_titles_is_refused_with_an_example(value):
    (problem,) = errors(f"peers: {{p: {{aetitle: A, host: h, port: 1, may_query: {value}}}}}")
    wanted = "peers.p.may_query: AE titles are needed, such as [VIEWER], or [] for none; it is"
    assert wanted in problem


def test_an_unknown_variable_is_refused_by_its_name():
    problems = errors("", {"DICOM_NODE__STORAGE__DIRECTROY": "x", "DICOM_NODE__XYZ": "x"})
    assert problems[0].startswith(
        "DICOM_NODE__STORAGE__DIRECTROY: storage.directroy: unknown key "
        "(did you mean storage.directory?)"
    )
    assert problems[1].startswith("DICOM_NODE__XYZ: xyz: unknown key; known here: node, storage")


def test_a_wrong_value_is_refused_with_what_it_is_and_what_is_allowed():
    (problem,) = errors("node:\n  port: 70000\n")
    assert problem == (
        "node.yaml, line 2: node.port: a port is a whole number from 1 to 65535; it is 70000"
    )
    (problem,) = errors("", {"DICOM_NODE__NODE__PORT": "abc"})
    assert problem.startswith("DICOM_NODE__NODE__PORT: node.port: ")
    assert problem.endswith("it is 'abc'")


def test_a_wrong_title_of_ours_is_reported_once_though_peers_inherit_it():
    problems = errors(
        "node: {aetitle: ABCDEFGHIJKLMNOPQ}\npeers: {p: {aetitle: A, host: h, port: 1}}"
    )
    assert len(problems) == 1
    assert "this one has 17 characters" in problems[0]


def test_all_errors_are_reported_at_once():
    text = "node: {port: 0}\npeers: {p: {aetitle: A}}\nlog: {level: loud}\n"
    problems = errors(text, {"DICOM_NODE__MOVE__EVERY": "sometimes"})
    assert [problem.split(": ")[1] for problem in problems] == [
        "node.port",
        "peers.p.host",
        "peers.p.port",
        "move.every",
        "log.level",
    ]
    assert "one of debug, info, warning, error is needed; it is 'loud'" in problems[-1]


def test_a_peer_that_a_cycle_names_has_to_exist():
    problems = errors(
        "peers: {pacs: {aetitle: A, host: h, port: 1}}\nfind: {peers: [pacs, pasc]}\n"
        "move: {peers: [other]}\n"
    )
    assert problems[0].startswith("node.yaml, line 2: find.peers: no peer is named 'pasc'")
    assert problems[1].startswith("node.yaml, line 3: move.peers: no peer is named 'other'")


@pytest.mark.parametrize(
    "text",
    ["node: 3", "peers: [a, b]", "node: text", "peers: {pacs: 3}", "node: {timeouts: 30}"],
)
def test_a_value_where_a_section_belongs_is_refused(text):
    (problem,) = errors(text)
    assert "a section" in problem


def test_a_peer_s_name_has_to_be_one_word():
    problems = errors('peers: {"my pacs": {aetitle: A, host: h, port: 1}}')
    assert "up to 64 letters, digits, - and _" in problems[0]


def test_a_peer_cannot_be_given_another_name():
    (problem,) = errors("peers: {p: {aetitle: A, host: h, port: 1, name: x}}")
    assert "peers.p.name: unknown key" in problem


def test_a_database_of_another_kind_is_a_mistake_of_the_configuration():
    (problem,) = errors("storage: {resources: 'sqlite://node.db'}")
    assert "'sqlite://node.db'" in problem
    assert "the path of a file follows a third slash: sqlite:///node.db" in problem
    with pytest.raises(InvalidDatabaseSource, match="a third slash: sqlite:///node.db"):
        Database("sqlite://node.db")
    (problem,) = errors("storage: {resources: 'var/node.db'}")
    assert "'var/node.db'" in problem
    for secret in ("node:hunter2@db", "password=hunter2", "hunter 2"):
        (problem,) = errors(f"storage: {{resources: '{secret}'}}")
        assert "hunter" not in problem
    (problem,) = errors("storage: {resources: 'mysql://p:q@127.0.0.1:1/x'}")
    assert "'mysql' is not supported: use sqlite:///… or postgresql://…" in problem
    for url in ("postgres://h/x", "postgresql+asyncpg://h/x", "sqlite+aiosqlite:///x.db"):
        assert loaded_resources(url) == url


@pytest.mark.parametrize("port", ["99999", "0", "x", "5432x", "-1"])
def test_a_database_has_a_port_that_there_can_be(port):
    for place in (f"u:hunter2@h:{port}", f"[::1]:{port}", f"h:{port}"):
        (problem,) = errors(f"storage: {{resources: 'postgresql://{place}/x?a=b:c'}}")
        assert "the port of a database is a number from 1 to 65535" in problem
        assert "hunter2" not in problem
    for url in ("postgresql://u:p:q@h/x", "postgresql://h:5432/x", "postgresql://u:p/q@[::1]:1/x"):
        assert loaded_resources(url) == url


def loaded_resources(url):
    values = {"DICOM_NODE__STORAGE__RESOURCES": url}
    return load(None, environ=values).config.storage.resources


def test_no_message_shows_a_password():
    for url in ("postgresql:/u:hunter2@h/x", "u:hunter2@h/x"):
        (problem,) = errors(f'storage: {{resources: "{url}"}}')
        assert "hunter2" not in problem
    problems = errors(
        "node: {port: 0}", {"DICOM_NODE__STORAGE__RESOURCES": "postgresql://u:hunter2@h/x"}
    )
    assert "hunter2" not in "".join(problems)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("node:\n  port: [1\nlog: {}\n", 3),
        ("node:\n\tport: 1\n", 2),
        ("a: b: c\n", 1),
        ("node: {port: 1}\n---\nlog: {}\n", 2),
        ("node: !!python/object:os.system {}\n", 1),
    ],
)
def test_what_is_not_yaml_is_refused_with_the_line(text, line):
    with pytest.raises(ConfigurationError, match=rf"^node\.yaml, line {line}: not valid YAML"):
        load(write(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- node\n", "sections are needed"),
        ("just text\n", "sections are needed"),
        ("node: {port: 1}\nnode: {port: 2}\n", "line 2: node is there twice, first in line 1"),
        ("node: &n {timeouts: *n}\n", "an alias contains itself"),
        ("node: {port: !!int x}\n", "not valid YAML"),
        ("[" * 2000, "not valid YAML"),
    ],
)
def test_other_files_that_cannot_be_a_configuration_are_refused(text, said):
    with pytest.raises(ConfigurationError, match=said):
        load(write(text))


def test_a_file_that_is_no_text_is_refused():
    path = Path("node.yaml")
    path.write_bytes(b"\xff\xfe\x00n")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load(path)


def test_a_byte_order_mark_and_json_are_accepted():
    path = write('{"node": {"port": 104}}')
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_config(path).node.port == 104


def test_yaml_anchors_may_share_settings():
    text = """\
peers:
  a: &pacs {aetitle: A, host: h, port: 104}
  b:
    <<: *pacs
    aetitle: B
"""
    config = load_config(write(text))
    assert (config.peer("b").aetitle, config.peer("b").port) == ("B", 104)


def test_every_key_can_be_named():
    keys = every_key()
    assert {"node.timeouts.acse", "peers.<name>.timeouts.connect", "move.hours"} <= set(keys)
    assert "peers.<name>.name" not in keys
