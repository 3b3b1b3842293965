"""A configuration of pacsanini means here what it meant there."""

import copy

import pytest

from node.config import InvalidConfiguration, load
from node.config.pacsanini import translate

SETTINGS = {
    "find": {
        "start_date": 20200101,
        "end_date": "2020-12-31",
        "modality": "CT",
        "search_fields": ["PatientID", "StudyDate"],
        "query_level": "STUDY",
    },
    "move": {"start_time": 1200, "end_time": "06:00", "query_level": "STUDY"},
    "net": {
        "local_node": {"aetitle": "LOCAL", "ip": "127.0.0.1", "port": 11112},
        "called_node": {"aetitle": "PACS", "ip": "10.0.0.1", "port": 104},
        "dest_node": {"aetitle": "DEST", "ip": "127.0.0.2", "port": 11113},
    },
    "storage": {
        "resources": "sqlite:///resources.db",
        "resources_meta": "",
        "directory": "dicom",
        "sort_by": "PATIENT",
    },
}


def settings(**changes: object) -> dict:
    return copy.deepcopy(SETTINGS) | changes


def test_every_setting_is_translated():
    result = translate(SETTINGS)
    assert result.problems == []
    assert result.values == {
        "node": {"aetitle": "DEST", "host": "127.0.0.2", "port": 11113},
        "peers": {
            "pacs": {
                "aetitle": "PACS",
                "host": "10.0.0.1",
                "port": 104,
                "calling_aetitle": "LOCAL",
            }
        },
        "find": {
            "start_date": 20200101,
            "end_date": "2020-12-31",
            "modality": "CT",
            "search_fields": ["PatientID", "StudyDate"],
        },
        "move": {"hours": "20:00-06:00"},
        "storage": {
            "resources": "sqlite:///resources.db",
            "resources_meta": "",
            "directory": "dicom",
            "layout": "patient",
        },
    }


def test_the_translation_changes_nothing_that_it_was_given():
    before = copy.deepcopy(SETTINGS)
    translate(SETTINGS)
    assert before == SETTINGS


def test_without_a_destination_we_are_the_local_node():
    net = {key: value for key, value in SETTINGS["net"].items() if key != "dest_node"}
    values = translate(settings(net=net)).values
    assert values["node"] == {"aetitle": "LOCAL", "host": "127.0.0.1", "port": 11112}
    assert "calling_aetitle" not in values["peers"]["pacs"]


def test_our_own_settings_are_left_as_they_are():
    ours = {
        "node": {"aetitle": "NODE", "port": 104},
        "peers": {"pacs": {"aetitle": "A", "host": "h", "port": 1}},
        "move": {"hours": "20:00-06:00"},
    }
    assert translate(ours).values == ours


@pytest.mark.parametrize("sort_by", ["PATIENT", "STUDY", "IMAGE", "image"])
def test_the_sort_order_is_a_layout(sort_by):
    assert translate({"storage": {"sort_by": sort_by}}).values == {
        "storage": {"layout": sort_by.lower()}
    }


def test_an_ip_is_a_host():
    values = translate({"node": {"ip": "a"}, "peers": {"p": {"ip": "b"}}}).values
    assert values == {"node": {"host": "a"}, "peers": {"p": {"host": "b"}}}


@pytest.mark.parametrize("given", ["start_time", "end_time"])
def test_a_start_without_an_end_is_refused(given):
    (problem,) = translate({"move": {given: "20:00"}}).problems
    assert problem[0] == ("move", given)
    assert "both, or neither" in problem[2]


def test_a_start_and_an_end_that_are_null_mean_any_time():
    result = translate({"move": {"start_time": None, "end_time": None}})
    assert (result.values, result.problems) == ({"move": {}}, [])


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"find": {"query_level": "FRAME"}}, ("find", "query_level")),
        ({"move": {"start_time": "8pm", "end_time": "06:00"}}, ("move", "start_time")),
        ({"net": {"local_node": "LOCAL"}}, ("net", "local_node")),
        ({"net": {"called_node": {"aet": "X"}}}, ("net", "called_node", "aet")),
        ({"net": {"local_node": {"aetitle": "A" * 17}}}, ("net", "local_node", "aetitle")),
        ({"storage": {"sort_by": "STUDY", "layout": "image"}}, ("storage", "sort_by")),
        (
            {"net": {"called_node": {"aetitle": "A"}}, "peers": {"pacs": {"aetitle": "B"}}},
            ("net", "called_node", "aetitle"),
        ),
    ],
)
def test_what_cannot_be_translated_is_refused_under_its_own_name(values, key):
    assert [problem[0] for problem in translate(values).problems] == [key]


def test_settings_without_effect_are_noted():
    notes = translate({"find": {"query_level": "PATIENT"}}).notes
    assert [note.split(" has ")[0] for note in notes] == ["find.query_level"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("email: {username: x}", "email"),
        ("net: {other_node: {}}", "net.other_node"),
        ("find: {start: 20200101}", "find.start"),
        ("storage: {sort_by: SERIES}", "storage.sort_by"),
        ("net: {called_node: {aetitle: A, ip: h, port: 0}}", "net.called_node.port"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_as_it_is_written_there(tmp_path, text, key):
    path = tmp_path / "pacsanini.yaml"
    path.write_text(text)
    with pytest.raises(InvalidConfiguration) as caught:
        load(path, environ={})
    assert [problem.key for problem in caught.value.problems] == [key]
    assert caught.value.problems[0].where == f"{path}, line 1"


def test_a_file_with_unquoted_times_is_loaded(tmp_path):
    path = tmp_path / "pacsanini.yaml"
    path.write_text("move:\n  start_time: 20:00\n  end_time: 6:00\n")
    config = load(path, environ={}).config
    assert str(config.move.hours) == "20:00-06:00"
