"""`dicom-node simulate --behaviour`: files that are wrong, files that are right, and the guide."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from node.errors import ConfigurationError
from node.simulator.misbehaving.reading import read_behaviour
from node.simulator.misbehaving.settings import Misbehaviour
from tests.support.peers import dcmtk
from tests.support.processes import free_port
from tests.support.waiting import wait_until

GUIDE = Path(__file__).parents[2] / "docs/simulating.md"


def blocks(kind):
    text = GUIDE.read_text(encoding="utf-8")
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def keys_of(model):
    for name, field in model.model_fields.items():
        yield name
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if hasattr(inner, "model_fields"):
                yield from keys_of(inner)


def refused(tmp_path, text):
    path = tmp_path / "pacs.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        read_behaviour(path)
    return str(error.value).replace(f"{path}", "FILE")


@pytest.mark.parametrize("number", range(2))
def test_the_guide_s_behaviour_files_are_right(tmp_path, number):
    path = tmp_path / "pacs.yaml"
    path.write_text(blocks("yaml")[number], encoding="utf-8")
    settings = read_behaviour(path)
    assert settings.cap.studies == 500
    assert settings.archive.migrations[0].studies > 0


def test_every_key_is_in_the_guide_s_behaviour_file():
    whole = blocks("yaml")[0]
    missing = [key for key in keys_of(Misbehaviour) if not re.search(rf"\b{key}:", whole)]
    assert missing == []


def test_the_guide_s_program_runs():
    namespace = {}
    exec(blocks("python")[0], namespace)
    asyncio.run(namespace["serve"]())
    assert len(namespace["truth"]) == 1200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "cap: 500",
            "FILE, line 1: cap: a section is needed, with the keys studies, kind, first, status, "
            "comment; it is 500",
        ),
        ("cap: {kind: cut}", "FILE, line 1: cap.studies: is needed"),
        ("\ncap: {studies: 0}", "FILE, line 2: cap.studies: a whole number from 1 on is needed"),
        ("cap: {studies: 5, kind: stop}", "one of cut, empty, refused, announced is needed"),
        ("caps: {studies: 5}", "FILE, line 1: caps: unknown key (did you mean 'cap'?)"),
        (
            "archive:\n  study: 5",
            "FILE, line 2: archive.study: unknown key (did you mean 'studies'",
        ),
        ("archive: {studies: 5, undated: 6}", "make up 6 studies, more than the 5 of studies"),
        ("archive: {migrations: [{studies: x}]}", "archive.migrations.0.studies: a whole number"),
        ("ignore: [StudyDat]", "the keyword of an attribute that the simulator answers"),
        ("omit: {StudyDate: 2}", "omit.StudyDate: a share from 0 to 1 is needed, such as 0.05"),
        ("no_date: maybe", "one of honest, ignored, nothing, refused is needed; it is 'maybe'"),
        ("uid_lists: second", "one of honest, first, ignored, nothing, refused is needed"),
        ("refuse: {first: 1, status: 0}", "a status that is no Success and not Pending"),
        ("refusal: {status: 0x1A700}", "a status that is no Success and not Pending"),
        ("slow: {answer: fast}", "slow.answer: seconds are needed, from 0 to 3600"),
        ("charset: {written: klingon}", "Python knows no encoding 'klingon'"),
        ("levels: [STUDIES]", "one of PATIENT, STUDY, SERIES, IMAGE is needed; it is 'STUDIES'"),
        ("late: {share: 0.1, after_second: 5}", "did you mean 'after_seconds'?"),
        ("miscount: {NumberOfStudyRelatedSeries: few}", "a whole number is needed, such as -5"),
        ("cap: {studies: 5", "FILE, line 1: not valid YAML"),
        ("retrieval: {stall: {att: pdu}}", "retrieval.stall.att: unknown key (did you mean 'at'?)"),
        ("retrieval: {failure: []}", "retrieval.failure: unknown key (did you mean 'failures'?)"),
        (
            "retrieval:\n  failures:\n    - {status: 0xFF00}",
            "FILE, line 2: retrieval.failures.0.status: a status that is no Success",
        ),
        ("retrieval: {last: {status: 0xFF00}}", "a status that is not Pending is needed, such as"),
        ("retrieval: {levels: {SERIES: all}}", "one of honest, study, nothing, refused is needed"),
        ("retrieval: {miscount: {sent: 1}}", "one of remaining, completed, failed, warning is"),
        ("retrieval: {calling: ''}", "an AE title has 1 to 16 ASCII characters"),
        ("capacity: {workers: 0}", "capacity.workers: a whole number from 1 on is needed"),
        ("archive: {image_bytes: [9, 8]}", "image_bytes is two numbers, the smaller one first"),
        ("- cap", "FILE: keys are needed, such as cap: or archive:"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_its_key_and_what_would_be_right(
    tmp_path, text, message
):
    assert message in refused(tmp_path, text)


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    said = refused(tmp_path, "cap: {studies: x}\ntwice: 7\nslient: {every: 2}")
    assert said.startswith("the behaviour has 3 errors:")
    assert all(word in said for word in ("line 1: cap.studies", "line 2: twice", "line 3: slient"))


def test_an_empty_file_is_an_honest_pacs(tmp_path):
    path = tmp_path / "pacs.yaml"
    path.write_text("# nothing yet\n", encoding="utf-8")
    assert read_behaviour(path) == Misbehaviour()


def test_a_wrong_file_is_wrong_usage_and_nothing_is_served(cli, tmp_path):
    path = tmp_path / "pacs.yaml"
    path.write_text("capp: {studies: 5}\n", encoding="utf-8")
    code, out, err = cli("simulate", "--behaviour", path, "--port", "0")
    assert (code, out) == (2, "")
    assert f"{path}, line 1: capp: unknown key (did you mean 'cap'?)" in err


def test_options_that_contradict_one_another_are_refused(cli, tmp_path):
    path = tmp_path / "pacs.yaml"
    path.write_text("archive: {studies: 5}\n", encoding="utf-8")
    for contradicting in ((tmp_path,), ("--withhold", "2")):
        code, _, err = cli("simulate", *contradicting, "--behaviour", path, "--port", "0")
        assert code == 2
        assert "has studies made up, and those are served; leave out" in err
    code, _, err = cli("simulate", "--counters", tmp_path / "counters.json", "--port", "0")
    assert code == 2
    assert "--counters needs --behaviour FILE" in err
    missing = tmp_path / "nowhere" / "counters.json"
    code, _, err = cli("simulate", "--behaviour", path, "--counters", missing, "--port", "0")
    assert code == 2
    assert f"the folder {missing.parent} does not exist" in err


@pytest.mark.peers
def test_the_command_serves_made_up_studies_and_says_what_it_was_asked(cli, tmp_path):
    path = tmp_path / "pacs.yaml"
    path.write_text(
        "archive: {studies: 400, end_date: 2005-01-31}\ncap: {studies: 50}\n"
        "retrieval: {empty: {first: 1}}\n"
    )
    port, counters = free_port(), tmp_path / "counters.json"
    process = cli.start(
        *("simulate", "--behaviour", path, "--port", str(port), "--counters", counters),
        log=tmp_path / "pacs.log",
    )
    process.wait_for_port(port)
    done, answers = dcmtk.findscu(port, "StudyInstanceUID", "StudyDate=20050101-", called="PACS")
    assert (done.code, len(answers)) == (0, 50)
    key = f"StudyInstanceUID={answers[0].StudyInstanceUID}"
    got = [
        len(dcmtk.getscu(port, key, called="PACS", folder=tmp_path / f"got{n}")[1])
        for n in range(2)
    ]
    assert got[0] == 0 < got[1]
    wait_until(lambda: json.loads(counters.read_text())["retrieval"]["images"] == got[1])
    assert process.terminate() == 0
    counted = json.loads(counters.read_text())
    assert (counted["answers"], counted["retrieval"]["gets"]) == (50, 2)
    assert counted["associations"]["most_of"] == {"FINDSCU": 1, "GETSCU": 1}
    assert counted["associations"]["open"] == {}
    log = (tmp_path / "pacs.log").read_text(encoding="utf-8")
    assert "PACS: 400 studies, made up\nmoves to NODE at 127.0.0.1:11112\n" in log
    assert "misbehaves: cap, retrieval.empty\nlistening on" in log
    assert "1 question: 50 answers, 0 refused, 0 broken off, 0 never answered" in log
    assert f"2 retrievals: {got[1]} images, 0 failed, 1 empty, 0 left out" in log
