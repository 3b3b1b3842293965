"""Each study's own Patient's Name and Birth Date: a Patient ID may be of two persons.

They are those of the study's first image. `one_person` says whether all its images have the same:
that takes a look at the header of each, where the birth date is. A study at a time: what is looked
up of one is forgotten before the next, however many there are.

And of what is in quarantine, all who sent it: one row had the first of them.

Revision ID: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_IMAGES = "series JOIN images ON images.series_id = series.id WHERE series.study_id = studies.id"

_BORN_SQLITE = (
    "CASE WHEN typeof(images.meta) = 'text' AND json_valid(images.meta)"
    " THEN CAST(json_extract(images.meta, '$.\"00100030\".Value[0]') AS TEXT) END"
)
_BORN_POSTGRESQL = "images.meta -> '00100030' -> 'Value' ->> 0"

# What is no date, or written in another way than eight digits, is NULL here, and the study is none
# of one person: then its images are looked at.
_DAY_SQLITE = (
    "CASE WHEN said.born GLOB '[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]'"
    " AND said.born > '00010100'"
    " AND date({iso}, '+0 days') = {iso}"
    " THEN {iso} || ' 00:00:00.000000' END"
).format(
    iso="(substr(said.born, 1, 4) || '-' || substr(said.born, 5, 2) || '-'"
    " || substr(said.born, 7, 2))"
)

_DAY_POSTGRESQL = (
    "CASE WHEN said.born ~ '^(?!0000)[0-9]{{4}}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])$'"
    " THEN CASE WHEN to_char({day}, 'YYYYMMDD') = said.born THEN {day} END END"
).format(
    day="(CAST(substr(said.born, 1, 4) || '-' || substr(said.born, 5, 2) || '-01' AS timestamp)"
    " + (CAST(substr(said.born, 7, 2) AS integer) - 1) * INTERVAL '1 day')"
)


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("also_from", sa.Text()))
    op.add_column("studies", sa.Column("patient_name", sa.Text()))
    op.add_column("studies", sa.Column("patient_birth_date", sa.DateTime()))
    # a default that is a constant: neither database writes a row of the table for it
    op.add_column(
        "studies",
        sa.Column("one_person", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    sqlite = op.get_context().dialect.name == "sqlite"
    born, day = (_BORN_SQLITE, _DAY_SQLITE) if sqlite else (_BORN_POSTGRESQL, _DAY_POSTGRESQL)
    op.execute(
        "UPDATE studies SET (patient_name, patient_birth_date) = ("  # noqa: S608 - all ours
        f"SELECT said.patient_name, {day} FROM ("
        f"SELECT images.patient_name AS patient_name, {born} AS born FROM images"
        f" WHERE images.id = (SELECT MIN(images.id) FROM {_IMAGES})"
        ") AS said)"
    )
    differs = "IS NOT" if sqlite else "IS DISTINCT FROM"
    written = (
        "replace(substr(studies.patient_birth_date, 1, 10), '-', '')"
        if sqlite
        else "to_char(studies.patient_birth_date, 'YYYYMMDD')"
    )
    op.execute(
        "UPDATE studies SET one_person = NOT EXISTS ("  # noqa: S608 - all ours
        f"SELECT 1 FROM {_IMAGES} AND (images.patient_name {differs} studies.patient_name"
        f" OR ({born}) {differs} {written}))"
    )
    op.create_index("ix_studies_patient_birth_date", "studies", ["patient_birth_date"])
    several = sa.column("one_person", sa.Boolean()).is_(sa.false())
    op.create_index(
        "ix_studies_several_persons",
        "studies",
        ["one_person"],
        sqlite_where=several,
        postgresql_where=several,
    )


def downgrade() -> None:
    op.drop_column("quarantine", "also_from")
    op.drop_index("ix_studies_several_persons", "studies")
    op.drop_index("ix_studies_patient_birth_date", "studies")
    op.drop_column("studies", "one_person")
    op.drop_column("studies", "patient_birth_date")
    op.drop_column("studies", "patient_name")
