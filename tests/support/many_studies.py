"""Many studies at once: half of them here, four of ten that wait, one of ten that is ready."""

from datetime import timedelta

from sqlalchemy import insert, text

from schema import Database, StudyFind, utcnow
from schema.tables.sources import StudySource
from schema.tables.statements import table_of

DAY = timedelta(days=1)


async def fill(db: Database, studies: int, *, peer: str = "pacs") -> None:
    """Put so many studies of one PACS into the tables."""
    now = utcnow()
    for start in range(0, studies, 20_000):
        numbers = range(start + 1, min(start + 20_000, studies) + 1)
        async with db.begin() as session:
            connection = await session.connection()
            await connection.execute(
                insert(table_of(StudyFind)),
                [
                    {
                        "id": number,
                        "study_uid": f"1.2.{number}",
                        "patient_id": f"P{number % 99_991}",
                        "peer": peer,
                        "expected_images": 20,
                        "retrieved_on": now if number % 10 > 4 else None,
                        "state": "retrieved" if number % 10 > 4 else "partial",
                        "study_date": now - timedelta(days=number % 5000),
                    }
                    for number in numbers
                ],
            )
            await connection.execute(
                insert(table_of(StudySource)),
                [
                    {
                        "study_find_id": number,
                        "peer": peer,
                        "found_on": now,
                        "last_seen_on": now,
                        "study_date": now - timedelta(days=number % 5000),
                        "verified_on": now if number % 10 > 4 else None,
                        "state": "retrieved" if number % 10 > 4 else "partial",
                        "next_attempt_on": now + DAY if 0 < number % 10 <= 4 else None,
                        "expected_images": 20,
                    }
                    for number in numbers
                ],
            )
    async with db.begin() as session:
        await session.execute(text("ANALYZE"))
