"""The story of a study says what became of it, for each thing that can become of one."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select, update

from node.cli.explaining.explain import _lines
from node.config import Config, load
from node.errors import UsageError
from node.ops.explaining.explain import Explanation, explain
from schema import Database, Project, ProjectStudy, add_images, utcnow
from schema.cycles import finish_cycle, start_cycle
from schema.explaining.naming import NameKind, what_is
from schema.explaining.studies import read_story
from schema.finding.asking import add_window
from schema.hierarchy.gone import mark_gone
from schema.moving.attempts import interrupt_attempts
from schema.moving.patience import FailureKind
from schema.quarantine import add_quarantined
from schema.tables.models import Image
from schema.tables.sources import StudySource
from tests.db.records import record
from tests.db.test_judging import arrive, attempts, begin, judged, list_as, lose, say

DAY = date(2024, 1, 2)


@pytest.fixture
def config(tmp_path) -> Config:
    return configured(tmp_path)


def configured(folder: Path, *, peers: str = "a, b", move: str = "every: 15m") -> Config:
    file = folder / "node.yaml"
    names = [name.strip() for name in peers.split(",") if name.strip()]
    file.write_text(
        f"storage: {{directory: {folder / 'dicom'}}}\nmove: {{{move}}}\npeers:\n"
        + "".join(f"  {name}: {{aetitle: {name}, host: h, port: 104}}\n" for name in names),
        encoding="utf-8",
    )
    return load(file).config


async def told(config: Config, db: Database, text: str = "1", **options: object) -> str:
    return words(await explain(config, db, text, **options))  # type: ignore[arg-type]


def words(found: Explanation) -> str:
    """Return what the command prints, each moment as T."""
    lines = "\n".join(_lines(found, whole=False))
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "T", lines)


async def find(db: Database, peer: str = "a", images: int | None = 3, **more: object) -> int:
    """Find the study by a question about its date, as a find does."""
    async with db.begin() as session:
        cycle = await start_cycle(session, "find", peer, "NODE")
        await add_window(
            session,
            cycle_id=cycle,
            peer=peer,
            query={},
            start_date=DAY,
            end_date=DAY,
            outcome="complete",
            matches=1,
            facts={"covered_on": utcnow()},
        )
    await say(db, peer, images, **more)
    async with db.begin() as session:
        await finish_cycle(session, cycle, "done")
    return cycle


async def complete(db: Database) -> None:
    await find(db)
    attempt = await begin(db)
    await list_as(db, "123", told=3)
    await arrive(db, "123")
    await judged(db, attempt, status=0, completed=3, failed=0, level="STUDY", started_on=utcnow())


async def withheld(db: Database) -> None:
    await find(db)
    attempt = await begin(db)
    await list_as(db, "123", told=3)
    await arrive(db, "1")
    await judged(
        db,
        attempt,
        status=0xB000,
        comment="no codec",
        completed=1,
        failed=2,
        failed_uids=("1.2", "1.3"),
        refused=("JPEG 2000",),
        level="STUDY",
        started_on=utcnow(),
    )
    async with db.begin() as session:
        project = Project(name="trial")
        session.add(project)
        await session.flush()
        session.add(ProjectStudy(project_id=project.id, study_uid="1"))


async def late_and_again(db: Database) -> None:
    await find(db)
    attempt = await begin(db)
    await judged(db, attempt, kind=FailureKind.BUSY, message="it fell silent")
    await arrive(db, "12")
    await begin(db)
    await arrive(db, "1")


async def late_and_complete(db: Database) -> None:
    await find(db)
    await judged(db, await begin(db), kind=FailureKind.BUSY, message="it fell silent")
    await arrive(db, "123")
    await judged(db, await begin(db), before=3)


async def from_a_modality(db: Database) -> None:
    await find(db)
    await arrive(db, "1", source="MODALITY")


async def counted_alone(db: Database) -> None:
    await find(db)
    await arrive(db, "12", source="MODALITY")
    attempt = await begin(db)
    await arrive(db, "3")
    await judged(db, attempt, before=2)


async def unknown_destination(db: Database) -> None:
    await find(db)
    attempt = await begin(db)
    kind = FailureKind.CONFIGURATION
    await judged(db, attempt, kind=kind, status=0xA801, message="it does not know NODE")


async def out_of_reach(db: Database) -> None:
    await find(db)
    attempt = await begin(db)
    await judged(db, attempt, kind=FailureKind.OUTAGE, message="nobody answers", level="STUDY")


async def grown(db: Database) -> None:
    await complete(db)
    await find(db, images=5)


async def renamed(db: Database) -> None:
    await find(db)
    await find(db, PatientName="Roe^Richard", StudyTime="1200")


async def gone(db: Database) -> None:
    await find(db)
    later = utcnow() + timedelta(seconds=1)
    async with db.begin() as session:
        await mark_gone(session, peer="a", study_uids=["1"], asked_on=later)


async def given_up(db: Database) -> None:
    await find(db)
    for _ in range(3):
        attempt = await begin(db)
        await judged(db, attempt, status=0, completed=0, failed=0, level="STUDY")


async def held(db: Database) -> None:
    await find(db)
    async with db.begin() as session:
        await session.execute(update(StudySource).values(state="held"))


async def under_way(db: Database) -> None:
    await find(db)
    await begin(db, cycle=await db.run(start_cycle, "move", peer="a", node="NODE"))


async def let_go(db: Database) -> None:
    await find(db)
    await begin(db)
    (one,) = await attempts(db)
    await db.run(interrupt_attempts, attempt_ids=[one.id])


async def at_a_stranger(db: Database) -> None:
    await find(db, peer="old")


async def at_two(db: Database) -> None:
    await complete(db)
    await find(db, peer="b")


async def lost(db: Database) -> None:
    await complete(db)
    await lose(db, "1.1")


async def removed(db: Database) -> None:
    await complete(db)
    async with db.begin() as session:
        for image in await session.scalars(select(Image).where(Image.image_uid == "1.1")):
            await session.delete(image)


async def aside(db: Database) -> None:
    await find(db)
    async with db.begin() as session:
        await add_quarantined(
            session,
            filepath="/q/1.dcm",
            reason="the dataset ends early",
            kind="undecodable",
            sop_instance_uid="1.9",
            study_uid="1",
            source="A",
        )


async def received(db: Database) -> None:
    await arrive(db, "1", source="MODALITY")


async def parsed(db: Database) -> None:
    image = record("1.1", "1.1", "1", filepath="/x/1.1", size=3, study_date=DAY)
    async with db.begin() as session:
        await add_images(session, [image])


async def a_gap(db: Database) -> None:
    await window(db, DAY, outcome="refused", message="0xA700: out of resources")
    await say(db, "a", 3)


async def a_gap_elsewhere(db: Database) -> None:
    await window(db, date(2023, 1, 1), outcome="complete", matches=0)
    await window(db, date(2023, 3, 1), outcome="refused", message="0xA700: out of resources")


async def in_vain(db: Database) -> None:
    await window(db, None, outcome="complete", matches=0, query={"StudyInstanceUID": "1.2"})
    await window(db, date(2023, 1, 1), outcome="complete", matches=0)


async def no_answer(db: Database) -> None:
    query = {"StudyInstanceUID": "1.2"}
    await window(db, None, outcome="failed", message="no answer within 60 s", query=query)


async def nothing(db: Database) -> None:
    """Nobody has asked for anything."""


async def window(db: Database, day: date | None, *, query=None, matches=None, **facts) -> None:
    async with db.begin() as session:
        cycle = await start_cycle(session, "find", "a", "NODE")
        covered = utcnow() if facts["outcome"] == "complete" else None
        await add_window(
            session,
            cycle_id=cycle,
            peer="a",
            query=query or {},
            start_date=day,
            end_date=day,
            matches=matches,
            facts={"covered_on": covered},
            **facts,
        )
        await finish_cycle(session, cycle, "done")


STORIES = {
    complete: (
        0,
        "Study 1 of 2024-01-02: complete, 3 images.",
        "It is known since T, when find 1 asked a for 2024-01-02.",
        "complete on T, for each image that its PACSs list is here (listed).",
        "- a has 3 images; said so last on T. State: retrieved, verified on T (listed).",
        "- a listed 3 images on T, and its own numbers confirmed that these were all.",
        "- a was asked for 2024-01-02 last on T; all that it has there is known as of T.",
        "- b was never asked for 2024-01-02.",
        "1. T: NODE asked a by C-MOVE for the whole study. The answer was 0x0000 (success): 3 sent",
        "3 new images came (300 bytes)",
        "- 3 images (300 bytes) came from A for attempt 1, T.",
        "- Nothing, until what is not sound is set aside: `dicom-node verify --reopen`",
    ),
    withheld: (
        1,
        "Study 1 of 2024-01-02: partial, 1 of 3 images here.",
        "0xB000 (complete, but some images failed), 'no codec': 1 sent, 2 failed.",
        "the study was partial: 2 of 3 images are missing.",
        "It could not send 1.2, 1.3.",
        "These presentation contexts were refused: JPEG 2000.",
        "- 2 of 3 images of series 1.1 at a: 1.2, 1.3.",
        "It is in the project trial.",
        "- a is due with the next cycle, when `dicom-node run` runs. `dicom-node move a --study 1`",
    ),
    late_and_again: (
        1,
        "the study was failed: 3 of 3 images are missing; it fell silent.",
        "2 images came late, the last on T.",
        "1 image that it brought was here already.",
        "2. T: NODE took the study, to ask a for it. It has not ended.",
        "- a is being asked, or is next",
        "- 1 image; no PACS has listed which.",
    ),
    late_and_complete: (
        0,
        "2. T: NODE took the study, to ask a for it. All of it was here already: nothing was asked "
        "for.",
    ),
    from_a_modality: (1, "- 1 image (100 bytes) came from MODALITY, which nobody had asked, T."),
    counted_alone: (1, "as many images are here as there should be, not all from its PACS"),
    unknown_destination: (
        1,
        "The answer was 0xA801 (move destination unknown).",
        "it does not know NODE",
        "- a is due with the next cycle",
    ),
    out_of_reach: (
        1,
        "1. T: NODE was about to ask a by C-MOVE for the whole study. It could not be asked.",
        "the study was pending: 3 of 3 images are missing; nobody answers.",
    ),
    grown: (
        1,
        "- a has more since T: its number of images was 3, and became 5.",
        "pending, 3 of 5 images here",
    ),
    renamed: (1, "- a says the patient's name otherwise since T."),
    gone: (
        1,
        "Study 1 of 2024-01-02: gone, 0 of 3 images here.",
        "- a had 3 images; it has the study no more, as seen on T; said so last on T.",
        "- a: nothing. It has the study no more, since T. `dicom-node find a --study 1`",
    ),
    given_up: (
        1,
        "3. T: NODE asked a",
        "- a is not asked again: the study was given up on T, until a find has news of it, or "
        "images of it come. `dicom-node move a --study 1` asks at once.",
    ),
    held: (1, "- a is not asked: an operator holds the study."),
    under_way: (
        1,
        "moving, 0 of 3 images here",
        "It goes on, unless its process has died, of which was heard last on T.",
        "- a is being asked, or is next",
    ),
    let_go: (1, "It came to no verdict: it was interrupted after"),
    at_a_stranger: (1, "- old is no peer of the configuration: nobody can ask it."),
    at_two: (
        1,
        "partial, 3 of 3 images here",
        "- a: nothing; all that it has is here.",
        "- b is due with the next cycle",
    ),
    lost: (
        1,
        "partial, 2 of 3 images here, and 1 image without a file.",
        "- 1 image had a file that is gone: 1.1.",
        "- 1 of 3 images of series 1.1 at a: 1.1.",
    ),
    removed: (
        1,
        "Study 1 of 2024-01-02: not complete any more, 2 images are here.",
        " But 1 of 3 images is not here any more.",
        "- 1 image that was here after the last attempt has no row any more.",
        "- 1 of 3 images of series 1.1 at a: 1.1.",
        "- Nothing, until it is opened again: `dicom-node reconcile --fix",
    ),
    aside: (1, "- 1.9 (undecodable, from A, since T): the dataset ends early. Its id is 1."),
    received: (
        1,
        "Study 1: 1 image is here; no PACS has said how many it has.",
        "No PACS has answered it: its images came without having been found.",
        "- a and b were never asked for studies without a date.",
        "- a and b were never asked for its UID.",
    ),
    parsed: (
        1,
        "- 1 image (3 bytes) came from nobody: the files were parsed.",
        "`dicom-node find a --from 2024-01-02 --to 2024-01-02`",
    ),
    a_gap: (
        1,
        "- a was asked for 2024-01-02 last on T, and what it has there is not known: "
        "0xA700: out of resources.",
    ),
    a_gap_elsewhere: (
        1,
        "- a was asked for 2023-01-01 to 2023-03-01, but never for 2023-01-02 to 2023-02-28, "
        "with 1 gap: `dicom-node coverage a` shows what is known.",
    ),
    in_vain: (
        1,
        "Study 1.2: not here, and nobody knows it.",
        "- a was asked for 2023-01-01 to 2023-01-01, and all that it has there is known.",
        "- b was never asked for any date.\n",
        "- a was asked for its UID last on T, and has no such study.",
        "- b was never asked for its UID.",
    ),
    no_answer: (
        1,
        "- a was asked for its UID last on T, which says nothing: no answer within 60 s.",
    ),
    nothing: (1, "No study, accession number or patient of this name is known."),
}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
async def test_a_story_says_what_became_of_a_study(db, config, story):
    await story(db)
    code, *sentences = STORIES[story]
    unknown = story in (a_gap_elsewhere, in_vain, no_answer)
    found = await explain(config, db, "1.2" if unknown else "1")
    text = words(found)
    for sentence in sentences:
        assert sentence in text, text
    assert "Doe" not in text
    assert "Roe" not in text
    assert all(head.complete for head in found.heads) == (code == 0) or not found.heads
    assert not found.complete, "no file of it is on this disk"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"move": "every: 15m, hours: '02:00-05:00 UTC'"},
            "a is asked at T: it waits for the hours 02:00-05:00 UTC. `dicom-node move a",
        ),
        ({"move": "every: 15m, peers: [b]"}, "a is asked by command alone: the configuration has"),
        ({"move": "settle: 1s"}, "a is asked by command alone"),
        ({"peers": ""}, "a is no peer of the configuration: nobody can ask it."),
    ],
    ids=["hours", "other peers", "no move", "no peers"],
)
async def test_what_happens_next_is_what_the_configuration_says(
    sqlite, tmp_path, settings, sentence
):
    await find(sqlite)
    now = utcnow()
    text = await told(configured(tmp_path, **settings), sqlite)
    inside = "hours" in settings.get("move", "") and 2 <= now.hour < 5
    assert inside or sentence in text, text


async def test_a_study_that_waits_says_until_when(db, config):
    await find(db)
    attempt = await begin(db)
    await judged(db, attempt, status=0, completed=0)
    text = await told(config, db)
    assert "- a is due at T, when `dicom-node run` runs." in text


async def test_several_studies_are_told_in_a_line_each_and_whole_when_that_is_wanted(db, config):
    await say(db, "a", 3, "1.1", AccessionNumber="A1")
    await say(db, "b", 4, "1.2", AccessionNumber="A2", PatientID="A1")
    await say(db, "a", 4, "1.2", AccessionNumber="A1", PatientID="A1")
    text = await told(config, db, "A1")
    assert text.splitlines() == [
        "A1 is taken for an accession number. It is a Patient ID as well: --patient-id takes it "
        "for that.",
        "",
        "The accession number has 2 studies, 0 are complete here:",
        "- 1.2 of 2024-01-02: pending, 0 of 4 images here",
        "- 1.1 of 2024-01-02: pending, 0 of 3 images here",
        "",
        "--all tells the story of each.",
    ]
    whole = await explain(config, db, "A1", whole=True)
    assert [one.story.study.study_uid for one in whole.studies] == ["1.2", "1.1"]
    (alone,) = (await explain(config, db, "A1", kind=NameKind.PATIENT)).studies
    assert alone.story.study.study_uid == "1.2"
    assert "A1" not in await told(config, db, "1.1")
    nobody = await told(config, db, "NOBODY", kind=NameKind.PATIENT)
    assert nobody.startswith("No study of a patient with this Patient ID is known.")


async def test_an_accession_number_that_nobody_has_says_who_was_asked_for_it(db, config):
    query = {"AccessionNumber": "A7\\A17"}
    await window(db, None, outcome="complete", matches=0, query=query)
    text = await told(config, db, "A7")
    assert "a was asked for its accession number last on T, and has no such study." in text
    assert "was asked for" not in await told(config, db, "7")


@pytest.mark.parametrize("text", ["A*", "1.2.?", "A\\B", " "])
async def test_what_names_no_single_thing_is_refused(sqlite, config, text):
    with pytest.raises(UsageError, match=r"wildcards|needs a UID"):
        await explain(config, sqlite, text)


async def test_a_uid_is_what_is_unique_before_what_is_not(db):
    await say(db, "a", 3, "1.5", AccessionNumber="1.1")
    await arrive(db, "1")
    async with db.session() as session:
        kinds = [(await what_is(session, text)).kind for text in ("1", "1.1", "1.5", "P1", "x")]
    assert kinds == ["study", "series", "study", "patient", "nothing"]


async def test_a_series_says_which_of_its_images_are_listed_and_missing(db, config):
    await withheld(db)
    text = await told(config, db, "1.1")
    assert text.startswith("Series 1.1 of study 1: 1 image is here.")
    assert "- a lists 3 images of it (T); 2 of them missing: 1.2, 1.3." in text
    missing = await told(config, db, "1.3", of_study="1")
    assert missing.startswith("Image 1.3 of study 1, series 1.1: not here.")
    assert "- a lists it (T)." in missing
    with pytest.raises(UsageError, match="no series and no image 1.4"):
        await explain(config, db, "1.4", of_study="1")


async def test_an_image_says_who_has_sent_it_and_whether_its_file_is_there(db, config, tmp_path):
    await find(db)
    attempt = await begin(db)
    file = tmp_path / "1.2"
    file.write_bytes(b"123")
    image = record(
        *("1.2", "1.1", "1"),
        filepath=str(file),
        size=3,
        sha256="00ff",
        source="A",
        source_address="10.0.0.7",
        node="NODE",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        received_on=utcnow(),
        attempt_id=attempt,
    )
    async with db.begin() as session:
        await add_images(session, [image])
    sound = await explain(config, db, "1.2")
    text = words(sound)
    assert sound.complete
    for sentence in (
        "Image 1.2 of study 1, series 1.1: here.",
        "It came from A (10.0.0.7) on T, to NODE, as Explicit VR Little Endian (1.2.840.10008.1.2",
        "It was brought by the attempt of T, when NODE asked a by C-MOVE.",
        f"Its file is {file}, of 3 bytes, which is there and of this size.",
        "The SHA-256 of its dataset is 00ff.",
    ):
        assert sentence in text, text
    async with db.begin() as session:
        await session.execute(update(Image).values(storage_id="ff"))
    elsewhere = await told(config, db, "1.2")
    assert "1 file lies in another storage directory, which only its own node can" in elsewhere
    unmounted = config.model_copy(
        update={"storage": config.storage.model_copy(update={"directory": tmp_path})}
    )
    assert "which is there and of this size" in await told(unmounted, db, "1.2")
    file.write_bytes(b"1")
    async with db.begin() as session:
        await session.execute(update(Image).values(storage_id=None))
        await add_quarantined(
            session, filepath="/q", reason="other", kind="conflict", sop_instance_uid="1.2"
        )
    broken = await explain(config, db, "1.2")
    text = words(broken)
    assert not broken.complete
    assert "its file is changed." in text
    assert f"\n{file} is changed: 1 byte, 3 expected." in text
    assert "- 1.2 (conflict, since T): other. Its id is 1." in text


TABLES = (
    r"\b(studies_find|study_sources|study_changes|images|move_attempts|series|studies|quarantine)"
)


async def test_a_story_is_read_by_indexes_alone(db):
    """Of a million studies as of one; a Patient ID alone has no index among what was found."""
    await complete(db)
    asked: list[tuple[str, object]] = []

    def note(*execution: object) -> None:
        asked.append((str(execution[2]), execution[3]))

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    async with db.session() as session:
        await read_story(session, "1", ["a", "b"])
        for kind in (NameKind.STUDY, NameKind.ACCESSION):
            await what_is(session, "1", kind)
    event.remove(db.engine.sync_engine, "before_cursor_execute", note)
    queries = [(sql, values) for sql, values in asked if re.search(f"FROM {TABLES}", sql)]
    assert len(queries) > 15
    lite = db.engine.dialect.name == "sqlite"
    async with db.engine.connect() as connection:
        if not lite:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for sql, values in queries:
            how = "EXPLAIN QUERY PLAN" if lite else "EXPLAIN"
            plan = str((await connection.exec_driver_sql(f"{how} {sql}", values)).all())
            whole = rf"SCAN {TABLES}" if lite else rf"Seq Scan on {TABLES}"
            assert not re.search(whole, plan), f"{sql}\n{plan}"
