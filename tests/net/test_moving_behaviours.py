"""What PACSs do to those who retrieve: what is called retrieved is here, and the rest says why.

Each row is a PACS with studies of its own; all of them are moved from by one node, side by side, in
virtual time: with the waits that a node has unless configured otherwise. `tests.moving.oracle`
judges every study of every row by what the PACS really has; a row says in addition how its studies
end.
"""

import logging
import re
from dataclasses import dataclass, field

import pytest

from node.simulator.misbehaving.retrieval.settings import Retrievals
from schema import Database
from tests.moving.behaviours import combined
from tests.moving.programme import MoveCase, all_played
from tests.moving.running import programme, summary
from tests.support.virtual_time import run_in_virtual_time

LACKS = r"of \d+ images are missing"
COUNTS = ("NumberOfStudyRelatedInstances", "NumberOfStudyRelatedSeries")
AT_FIRST = {"images": 0.5, "first": 1}
HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a PACS does, and how its studies end.

    `query` and `retrieval` are its settings. `end` are the states, or the evidence of what is
    retrieved, that the studies may have that suffer it; `says` is in the reason of what is not
    retrieved. `part` is the purpose for which the simulator draws half of the studies: the others
    do not suffer it, and are retrieved. `here` is what is here of what is not retrieved: all, some
    (or none) or none. `asked` is the least number of retrievals. The first `end` is `sure` to be.
    """

    name: str
    retrieval: dict = field(default_factory=dict)
    query: dict = field(default_factory=dict)
    end: tuple[str, ...] = ("listed",)
    says: str = ""
    part: str = ""
    here: str = "all"
    asked: int = 0
    sure: bool = True
    storers: tuple[str, ...] = ()
    peer: dict = field(default_factory=dict)
    series: int = 1


def only_half(name, purpose, **retrieval):
    return {"name": name, "part": purpose, "retrieval": retrieval}


ROWS = (
    Row(name="honest"),
    Row(name="honest-get", peer={"retrieve": "get"}),
    # what it sends: nothing, or a part
    Row(name="empty-at-first", retrieval={"empty": {"first": 1}}),
    Row(
        **only_half("empty", "empty", empty={"share": HALF}),
        end=("empty",),
        says=LACKS,
        here="none",
    ),
    Row(
        **only_half("success-of-nothing", "left out", left_out={"images": 1, "share": HALF}),
        end=("empty",),
        says=LACKS,
        here="none",
    ),
    Row(name="a-part-at-first", retrieval={"left_out": AT_FIRST}),
    Row(name="a-part-at-first-get", retrieval={"left_out": AT_FIRST}, peer={"retrieve": "get"}),
    Row(
        **only_half("a-part", "left out", left_out={"images": 0.4, "share": HALF}),
        end=("partial", "empty", "listed"),
        says=LACKS,
        here="some",
    ),
    Row(
        **only_half(
            "a-part-unmentioned",
            "left out",
            left_out={"images": 0.4, "share": HALF, "told": "unmentioned"},
        ),
        end=("partial", "empty", "listed"),
        says=LACKS,
        here="some",
    ),
    Row(
        **only_half(
            "a-part-failed", "left out", left_out={"images": 0.4, "share": HALF, "told": "failed"}
        ),
        end=("partial", "empty", "listed"),
        says=rf"{LACKS}; .*0x(A702|B000)",
        here="some",
    ),
    # what it says
    Row(
        name="success-though-some-failed",
        retrieval={"left_out": {**AT_FIRST, "told": "failed"}, "last": {"status": 0}},
    ),
    Row(name="b000-though-none-failed", retrieval={"last": {"status": 0xB000}}),
    *(
        Row(
            name=f"failed-uids-{what}",
            retrieval={"left_out": {**AT_FIRST, "told": "failed"}, "failed_uids": what},
        )
        for what in ("absent", "empty", "wrong")
    ),
    Row(name="no-pending", retrieval={"pending": 0}),
    Row(
        name="no-numbers",
        retrieval={"omit": ["remaining", "completed", "failed", "warning"]},
    ),
    Row(name="counts-too-many", retrieval={"miscount": {"completed": 3}, "left_out": AT_FIRST}),
    Row(name="counts-too-few", retrieval={"miscount": {"completed": -3}}),
    # it fails
    Row(name="busy-at-first", retrieval={"failures": {"status": 0xA702, "first": 2}}),
    Row(
        **only_half(
            "busy-after-some",
            "failure 0",
            failures={"status": 0xA701, "images": 2, "share": HALF, "first": 1},
        ),
    ),
    Row(
        **only_half("never", "failure 0", failures={"status": 0xC000, "share": HALF}),
        end=("failed",),
        says=rf"{LACKS}; .*0xC000",
        here="none",
    ),
    Row(
        name="unknown-destination",
        retrieval={"failures": {"status": 0xA801}},
        end=("pending",),
        says="has to know the AE title NODE|^$",
        here="none",
    ),
    Row(name="breaks-at-first", retrieval={"breaks": {"images": 2, "first": 1}}),
    Row(
        **only_half("breaks", "breaks", breaks={"images": 0, "share": HALF}),
        end=("failed",),
        says="the peer aborted|connection|the association ended",
        here="none",
    ),
    Row(name="stalls-at-first", retrieval={"stall": {"images": 2, "first": 1}}),
    Row(name="stalls-in-a-pdu", retrieval={"stall": {"images": 2, "first": 1, "at": "pdu"}}),
    Row(
        **only_half("stalls", "stall", stall={"images": 0, "share": HALF}),
        end=("failed",),
        says="made no progress for 600 s",
        here="none",
    ),
    Row(name="pending-for-ever", retrieval={"endless": {"images": 1, "first": 1, "interval": 5}}),
    Row(name="pending-at-the-end", retrieval={"endless": {"interval": 5}}),
    Row(
        name="ignores-cancel",
        retrieval={"endless": {"images": 1, "first": 1, "interval": 5}, "cancel": "ignored"},
    ),
    Row(name="restarts", retrieval={"restarts": {"every": 2, "seconds": 60}}),
    # when it sends, and as whom
    Row(name="success-first", retrieval={"early": {"delay": 5}}),
    Row(name="success-long-before", retrieval={"early": {"delay": 40}}),
    Row(
        name="goes-on-after-an-abort",
        retrieval={
            "goes_on": True,
            "associations": 8,
            "slow": {"image": 700},
            "cancel": "ignored",
            "pending": 0,
        },
    ),
    Row(name="slow", retrieval={"slow": {"start": 60, "image": 5}}),
    Row(name="twice", retrieval={"twice": {}}),
    Row(name="twice-at-once", retrieval={"twice": {"at_once": True}}),
    Row(name="in-two-series", retrieval={"two_series": 1}),
    Row(name="over-three-associations", retrieval={"associations": 3}),
    Row(name="no-originator", retrieval={"originator": "none"}),
    Row(name="another-title", retrieval={"calling": "STORER"}),
    Row(
        name="another-title-known",
        storers=("STORER",),
        retrieval={"calling": "STORER", "originator": "none"},
        query={"levels": ["STUDY"]},
        end=("counted",),
    ),
    Row(
        name="nobody-s-title",
        retrieval={"calling": "OTHER", "originator": "none"},
    ),
    Row(
        name="nobody-s-title-uncounted",
        end=("partial",),
        says="images are here that came from",
        retrieval={"calling": "OTHER", "originator": "none"},
        query={"levels": ["STUDY"]},
    ),
    # below the study
    Row(
        name="sends-the-study",
        retrieval={"left_out": AT_FIRST, "levels": {"SERIES": "study", "IMAGE": "study"}},
    ),
    *(
        Row(
            name=f"levels-{what}",
            retrieval={"left_out": AT_FIRST, "levels": {"SERIES": what, "IMAGE": what}},
        )
        for what in ("nothing", "refused")
    ),
    *(
        Row(name=f"uid-lists-{what}", retrieval={"left_out": AT_FIRST, "uid_lists": what})
        for what in ("first", "nothing", "refused")
    ),
    Row(
        name="no-study-level",
        retrieval={"levels": {"STUDY": "refused"}},
        end=("failed",),
        says=rf"{LACKS}; .*0xA900",
        here="none",
    ),
    # how much at once
    Row(name="one-association", query={"capacity": {"associations": 1}}),
    Row(name="one-worker", query={"capacity": {"workers": 1, "image": 2, "question": 2}}),
    *(
        Row(
            name=f"one-operation-{what}",
            query={"operations": {"most": 1, "then": what}},
            end=("counted",),
        )
        for what in ("abort", "refused", "silent")
    ),
    # what it lists, and counts
    Row(name="short-series", query={"short": {"SERIES": 1}}, series=2, end=("counted",)),
    Row(name="short-images", query={"short": {"IMAGE": 1}}, end=("counted",)),
    Row(
        name="short-series-and-a-part",
        series=2,
        end=("partial", "empty", "counted"),
        says=LACKS,
        query={"short": {"SERIES": 1}},
        retrieval={"left_out": {"images": 0.4}},
        here="some",
    ),
    Row(
        name="short-series-of-a-number",
        series=2,
        end=("stable",),
        query={"short": {"SERIES": 1}, "omit": COUNTS[:1]},
    ),
    Row(
        name="short-images-of-a-number",
        end=("stable",),
        query={"short": {"IMAGE": 1}, "omit": COUNTS[:1]},
    ),
    Row(
        name="short-images-and-a-part",
        end=("partial", "empty", "stable"),
        says=r"of \d+ images are missing, at least: it lists",
        here="some",
        query={"short": {"IMAGE": 1}, "omit": COUNTS[:1]},
        retrieval={"left_out": {"images": 0.4}},
    ),
    Row(
        name="short-series-unsaid",
        series=2,
        end=("listed",),
        asked=9,
        query={"short": {"SERIES": 1}, "omit": COUNTS},
    ),
    Row(name="no-series-level", query={"levels": ["PATIENT", "STUDY"]}, end=("counted",)),
    Row(name="no-image-level", query={"levels": ["STUDY", "SERIES"]}, end=("counted",)),
    Row(name="no-number", query={"omit": COUNTS[:1]}),
    Row(
        name="no-number-nor-images",
        end=("counted",),
        query={"levels": ["STUDY", "SERIES"], "omit": COUNTS[:1]},
    ),
    Row(name="says-nothing", end=("stable",), asked=9, query={"levels": ["STUDY"], "omit": COUNTS}),
    Row(
        name="says-nothing-and-grows",
        end=("stable",),
        retrieval={"left_out": AT_FIRST},
        query={"levels": ["STUDY"], "omit": COUNTS},
    ),
    Row(
        name="says-too-many",
        query={"miscount": {COUNTS[0]: 2}},
        end=("partial",),
        says=r"^2 of \d+ images are missing",
    ),
    Row(name="says-too-few", query={"miscount": {COUNTS[0]: -2}}),
    Row(name="says-too-many-series", query={"miscount": {COUNTS[1]: 1}}, end=("counted",)),
    *(
        Row(name=name, query=query, end=("listed", "counted"), sure=False)
        for name, query in {
            "refuses-each-question-once": {"refuse": {"first": 1}},
            "refuses-every-second-question": {"refuse": {"every": 2}},
            "never-answers-every-third": {"silent": {"every": 3}},
            "answers-for-ever": {"endless": {"every": 3, "interval": 5}},
            "drops-questions": {"drop": {"answers": 1, "every": 2}},
        }.items()
    ),
)

ON_POSTGRESQL = {"honest", "a-part-at-first", "a-part-failed", "says-nothing", "short-series"}

ATTEMPTS = 4
"""Of `move`: `make move-test` has as many as are usual."""


def case_of(row):
    number = ROWS.index(row)
    return MoveCase(
        name=row.name,
        settings=row.query | ({"retrieval": row.retrieval} if row.retrieval else {}),
        seed=number + 1,
        part=(row.part, HALF) if row.part else None,
        storers=row.storers,
        peer=row.peer,
        studies=4 if row.part else 3,
        most=8,
        series=row.series,
    )


def told_of(rows, url, folder):
    """Return what is not as the rows have it, by row."""

    async def played():
        async with Database(url) as database:
            cases = [case_of(row) for row in rows]
            return await all_played(cases, database, folder, attempts=ATTEMPTS)

    verdicts = run_in_virtual_time(played())
    pairs = zip(rows, verdicts, strict=True)
    return {row.name: told for row, one in pairs if (told := list(problems_of(row, one)))}


def problems_of(row, verdict):
    """Return what is not as the row has it."""
    yield from verdict.wrong
    yield from (f"{uid}: not all here, {basis}" for uid, basis in verdict.unfounded.items())
    ends = set()
    for uid, stand in verdict.stands.items():
        suffers = uid in verdict.concerned
        end, there = stand.evidence or stand.state, len(stand.images)
        ends |= {end} if suffers else set()
        if end not in (row.end if suffers else ("listed", "counted")):
            yield f"{uid}: {end}: {stand.error}"
        elif not stand.evidence:
            if not re.search(row.says, stand.error or ""):
                yield f"{uid}: {stand.error}"
            whole = len(verdict.truth[uid].images)
            if not {"none": not there, "some": there < whole, "all": there == whole}[row.here]:
                yield f"{uid}: {there} of {whole} images are here"
    if row.sure and row.end[0] not in ends:
        yield f"what it is about has not happened: {ends}"
    if verdict.asked < row.asked:
        yield f"{verdict.asked} retrievals"


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)  # what is not complete is logged, and is the point here


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_is_called_retrieved_is_here_and_the_rest_says_why(migrated_sqlite_url, tmp_path):
    assert told_of(ROWS, migrated_sqlite_url, tmp_path) == {}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_is_so_on_postgresql(migrated_postgresql_url, tmp_path):
    rows = [row for row in ROWS if row.name in ON_POSTGRESQL]
    assert len(rows) == len(ON_POSTGRESQL)
    assert told_of(rows, migrated_postgresql_url, tmp_path) == {}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_it_is_so_whatever_is_combined(tmp_path):
    # at the last one a study tried alone never becomes whole, and sends what is here already
    verdicts = programme([combined(seed) for seed in (*range(7), 41)], tmp_path)
    print(summary(verdicts, 0))
    assert [verdict.wrong for verdict in verdicts if verdict.wrong] == []


def test_every_behaviour_at_retrievals_is_in_the_table():
    played = {name for row in ROWS for name in row.retrieval}
    assert played >= set(Retrievals.model_fields) - {"refusal"}
    assert len({row.name for row in ROWS}) == len(ROWS)
