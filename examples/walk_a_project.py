"""Find a project and a patient, and go from the project down to the pixels of its images.

    python examples/walk_a_project.py thin-slices P-03 [DATABASE]

DATABASE is a URL, or the path of a configuration file; without it, the one of the environment.
"""

import sys

from schema import Patient, Project, SyncDatabase


def main(name: str, identifier: str, source: str | None = None) -> None:
    """Print what a project has, level by level."""
    with SyncDatabase(source) as database, database.session() as session:
        # Find a project by name, and a patient by identifier
        project = Project.by_name(session, name)
        if project is None:
            sys.exit(f"there is no project {name!r}")
        patient = Patient.by_identifier(session, project.id, identifier)
        print(f"{identifier} is {'' if patient else 'not '}in {project.name}")

        # Navigate from the project down the hierarchy
        for patient in project.Patients:
            print(f"Patient ID: {patient.PatientID}, Identifier: {patient.PatientIdentifier}")
            for study in patient.Studies:
                print(f"  Study date: {study.StudyDate}")
                for series in study.Series:
                    print(f"    Series ID: {series.SeriesID}, {len(series.ImageInstances)} images")
                    for image in series.ImageInstances[:1]:
                        print(f"      Image path: {image.path}")
                        print(f"      Number {image.InstanceNumber}, {image.TransferSyntaxUID}")
                        if image.Modality == "CT":
                            print(f"      Pixels: {image.pixel_array.shape}")


if __name__ == "__main__":
    main(*sys.argv[1:])
