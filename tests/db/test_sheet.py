"""The sheet of a migration says what is open of a study, and who can bring what is missing."""

import pytest

from node.cli.accounting.rows import row_of
from node.cli.project.reasons import why_open
from node.config import Config
from node.ops.accounting.sheet import Sheet
from node.ops.explaining.following import Doings, Step, followings
from schema import Database, Project, ProjectStudy, utcnow
from schema.deciding.policies import mark_unwanted
from schema.explaining.story import StudyHead, StudyStory
from schema.hierarchy.gone import mark_gone
from schema.project.members import get_members
from schema.reports import recent_studies
from schema.verifying.files import StudyVerified
from tests.db.test_explaining import complete, configured, find, told
from tests.db.test_judging import arrive, begin, judged, list_as, lose

REFUSED = "it has CT, and wanted is MR"


@pytest.fixture
def config(tmp_path) -> Config:
    return configured(tmp_path, peers="a, b, c", move="settle: 1s")


async def line(config: Config, db: Database) -> dict[str, str]:
    """Return the only line of the sheet."""
    sheet = Sheet(config, db)
    (one,) = [line async for page in sheet.lines() for line in page]
    return dict(row_of(one, config.peers, uids=10))


async def lost_of_one_that_has_it_no_more(db: Database) -> None:
    """Let b alone have had an image, whose file is gone."""
    await complete(db)
    await find(db, peer="b", images=4)
    attempt = await begin(db, peer="b")
    await list_as(db, "1234", peer="b", told=4)
    await arrive(db, "4", source="B")
    await judged(db, attempt, peer="b", before=3)
    await db.run(mark_gone, peer="b", study_uids=["1"], asked_on=utcnow())
    await lose(db, "1.4")


async def test_what_no_pacs_can_bring_again_is_not_said_to_be_asked_for(db, config):
    await lost_of_one_that_has_it_no_more(db)
    nobody = (
        "no peer that has the study lists 1 image without a file: it has to be sent again, or its "
        "file put back"
    )
    names = ("state", "whole", "missing_images", "missing_uids", "reason", "next")
    open_line = await line(config, db)
    assert tuple(open_line[name] for name in names) == (
        *("partial", "no", "1", "1.4"),
        f"files of it are gone from the storage directory; {nobody}",
        "a: by command alone; b: nothing: gone there; to be sent again, or put back",
    )
    missing = "- 1 image without a file, which no PACS that has the study lists: 1.4.\n"
    following = (
        "- No PACS that has the study lists 1 image without a file: it has to be sent again, or "
        "its file put back into the storage directory from a backup, where `dicom-node reconcile "
        "--fix` indexes it."
    )
    text = await told(config, db)
    assert missing in text
    assert following in text
    assert "- a is asked again by command alone" in text
    assert "Nobody knows" not in text

    await judged(db, await begin(db), before=3)
    closed = await line(config, db)
    assert tuple(closed[name] for name in names) == (
        *("retrieved", "no", "1", "1.4", nobody),
        "a: nothing: complete; b: nothing: gone there; to be sent again, or put back",
    )
    text = await told(config, db)
    assert missing in text
    assert following in text

    await list_as(db, "1234", told=4)
    listed = await line(config, db)
    assert listed["missing_uids"] == "1.4"
    assert nobody not in listed["reason"]
    assert "put back" not in listed["next"]


@pytest.mark.parametrize(
    ("lists", "says_now"), [(False, 2), (True, 3)], ids=["no list", "grown since"]
)
async def test_where_a_pacs_may_have_more_than_it_lists_nobody_is_said_not_to_have_it(
    db, config, lists, says_now
):
    await find(db, images=2)
    attempt = await begin(db)
    if lists:
        await list_as(db, "12", told=2)
    await arrive(db, "123")
    await judged(db, attempt)
    await find(db, images=says_now)
    await lose(db, "1.3")
    text = await told(config, db)
    assert "- 1 image without a file: 1.3.\n" in text
    assert "sent again" not in text
    assert "sent again" not in (await line(config, db))["reason"]


@pytest.mark.parametrize(("unsound", "aside"), [(1, False), (2, True)])
def test_what_is_gone_already_is_not_to_be_set_aside(unsound, aside):
    now = utcnow()
    story = StudyStory(
        study=StudyHead(study_uid="1", state="retrieved", retrieved_on=now, lost=1),
        verification=StudyVerified(read_on=now, sound=2, unsound=unsound, holds=True),
    )
    steps = {one.step for one in followings(story, Doings(peers={}), now=now)}
    assert (Step.UNSOUND in steps) == aside
    assert Step.COMPLETE not in steps


@pytest.mark.parametrize("done", [False, True], ids=["nothing is here", "one is complete"])
async def test_what_is_not_wanted_of_one_is_not_why_another_is_open(db, config, done):
    if done:
        await complete(db)
    await find(db, peer="b")
    await find(db, peer="c")
    async with db.begin() as session:
        await mark_unwanted(session, {"1": REFUSED}, peer="b", policy="modality MR")
    here = "all that a has is here; c was not asked for its images yet"
    here = here if done else "found at b, c, not moved yet from c"
    why = f"{here}; not wanted from b (`move.want`): {REFUSED}"
    assert (await line(config, db))["reason"] == why
    assert "It is not complete" not in await told(config, db)
    async with db.begin() as session:
        (one,) = await recent_studies(session)
        project = Project(name="trial")
        session.add(project)
        await session.flush()
        session.add(ProjectStudy(project_id=project.id, study_uid="1"))
        await session.flush()
        (member,) = await get_members(session, project.id)
    assert why_open(one, config.peers) == why_open(member, config.peers) == why
