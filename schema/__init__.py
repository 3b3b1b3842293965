"""What the node has found and received, as a SQL database: usable alone, in a notebook.

from schema import Database, Image, add_image

async with Database("sqlite:///var/node.db") as db:
    await db.initialize()
    async with db.begin() as session:
        await add_image(session, "image.dcm")
"""

from sqlalchemy.ext.asyncio import AsyncSession

from schema.blocking import SyncDatabase
from schema.columns import Base, utcnow
from schema.crud import (
    Added,
    CycleSummary,
    Found,
    StudySummary,
    Summary,
    add_found_study,
    add_image,
    add_images,
    add_quarantined,
    add_window,
    count_images,
    finish_cycle,
    get_studies_to_move,
    get_study_uids_to_move,
    image_uids,
    interrupt_cycles,
    recent_studies,
    record_found,
    record_move_attempt,
    replace_file,
    start_cycle,
    summary,
    update_retrieved_study,
)
from schema.database import Database
from schema.dcm2model import (
    ImageRecord,
    dcm2dbmodels,
    dcm2image,
    dcm2patient,
    dcm2series,
    dcm2study,
    dcm2study_finding,
    read_record,
    record_from_bytes,
)
from schema.dicomjson import Header, header_of, read_header, to_dataset
from schema.errors import (
    DatabaseUnavailable,
    DriverMissing,
    InvalidDatabaseSource,
    InvalidDicom,
    NotLoaded,
    SchemaAhead,
    SchemaBehind,
    SchemaError,
    SchemaMissing,
    UnknownTable,
)
from schema.ledger import Cycle, FindWindow, Quarantined
from schema.migrate import Migration, Revision
from schema.models import Image, Patient, Series, Study, StudyFind
from schema.projects import Project, ProjectStudy
from schema.retry import retrying
from schema.sessions import DBWrapper, get_db_session, initialize_database
from schema.source import database_url
from schema.values import clean_text, parse_age, parse_date, parse_datetime, parse_time
from schema.views import manufacturers, project_members, study_metadata

__all__ = [
    "Added",
    "AsyncSession",
    "Base",
    "Cycle",
    "CycleSummary",
    "DBWrapper",
    "Database",
    "DatabaseUnavailable",
    "DriverMissing",
    "FindWindow",
    "Found",
    "Header",
    "Image",
    "ImageRecord",
    "InvalidDatabaseSource",
    "InvalidDicom",
    "Migration",
    "NotLoaded",
    "Patient",
    "Project",
    "ProjectStudy",
    "Quarantined",
    "Revision",
    "SchemaAhead",
    "SchemaBehind",
    "SchemaError",
    "SchemaMissing",
    "Series",
    "Study",
    "StudyFind",
    "StudySummary",
    "Summary",
    "SyncDatabase",
    "UnknownTable",
    "add_found_study",
    "add_image",
    "add_images",
    "add_quarantined",
    "add_window",
    "clean_text",
    "count_images",
    "database_url",
    "dcm2dbmodels",
    "dcm2image",
    "dcm2patient",
    "dcm2series",
    "dcm2study",
    "dcm2study_finding",
    "finish_cycle",
    "get_db_session",
    "get_studies_to_move",
    "get_study_uids_to_move",
    "header_of",
    "image_uids",
    "initialize_database",
    "interrupt_cycles",
    "manufacturers",
    "parse_age",
    "parse_date",
    "parse_datetime",
    "parse_time",
    "project_members",
    "read_header",
    "read_record",
    "recent_studies",
    "record_found",
    "record_from_bytes",
    "record_move_attempt",
    "replace_file",
    "retrying",
    "start_cycle",
    "study_metadata",
    "summary",
    "to_dataset",
    "update_retrieved_study",
    "utcnow",
]
