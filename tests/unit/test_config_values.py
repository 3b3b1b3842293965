"""The kinds of values that settings have."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from node.config import Config, Duration, PeerSettings, mask_url
from node.config.durations import LONGEST, whole_days
from node.errors import ConfigurationError

PEER = {"aetitle": "PACS", "host": "pacs.example.org", "port": 104}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1 h 30 m", 5400),
        ("7d", 604800),
        ("2W", 1209600),
        ("0.5h", 1800),
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
    ],
)
def test_durations_are_read_as_people_write_them(value, seconds):
    assert Duration.parse(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "soon", "3y", "-1h", -1, "1h soon", True, None, "nan", "inf"]
)
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match="a duration is needed"):
        Duration.parse(value)


@pytest.mark.parametrize(
    "value", ["36525d1s", "36526d", "99999999d", "9" * 400 + "d", "1e30", 3155760001, 10**400]
)
@pytest.mark.parametrize("read", [Duration.parse, whole_days])
def test_what_is_too_long_to_reckon_with_dates_is_refused_with_the_most(read, value):
    with pytest.raises(ValueError, match="no duration may be longer than 36525d, a hundred years"):
        read(value)
    assert read("36525d").text == "36525d"


def durations_in(annotation, path=()):
    """Yield the names that lead to the durations of a model."""
    if get_origin(annotation) is Mapping:
        path = (*path, "x")
    elif isinstance(annotation, type) and issubclass(annotation, Duration):
        yield path
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            yield from durations_in(field.annotation, (*path, name))
    for inner in get_args(annotation):
        yield from durations_in(inner, path)


def config_with(duration):
    """Return a configuration in which each duration is this one, and where they are."""
    names = set(durations_in(Config))
    values = {
        "peers": {"x": dict(PEER)},
        "hooks": {"x": {"events": ["alarm"], "command": ["true"]}},
    }
    for path in names:
        inner = values
        for name in path[:-1]:
            inner = inner.setdefault(name, {})
        inner[path[-1]] = duration
    return values, names


def test_every_duration_of_the_configuration_has_the_same_most():
    values, names = config_with("36526d")
    assert {("hooks", "x", "keep"), ("peers", "x", "budget", "duration")} < names
    with pytest.raises(ValidationError) as refused:
        Config(**values)
    said = {error["loc"]: error["msg"] for error in refused.value.errors()}
    assert set(said) == names
    assert all("longer than 36525d" in message for message in said.values())
    longest = Config(**config_with("36525d")[0])
    for path in names:
        setting = longest
        for name in path:
            setting = setting[name] if isinstance(setting, Mapping) else getattr(setting, name)
        assert setting == LONGEST, path


@given(st.integers(min_value=0, max_value=10**9) | st.floats(min_value=0.5, max_value=1e4))
def test_a_duration_s_text_means_the_same_duration(seconds):
    assert Duration.parse(Duration(seconds).text) == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize("aetitle", ["A", "ABCDEFGHIJKLMNOP", "  PACS  ", "my pacs!", "~^"])
def test_ae_titles_of_the_standard_s_form_are_accepted(aetitle):
    assert Config(node={"aetitle": aetitle}).node.aetitle == aetitle.strip()


@pytest.mark.parametrize(
    "aetitle",
    [
        "",
        "   ",
        "ABCDEFGHIJKLMNOPQ",
        "A\\B",
        "A\nB",
        "A\x00",
        "A\x7f",
        "ÄRZTE",
        "\tA",
        1234,
        False,
        None,
    ],
)
def test_other_ae_titles_are_refused(aetitle):
    with pytest.raises(ValidationError, match="1 to 16 ASCII characters"):
        Config(node={"aetitle": aetitle})


@pytest.mark.parametrize("port", [1, 104, 11112, 65535, "11112"])
def test_ports_are_accepted(port):
    assert Config(node={"port": port}).node.port == int(port)


@pytest.mark.parametrize("port", [0, -1, 65536, "abc", "", 104.0, True, None, [104]])
def test_bad_ports_are_refused(port):
    with pytest.raises(ValidationError, match="from 1 to 65535"):
        Config(node={"port": port})


@pytest.mark.parametrize(
    "host", ["", " ", "a b", "a\nb", 12, None, "a..b", "a" * 64, "é" * 64, "a\udcff"]
)
def test_bad_hosts_are_refused(host):
    with pytest.raises(ValidationError, match="host name"):
        Config(node={"host": host})


@pytest.mark.parametrize("host", ["::1", "fe80::1%eth0", "10.0.0.5", "a" * 63, "pacs.", "é.org"])
def test_other_hosts_are_taken_as_they_are(host):
    assert Config(node={"host": host}).node.host == host


@pytest.mark.parametrize("text", ["x\udcff", "x\0"])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(ValidationError, match="text in UTF-8 is needed"):
        Config(node={"institution": text})


@pytest.mark.parametrize("layout", ["study", "STUDY", "Study"])
def test_a_layout_s_case_does_not_matter(layout):
    assert Config(storage={"layout": layout}).storage.layout.value == "study"


@pytest.mark.parametrize("off", [None, False, "off", "never", "false"])
def test_a_cycle_can_be_turned_off(off):
    config = Config(peers={"pacs": PEER}, find={"every": off}, move={"every": off})
    assert config.find.every is None
    assert config.move.every is None


@pytest.mark.parametrize("value", ["CT,MR", ["CT", "MR"], "[CT, MR]"])
def test_a_list_may_be_one_text(value):
    assert Config(find={"modality": value}).find.modality == ("CT", "MR")


@pytest.mark.parametrize("value", ["20240131", "2024-01-31", 20240131, date(2024, 1, 31)])
def test_a_day_is_read_in_every_shape(value):
    assert Config(find={"start_date": value}).find.start_date == date(2024, 1, 31)


@pytest.mark.parametrize("value", ["2024-02-30", "yesterday", 2024])
def test_what_is_no_day_is_refused(value):
    with pytest.raises(ValidationError, match="a date is needed"):
        Config(find={"start_date": value})


def test_find_dates_in_the_wrong_order_are_refused():
    with pytest.raises(ValidationError, match=r"before find\.start_date"):
        Config(find={"start_date": "2024-02-01", "end_date": "2024-01-01"})


def test_the_configuration_cannot_be_changed():
    config = Config(peers={"pacs": PEER})
    with pytest.raises(ValidationError, match="frozen"):
        config.node = config.node
    with pytest.raises(ValidationError, match="frozen"):
        config.node.port = 104
    with pytest.raises(TypeError):
        config.peers["other"] = config.peers["pacs"]


def test_an_object_made_by_hand_reads_no_environment(monkeypatch):
    monkeypatch.setenv("NODE", "{}")
    monkeypatch.setenv("STORAGE", '{"directory": "/elsewhere"}')
    monkeypatch.setenv("DICOM_NODE__STORAGE__DIRECTORY", "/elsewhere")
    assert str(Config().storage.directory) == "var/dicom"


def test_a_peer_knows_its_name_and_is_called_by_our_title():
    config = Config(
        node={"aetitle": "ME"},
        peers={"pacs": PEER, "other": {**PEER, "calling_aetitle": "SOMEBODY"}},
    )
    assert config.peer("pacs").name == "pacs"
    assert config.peer("pacs").calling_aetitle == "ME"
    assert config.peer("other").calling_aetitle == "SOMEBODY"
    by_hand = Config(node={"aetitle": "YOU"}, peers={"pacs": PeerSettings(**PEER)})
    assert by_hand.peer("pacs").calling_aetitle == "YOU"
    assert by_hand.peer("pacs").name == "pacs"


def test_an_unknown_peer_is_an_error_that_lists_those_there_are():
    config = Config(peers={"pacs": PEER, "archive": PEER})
    with pytest.raises(
        ConfigurationError, match=r"'pacz' \(did you mean 'pacs'\?\); known are: pacs, archive"
    ):
        config.peer("pacz")
    with pytest.raises(ConfigurationError, match="the configuration has none"):
        Config().peer("pacs")


def test_cycles_ask_all_peers_unless_some_are_named():
    both = {"pacs": PEER, "archive": PEER}
    named = Config(peers=both, find={"peers": ["archive"]}, move={"peers": "pacs"})
    assert [peer.name for peer in named.find_peers] == ["archive"]
    assert [peer.name for peer in named.move_peers] == ["pacs"]
    assert [peer.name for peer in Config(peers=both).find_peers] == ["pacs", "archive"]


def test_a_cycle_without_a_peer_to_ask_is_refused():
    with pytest.raises(ValidationError, match="no peer to ask"):
        Config(find={"every": "1h"})


def test_a_peer_s_hours_hold_beside_the_general_ones_and_holidays_with_both():
    """2026-01-01 is a Thursday."""
    weekdays, weekend = "mon-fri 20:00-06:00 UTC", "sat-sun 00:00-24:00"
    config = Config(
        peers={
            "pacs": {**PEER, "hours": "18:00-22:00 UTC"},
            "archive": {**PEER, "hours": "00:00-24:00 UTC", "holidays": ["01-01"]},
            "any": PEER,
        },
        find={"hours": [weekdays, weekend], "holidays": "01-01,2026-12-24", "holidays_as": "SAT"},
        move={"hours": f"{weekdays}; {weekend}", "holidays": date(2026, 12, 24)},
    )
    assert config.find.holidays == ("01-01", "2026-12-24")
    noon, night = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (12, 21))
    for name, at_noon, at_midnight in (
        ("pacs", False, False),
        ("archive", True, True),
        ("any", True, True),
    ):
        assert config.find_hours(name).contains(noon) is at_noon
        assert config.find_hours(name).contains(night)
        assert config.find_hours(name).contains(night + timedelta(hours=2)) is at_midnight
        assert not config.move_hours(name).contains(noon)
        assert config.move_hours(name).contains(night)
    assert str(config.find_hours("pacs")) == (
        "mon-fri 20:00-06:00, sat-sun 00:00-24:00 UTC and 18:00-22:00 UTC"
    )
    assert Config(peers={"any": PEER}).find_hours("any").contains(noon)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"find": {"holidays": ["12-25"]}}, "give hours too"),
        ({"find": {"hours": "mon-fri", "holidays": []}}, "the hours of mon-fri are missing"),
        ({"move": {"hours": "1:00-2:00", "holidays_as": "xmas"}}, "should be 'mon', 'tue'"),
        (
            {
                "peers": {"pacs": {**PEER, "hours": "sat 10:00-12:00"}},
                "move": {"hours": "1:00-9:59"},
            },
            "they never open together with move.hours",
        ),
    ],
)
def test_hours_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Config(**settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///var/node.db", "sqlite:///var/node.db"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
        ("postgresql://db/node", "postgresql://db/node"),
        ("postgresql://user@db/node", "postgresql://user@db/node"),
        ("postgresql://user:secret@db:5432/node", "postgresql://user:***@db:5432/node"),
        ("postgresql://user:se@c/ret@db/node", "postgresql://user:***@db/node"),
        ("postgresql://:secret@/node", "postgresql://:***@/node"),
        (
            "postgresql://db/node?user=u&password=secret&a=b",
            "postgresql://db/node?user=u&password=***&a=b",
        ),
        ("postgresql+asyncpg://u:secret@/n?host=/tmp", "postgresql+asyncpg://u:***@/n?host=/tmp"),
    ],
)
def test_a_password_in_a_url_is_masked(url, shown):
    assert mask_url(url) == shown


@pytest.mark.parametrize(("value", "days"), [("7d", 7), ("2w", 14), ("24h", 1), (86400, 1)])
def test_whole_days_are_read(value, days):
    assert whole_days(value) == days * 86400


@pytest.mark.parametrize("value", ["12h", "36h", "90", 0, "0d", "1.5d", "x", None])
def test_what_is_no_whole_days_is_refused(value):
    with pytest.raises(ValueError, match="needed"):
        whole_days(value)


def test_how_old_proof_may_be_is_read_and_can_be_switched_off():
    proof = Config(
        find={"proof": {"newest": "1d", "recent": "2w", "older_every": "off"}}
    ).find.proof
    assert (proof.newest, proof.recent, proof.past) == (86400, 14 * 86400, 1095 * 86400)
    assert (proof.recent_every, proof.past_every, proof.older_every) == (86400, 30 * 86400, None)


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        ({"newest": "12h"}, "whole days or weeks are needed"),
        ({"recent": "3d"}, r"recent \(3d\) must not be shorter than newest \(7d\)"),
        ({"past": "30d"}, r"past \(30d\) must not be shorter than recent \(90d\)"),
        ({"recent_every": "0s"}, "a duration longer than nothing is needed"),
    ],
)
def test_ages_of_proof_that_make_no_sense_are_refused_with_what_would(proof, said):
    with pytest.raises(ValidationError, match=said):
        Config(find={"proof": proof})
