"""The first tables: what was found, and patients, studies, series and images, with two views.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")

_STUDY_METADATA = """
CREATE VIEW study_metadata AS
SELECT patients.patient_id AS patient_id, studies.study_uid AS study_uid,
       studies.study_date AS study_date, studies.patient_age AS patient_age,
       MIN(images.manufacturer) AS manufacturer, COUNT(images.id) AS image_count
FROM studies
JOIN patients ON patients.id = studies.patient_id
JOIN series ON series.study_id = studies.id
JOIN images ON images.series_id = series.id
GROUP BY studies.id, patients.patient_id, studies.study_uid, studies.study_date,
         studies.patient_age
"""

_MANUFACTURERS = """
CREATE VIEW manufacturers AS
SELECT images.manufacturer AS manufacturer, COUNT(*) AS image_count
FROM images GROUP BY images.manufacturer
"""


def upgrade() -> None:
    op.create_table(
        "studies_find",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_name", sa.Text()),
        sa.Column("patient_id", sa.Text()),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("study_date", sa.DateTime()),
        sa.Column("accession_number", sa.Text()),
        sa.Column("retrieved_on", sa.DateTime()),
        sa.Column("found_on", sa.DateTime()),
        sa.PrimaryKeyConstraint("id", name="pk_studies_find"),
    )
    op.create_index("ix_studies_find_study_uid", "studies_find", ["study_uid"], unique=True)
    op.create_table(
        "patients",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Text(), server_default="", nullable=False),
        sa.Column("patient_name", sa.Text()),
        sa.Column("patient_birth_date", sa.DateTime()),
        sa.Column("institution", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patients"),
        sa.UniqueConstraint("patient_id", "institution", name="uq_patients_patient_id_institution"),
    )
    op.create_table(
        "studies",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_find_id", sa.Integer()),
        sa.Column("patient_id", sa.Integer()),
        sa.Column("study_uid", sa.Text(), nullable=False),
        sa.Column("study_date", sa.DateTime()),
        sa.Column("patient_age", sa.Integer()),
        sa.Column("accession_number", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_studies"),
        sa.ForeignKeyConstraint(
            ["study_find_id"], ["studies_find.id"], name="fk_studies_study_find_id_studies_find"
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patients.id"], name="fk_studies_patient_id_patients"
        ),
    )
    op.create_index("ix_studies_study_uid", "studies", ["study_uid"], unique=True)
    op.create_table(
        "series",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_id", sa.Integer()),
        sa.Column("series_uid", sa.Text(), nullable=False),
        sa.Column("modality", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_series"),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name="fk_series_study_id_studies"),
    )
    op.create_index("ix_series_series_uid", "series", ["series_uid"], unique=True)
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.Integer()),
        sa.Column("institution", sa.Text()),
        sa.Column("patient_id", sa.Text()),
        sa.Column("patient_name", sa.Text()),
        sa.Column("study_uid", sa.Text()),
        sa.Column("study_date", sa.DateTime()),
        sa.Column("series_uid", sa.Text()),
        sa.Column("modality", sa.Text()),
        sa.Column("sop_class_uid", sa.Text()),
        sa.Column("image_uid", sa.Text(), nullable=False),
        sa.Column("acquisition_time", sa.Time()),
        sa.Column("manufacturer", sa.Text()),
        sa.Column("manufacturer_model_name", sa.Text()),
        sa.Column("meta", _JSON),
        sa.Column("filepath", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.ForeignKeyConstraint(["series_id"], ["series.id"], name="fk_images_series_id_series"),
    )
    op.create_index("ix_images_image_uid", "images", ["image_uid"], unique=True)
    op.create_index("ix_images_patient_id", "images", ["patient_id"])
    op.create_index("ix_images_study_uid", "images", ["study_uid"])
    op.execute(_STUDY_METADATA)
    op.execute(_MANUFACTURERS)
