"""The same as `walk_a_project.py`, in an asynchronous session: what is looked at is loaded first.

    python examples/query_asynchronously.py thin-slices [DATABASE]

DATABASE is a URL, or the path of a configuration file; without it, the one of the environment.
"""

import asyncio
import sys

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from schema import Database, Patient, Project, Study


async def main(name: str, source: str | None = None) -> None:
    """Print the series of a project's patients."""
    query = (
        select(Project)
        .where(Project.name == name)
        .options(
            selectinload(Project.Patients).selectinload(Patient.Studies).selectinload(Study.Series)
        )
    )
    async with Database(source) as database, database.session() as session:
        project = (await session.scalars(query)).one()
        for patient in project.Patients:
            for study in patient.Studies:
                for series in study.Series:
                    print(patient.PatientIdentifier, study.AccessionNumber, series.Modality)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
