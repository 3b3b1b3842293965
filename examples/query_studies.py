"""Ask for patients and studies with SQLAlchemy, under the attributes' names of either style.

    python examples/query_studies.py [DATABASE]

DATABASE is a URL, or the path of a configuration file; without it, the one of the environment.
"""

import sys

from sqlalchemy import and_, select

from schema import Patient, Study, SyncDatabase


def main(source: str | None = None) -> None:
    """Print the answers to some questions."""
    with SyncDatabase(source) as database, database.session() as session:
        # Query patients matching a pattern
        patients = session.scalars(
            select(Patient).where(Patient.PatientIdentifier.like("P-0%")).order_by(Patient.id)
        ).all()
        print("patients:", ", ".join(patient.PatientIdentifier for patient in patients))

        # Query with joins and filters
        studies = session.scalars(
            select(Study)
            .join(Patient)
            .where(and_(Patient.PatientIdentifier == "P-01", Study.StudyDate >= "2023-04-01"))
            .order_by(Study.StudyDate)
        ).all()
        for study in studies:
            print(study.StudyInstanceUID, study.StudyDate)

        # Both styles work
        patient = patients[0]
        print(patient.PatientID == patient.patient_id)
        print(patient.PatientIdentifier == patient.patient_identifier)
        print(studies[0].StudyDate == studies[0].study_date)


if __name__ == "__main__":
    main(*sys.argv[1:])
