"""The database's views, which answer the most common questions in plain SQL.

`study_metadata` has one row per study; `manufacturers` one per manufacturer; `project_members`
one per study of a project. The statements are valid on SQLite and PostgreSQL alike. They are
created by the migrations; here they are described for `select`.
"""

from sqlalchemy import Column, Integer, MetaData, Table, Text

from schema.tables.dates import DicomDate

VIEWS = {
    "study_metadata": (
        "SELECT patients.patient_id AS patient_id, studies.study_uid AS study_uid, "
        "studies.study_date AS study_date, studies.patient_age AS patient_age, "
        "MIN(images.manufacturer) AS manufacturer, COUNT(images.id) AS image_count "
        "FROM studies "
        "JOIN patients ON patients.id = studies.patient_id "
        "JOIN series ON series.study_id = studies.id "
        "JOIN images ON images.series_id = series.id "
        "GROUP BY studies.id, patients.patient_id, studies.study_uid, studies.study_date, "
        "studies.patient_age"
    ),
    "manufacturers": (
        "SELECT images.manufacturer AS manufacturer, COUNT(*) AS image_count "
        "FROM images GROUP BY images.manufacturer"
    ),
    "project_members": (
        "SELECT project_studies.project_id AS project_id, "
        "project_studies.study_uid AS study_uid "
        "FROM project_studies WHERE project_studies.study_uid IS NOT NULL "
        "UNION "
        "SELECT project_studies.project_id AS project_id, studies_find.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN studies_find ON studies_find.accession_number = project_studies.accession_number "
        "UNION "
        "SELECT project_studies.project_id AS project_id, studies_find.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN study_sources ON study_sources.accession_number = project_studies.accession_number "
        "JOIN studies_find ON studies_find.id = study_sources.study_find_id "
        "UNION "
        "SELECT project_studies.project_id AS project_id, studies.study_uid AS study_uid "
        "FROM project_studies "
        "JOIN studies ON studies.accession_number = project_studies.accession_number"
    ),
}
"""The views by name, as the SELECT that defines each."""

_metadata = MetaData()

study_metadata = Table(
    "study_metadata",
    _metadata,
    Column("patient_id", Text),
    Column("study_uid", Text),
    Column("study_date", DicomDate),
    Column("patient_age", Integer),
    Column("manufacturer", Text),
    Column("image_count", Integer),
)
"""One row per study; of several manufacturers the first by name."""

manufacturers = Table(
    "manufacturers",
    _metadata,
    Column("manufacturer", Text),
    Column("image_count", Integer),
)
"""One row per manufacturer; NULL stands for the images that name none."""

project_members = Table(
    "project_members",
    _metadata,
    Column("project_id", Integer),
    Column("study_uid", Text),
)
"""One row per study of a project, by whichever key it was added: found, received or neither."""
