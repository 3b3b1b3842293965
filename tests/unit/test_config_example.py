"""The examples in `conf/` and the file that `config init` writes are true."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

from node.config import load
from node.config.problems import every_key
from node.config.show import as_mapping, as_yaml
from node.config.template import TEMPLATE, write_template
from node.errors import ConfigurationError, UsageError

CONF = Path(__file__).resolve().parents[2] / "conf"

UNDOCUMENTED = {"storage.resources_meta"}  # has no effect


def uncommented() -> str:
    """Make a setting of every comment that looks like one."""
    return re.sub(r"(?m)^( *)# ((?:  )?[a-z_]+:(?: \S.*)?)$", _setting, TEMPLATE)


def _setting(match: re.Match[str]) -> str:
    indent, text = match.groups()
    prose = re.match(r"(study|patient|image): ", text)
    return match[0] if prose else f"{indent}{text}"


def test_the_example_is_what_config_init_writes(tmp_path):
    write_template(tmp_path / "node.yaml")
    assert (CONF / "node.yaml").read_text() == (tmp_path / "node.yaml").read_text()


def test_the_example_is_a_configuration(tmp_path):
    config = load(CONF / "node.yaml", environ={}).config
    assert config.peer("pacs").aetitle == "ORTHANC"


def test_the_example_documents_every_key():
    documented = set()

    def collect(prefix: str, value: object) -> None:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                collect(f"{prefix}.{key}".lstrip("."), inner)
        else:
            documented.add(re.sub(r"^(peers|hooks)\.[^.]+", r"\1.<name>", prefix))

    collect("", yaml.safe_load(uncommented()))
    assert documented == set(every_key()) - UNDOCUMENTED


def test_the_settings_in_the_example_s_comments_are_valid_and_the_defaults_are_true(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(uncommented())
    every = load(path, environ={})
    defaults = load(CONF / "node.yaml", environ={}).config
    assert every.config.move.hours is not None
    assert every.config.find.every == 3600
    for section, key in [
        *(("node", key) for key in ("max_associations", "require_called_aetitle", "grace")),
        ("node", "timeouts"),
        ("find", "lookback"),
        *(("move", key) for key in ("settle", "timeout", "retry", "retry_limit")),
    ]:
        assert getattr(getattr(every.config, section), key) == getattr(
            getattr(defaults, section), key
        )
    assert every.config.peer("pacs") == defaults.peer("pacs")


def test_the_minimal_example_has_the_three_keys_of_the_guide():
    text = (CONF / "minimal.yaml").read_text()
    assert list(yaml.safe_load(text)["storage"]) == ["resources", "resources_meta", "directory"]
    assert load(CONF / "minimal.yaml", environ={}).config.storage.resources.startswith("sqlite:")


def test_the_service_unit_runs_the_node_and_gives_it_time_to_drain():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string((CONF / "dicom-node.service").read_text())
    service = unit["Service"]
    assert service["ExecStart"].endswith("dicom-node run")
    assert int(service["TimeoutStopSec"]) >= 30
    assert service["UMask"] == "0077"
    assert service["RestartPreventExitStatus"] == "2"


def test_an_existing_file_is_never_overwritten(tmp_path):
    path = tmp_path / "node.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="there already"):
        write_template(path)
    assert path.read_text() == "mine"


def test_a_dangling_link_is_not_written_through(tmp_path):
    path = tmp_path / "node.yaml"
    path.symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(UsageError, match="there already"):
        write_template(path)
    assert not (tmp_path / "elsewhere.yaml").exists()


def test_a_new_file_is_its_owner_s_and_its_folder_is_made(tmp_path):
    path = tmp_path / "new" / "node.yaml"
    write_template(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_template(tmp_path / "file" / "node.yaml")


def test_what_is_shown_is_a_configuration_with_the_same_meaning(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(uncommented())
    loaded = load(path, environ={})
    shown = tmp_path / "shown.yaml"
    shown.write_text(as_yaml(loaded))
    assert load(shown, environ={}).config == loaded.config
    assert yaml.safe_load(as_yaml(load(environ={}, path=CONF / "minimal.yaml")))["peers"] == {}


def test_what_is_shown_has_no_password(tmp_path):
    environ = {"DICOM_NODE__STORAGE__RESOURCES": "postgresql://node:hunter2@db/node"}
    loaded = load(CONF / "minimal.yaml", environ=environ)
    assert "hunter2" not in as_yaml(loaded) + str(as_mapping(loaded))
    assert "postgresql://node:***@db/node" in as_yaml(loaded)
    assert "# DICOM_NODE__STORAGE__RESOURCES" in as_yaml(loaded)
