"""What the node has found and received, as a SQL database: usable alone, in a notebook.

from schema import Database, Image, add_image

async with Database("sqlite:///var/node.db") as db:
    await db.initialize()
    async with db.begin() as session:
        await add_image(session, "image.dcm")

What is exported here is what a notebook or a script wants; docs/schema.md has a line for each.
The rest is imported from where it is. From the bottom to the top:

- `tables`: what the rows are. `header`: from DICOM bytes to DICOM JSON to a Dataset.
- `engine`: `Database`, its sessions and its migrations.
- `record`, `dcm2model`: one image as a value, and as rows. `images`, `found`, `moves`, `cycles`,
  `quarantine`, `hierarchy`: rows are written. `judgement`: what an object is whose UID is known,
  decided from facts. `reports`, `inventory`: they are counted and listed.
- `project`: named lists of studies. `mirroring`, `dumping`: whole tables, into another database
  and into files. `parsing`: folders of files into the index.
- `crud`, `database`, `dcm2model`, `parser`: the same functions under the names that pacsanini's
  users know.

A name is imported when it is first asked for: who wants a `Database` does not wait for pydicom
and alembic, nor who counts rows for what reads headers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession as AsyncSession

    from schema.coverage.ledger import get_coverage as get_coverage
    from schema.database import DBWrapper as DBWrapper
    from schema.database import database_url as database_url
    from schema.database import get_db_session as get_db_session
    from schema.database import initialize_database as initialize_database
    from schema.dcm2model import dcm2dbmodels as dcm2dbmodels
    from schema.dcm2model import dcm2image as dcm2image
    from schema.dcm2model import dcm2patient as dcm2patient
    from schema.dcm2model import dcm2series as dcm2series
    from schema.dcm2model import dcm2study as dcm2study
    from schema.dcm2model import dcm2study_finding as dcm2study_finding
    from schema.dumping.dump import dump_database as dump_database
    from schema.engine.database import Database as Database
    from schema.engine.synchronous import SyncDatabase as SyncDatabase
    from schema.errors import DatabaseUnavailable as DatabaseUnavailable
    from schema.errors import InvalidDatabaseSource as InvalidDatabaseSource
    from schema.errors import InvalidDicom as InvalidDicom
    from schema.errors import NotLoaded as NotLoaded
    from schema.errors import SchemaError as SchemaError
    from schema.errors import SchemaMissing as SchemaMissing
    from schema.errors import UnknownAttribute as UnknownAttribute
    from schema.found import add_found_study as add_found_study
    from schema.found import record_found as record_found
    from schema.header.dicomjson import header_of as header_of
    from schema.header.dicomjson import read_header as read_header
    from schema.header.dicomjson import to_dataset as to_dataset
    from schema.images import add_image as add_image
    from schema.images import add_images as add_images
    from schema.inventory import count_images as count_images
    from schema.inventory import image_uids as image_uids
    from schema.moves import get_studies_to_move as get_studies_to_move
    from schema.moves import get_study_uids_to_move as get_study_uids_to_move
    from schema.moves import update_retrieved_study as update_retrieved_study
    from schema.parser import ParseReport as ParseReport
    from schema.parser import parse_dir2sql as parse_dir2sql
    from schema.project.entries import add_to_project as add_to_project
    from schema.project.entries import create_project as create_project
    from schema.project.entries import delete_project as delete_project
    from schema.project.entries import remove_from_project as remove_from_project
    from schema.project.members import get_project_members as get_project_members
    from schema.project.members import get_project_study_uids as get_project_study_uids
    from schema.project.reports import list_projects as list_projects
    from schema.project.selection import Criteria as Criteria
    from schema.project.selection import select_studies as select_studies
    from schema.record import ImageRecord as ImageRecord
    from schema.record import read_record as read_record
    from schema.reports import summary as summary
    from schema.tables.attributes import header_number as header_number
    from schema.tables.attributes import header_text as header_text
    from schema.tables.columns import utcnow as utcnow
    from schema.tables.ledger import Cycle as Cycle
    from schema.tables.ledger import FindWindow as FindWindow
    from schema.tables.ledger import Quarantined as Quarantined
    from schema.tables.metadata import Base as Base
    from schema.tables.models import Image as Image
    from schema.tables.models import ImageInstance as ImageInstance
    from schema.tables.models import Patient as Patient
    from schema.tables.models import Series as Series
    from schema.tables.models import Study as Study
    from schema.tables.models import StudyFind as StudyFind
    from schema.tables.projects import Project as Project
    from schema.tables.projects import ProjectStudy as ProjectStudy
    from schema.tables.views import manufacturers as manufacturers
    from schema.tables.views import project_members as project_members
    from schema.tables.views import study_metadata as study_metadata

_EXPORTS: dict[str, tuple[str, ...]] = {
    "sqlalchemy.ext.asyncio": ("AsyncSession",),
    "schema.coverage.ledger": ("get_coverage",),
    "schema.database": (
        "DBWrapper",
        "database_url",
        "get_db_session",
        "initialize_database",
    ),
    "schema.dcm2model": (
        "dcm2dbmodels",
        "dcm2image",
        "dcm2patient",
        "dcm2series",
        "dcm2study",
        "dcm2study_finding",
    ),
    "schema.dumping.dump": ("dump_database",),
    "schema.engine.database": ("Database",),
    "schema.engine.synchronous": ("SyncDatabase",),
    "schema.errors": (
        "DatabaseUnavailable",
        "InvalidDatabaseSource",
        "InvalidDicom",
        "NotLoaded",
        "SchemaError",
        "SchemaMissing",
        "UnknownAttribute",
    ),
    "schema.found": (
        "add_found_study",
        "record_found",
    ),
    "schema.header.dicomjson": (
        "header_of",
        "read_header",
        "to_dataset",
    ),
    "schema.images": (
        "add_image",
        "add_images",
    ),
    "schema.inventory": (
        "count_images",
        "image_uids",
    ),
    "schema.moves": (
        "get_studies_to_move",
        "get_study_uids_to_move",
        "update_retrieved_study",
    ),
    "schema.parser": (
        "ParseReport",
        "parse_dir2sql",
    ),
    "schema.project.entries": (
        "add_to_project",
        "create_project",
        "delete_project",
        "remove_from_project",
    ),
    "schema.project.members": (
        "get_project_members",
        "get_project_study_uids",
    ),
    "schema.project.reports": ("list_projects",),
    "schema.project.selection": (
        "Criteria",
        "select_studies",
    ),
    "schema.record": (
        "ImageRecord",
        "read_record",
    ),
    "schema.reports": ("summary",),
    "schema.tables.attributes": (
        "header_number",
        "header_text",
    ),
    "schema.tables.columns": ("utcnow",),
    "schema.tables.ledger": (
        "Cycle",
        "FindWindow",
        "Quarantined",
    ),
    "schema.tables.metadata": ("Base",),
    "schema.tables.models": (
        "Image",
        "ImageInstance",
        "Patient",
        "Series",
        "Study",
        "StudyFind",
    ),
    "schema.tables.projects": (
        "Project",
        "ProjectStudy",
    ),
    "schema.tables.views": (
        "manufacturers",
        "project_members",
        "study_metadata",
    ),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}
_SUBMODULES = frozenset({"crud", "database", "dcm2model", "errors", "parser"})
"""What `import schema` alone gives as attributes."""

__all__ = list(_MODULE_OF)


if not TYPE_CHECKING:  # for a type checker, every name would be one

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is exported
        if name in _SUBMODULES:
            return import_module(f"schema.{name}")
        if (module := _MODULE_OF.get(name)) is None:
            raise AttributeError(f"module 'schema' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(module), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_SUBMODULES})
