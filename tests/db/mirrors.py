"""Databases in pairs, and rows that are hard to carry from one to the other."""

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import Text, cast, func, insert, select, text

from schema import Cycle, Database, FindWindow, StudyFind, add_images
from schema.quarantine import add_quarantined
from schema.tables.accounting.verifications import StudyVerification
from schema.tables.columns import EncodedJSON
from schema.tables.committing.commitments import CommitmentItem, StorageCommitment
from schema.tables.guarding.breakers import PeerBreaker
from schema.tables.ledger import MoveAttempt, PeerProbe, RepeatedArrival
from schema.tables.metadata import mirrored_tables
from schema.tables.outbox.deliveries import EventDelivery
from schema.tables.outbox.events import RecordedEvent
from schema.tables.politeness.throttles import PeerThrottle
from schema.tables.sources import SourceListing, StudyChange, StudySource
from schema.tables.statements import table_of
from tests.db.records import record

HOSTILE = (
    "",
    " leading and trailing ",
    'quotes " and "" and \'',
    "a,b;c\td",
    "two\nlines\r\nand a return\r",
    "\\.",
    "\\N",
    "=1+1",
    "＝ＳＵＭ（A1）",
    "NULL",
    "Ünïcödé 山田^太郎 \U0001f9e0",
    "\u2028\u200b\ufeff",
    "x" * 10_000,
)
"""Texts that hospitals write, or could."""

HEADER = (
    b'{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Do\\"e\\\\^J\\u00e4ne"}]},'
    b'"00080060":{"vr":"CS","Value":["CT"]},'
    b'"00180050":{"vr":"DS","Value":[1.0,1,1e2,-0.0,1e-7,1.2345678901234568e+29,0.1,1e22,2.50]},'
    b'"00282000":{"vr":"OV","Value":[18446744073709551616,9007199254740993,1e400,1e-400]}}'
)
"""A header with numbers that SQLite and JSONB write differently."""


_SEEN = {
    name: datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - naive UTC, as the columns are
    for name in ("found_on", "last_seen_on")
}


async def fill(database: Database, images: int = 3) -> None:
    """Put rows into every table but those of projects; the first images are hostile."""
    async with database.begin() as session:
        await add_images(
            session,
            [
                record(
                    f"1.1.1.{number}",
                    series=f"1.1.{number % 7}",
                    study=f"1.{number % 7}",
                    patient_id=f"P{number % 3}",
                    manufacturer=HOSTILE[number % len(HOSTILE)],
                    study_date=datetime(2024, 1, 2, 3, 4, 5, number % 1000),  # noqa: DTZ001
                    acquisition_time=time(23, 59, 59, 999_999) if number % 2 else None,
                    meta=HEADER if number % 2 == 0 else None,
                    size=2**40 + number,
                )
                for number in range(1, images + 1)
            ],
        )
        await session.execute(
            insert(table_of(StudyFind)),
            [
                {"study_uid": f"9.{number}", "patient_name": name, "study_date": None}
                for number, name in enumerate(HOSTILE)
            ],
        )
        last = select(func.max(StudyFind.id)).scalar_subquery()
        await session.execute(
            insert(table_of(StudySource)).values(
                study_find_id=last, peer="pacs", keys={"StudyID": "1"}, **_SEEN
            )
        )
        await session.execute(
            insert(table_of(PeerProbe)).values(
                peer="pacs", questions=17, facts={"cap": {"value": 500, "how": HOSTILE[2]}}
            )
        )
        await session.execute(
            insert(table_of(PeerBreaker)).values(peer="pacs", state="open", message=HOSTILE[2])
        )
        await session.execute(
            insert(table_of(PeerThrottle)).values(
                peer="pacs", node="NODE", level=0.1, reason=HOSTILE[2], usual=0.02
            )
        )
        await session.execute(
            insert(table_of(StudyVerification)).values(
                study_uid="1.1",
                holder=HOSTILE[2],
                sound=2**31 - 1,
                unsound=1,
                images=2**31 - 1,
                id_sum=2**62,
                revision_sum=2**40,
                newest_on=None,
            )
        )
        await session.execute(
            insert(table_of(StudyChange)).values(
                study_find_id=last,
                peer="pacs",
                seen_on=_SEEN["found_on"],
                field="patient_id",
                was="A",
                became="B",
            )
        )
        await session.execute(
            insert(table_of(SourceListing)).values(
                source_id=1, images=1, short=False, vouched=True, listing={"series": HOSTILE[2]}
            )
        )
        await session.execute(
            insert(table_of(MoveAttempt)).values(
                study_find_id=last, peer="pacs", method="C-MOVE", message=HOSTILE[2], missing=["1"]
            )
        )
        await session.execute(insert(table_of(RepeatedArrival)).values(image_id=1, attempt_id=1))
        await session.execute(
            insert(table_of(RecordedEvent)).values(
                uuid="17", kind="alarm", subject=HOSTILE[2], data={"message": HOSTILE[2]}
            )
        )
        await session.execute(
            insert(table_of(EventDelivery)).values(
                event_id=1, hook="lab", output=HOSTILE[2], seconds=0.1
            )
        )
        await session.execute(
            insert(table_of(StorageCommitment)).values(
                role="scp",
                aetitle=HOSTILE[2],
                transaction_uid="1.2.3",
                state="reporting",
                digest="",
                objects=1,
                reason=HOSTILE[2],
            )
        )
        await session.execute(
            insert(table_of(CommitmentItem)).values(
                commitment_id=1, number=0, sop_class_uid="1", sop_instance_uid="2", outcome=0x0112
            )
        )
        wanted = {"keys": {"PatientID": HOSTILE[2]}, "dates": [["2024-02-29", None]]}
        cycle = Cycle(kind="find", counts={"found": 1}, process=HOSTILE[2], asked=[wanted])
        session.add(cycle)
        await session.flush()
        session.add(
            FindWindow(
                cycle_id=cycle.id, outcome="complete", start_date=date(2024, 2, 29), query=None
            )
        )
        await add_quarantined(session, filepath="/x/1", reason="why", kind="conflict")
        await session.execute(
            text("INSERT INTO projects (name, created_on) VALUES ('cohort', '2024-01-02 03:04:05')")
        )
        await session.execute(
            text(
                "INSERT INTO project_studies (project_id, study_uid, added_on)"
                " SELECT id, '1.1', created_on FROM projects"
            )
        )


async def contents(database: Database) -> dict[str, list[tuple]]:
    """Return all rows that a mirror has; JSON is decoded, its numbers with all their digits."""
    found = {}
    async with database.session() as session:
        for table in mirrored_tables():
            documents = [column for column in table.columns if isinstance(column.type, EncodedJSON)]
            plain = [column for column in table.columns if column not in set(documents)]
            query = select(*plain, *(cast(column, Text) for column in documents))
            rows = await session.execute(query.order_by(*table.primary_key.columns))
            found[table.name] = [
                (*row[: len(plain)], *(value and exact(value) for value in row[len(plain) :]))
                for row in rows
            ]
    return found


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)
