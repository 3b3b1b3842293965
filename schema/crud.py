"""Every function that reads or writes rows, in one place to import from.

They take the caller's session: an asynchronous one, and are awaited, or a synchronous one, and
have done it when they return (but for `export_project`, which is only asynchronous). The caller
owns the transaction, the functions flush and never commit. Sessions that write come from
`begin()` of a `Database` or of its `sync`.
"""

from schema.cycles import finish_cycle, interrupt_cycles, start_cycle
from schema.finding.asking import add_window
from schema.found import Found, add_found_study, record_found
from schema.images import Added, add_image, add_images, replace_file
from schema.inventory import count_images, image_uids
from schema.moves import (
    get_studies_to_move,
    get_study_uids_to_move,
    record_move_attempt,
    update_retrieved_study,
)
from schema.project.entries import (
    Entries,
    add_known_studies,
    add_to_project,
    create_project,
    delete_project,
    remove_from_project,
)
from schema.project.export import Exported, export_project
from schema.project.members import (
    Member,
    Unfound,
    get_ambiguous_accessions,
    get_project_members,
    get_project_study_uids,
    get_unfound,
)
from schema.project.reports import ProjectSummary, list_projects
from schema.project.selection import Criteria, select_studies
from schema.quarantine import add_quarantined
from schema.reports import CycleSummary, StudySummary, Summary, recent_studies, summary

__all__ = [
    "Added",
    "Criteria",
    "CycleSummary",
    "Entries",
    "Exported",
    "Found",
    "Member",
    "ProjectSummary",
    "StudySummary",
    "Summary",
    "Unfound",
    "add_found_study",
    "add_image",
    "add_images",
    "add_known_studies",
    "add_quarantined",
    "add_to_project",
    "add_window",
    "count_images",
    "create_project",
    "delete_project",
    "export_project",
    "finish_cycle",
    "get_ambiguous_accessions",
    "get_project_members",
    "get_project_study_uids",
    "get_studies_to_move",
    "get_study_uids_to_move",
    "get_unfound",
    "image_uids",
    "interrupt_cycles",
    "list_projects",
    "recent_studies",
    "record_found",
    "record_move_attempt",
    "remove_from_project",
    "replace_file",
    "select_studies",
    "start_cycle",
    "summary",
    "update_retrieved_study",
]
