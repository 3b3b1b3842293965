"""Every function that reads or writes rows, in one place to import from.

All are asynchronous and take the caller's session: the caller owns the transaction, the
functions flush and never commit. Sessions that write come from `Database.begin()`.
"""

from schema.cycles import add_quarantined, add_window, finish_cycle, interrupt_cycles, start_cycle
from schema.found import Found, add_found_study, record_found
from schema.images import (
    Added,
    add_image,
    add_images,
    count_images,
    image_uids,
    replace_file,
)
from schema.moves import (
    get_studies_to_move,
    get_study_uids_to_move,
    record_move_attempt,
    update_retrieved_study,
)
from schema.reports import CycleSummary, StudySummary, Summary, recent_studies, summary

__all__ = [
    "Added",
    "CycleSummary",
    "Found",
    "StudySummary",
    "Summary",
    "add_found_study",
    "add_image",
    "add_images",
    "add_quarantined",
    "add_window",
    "count_images",
    "finish_cycle",
    "get_studies_to_move",
    "get_study_uids_to_move",
    "image_uids",
    "interrupt_cycles",
    "recent_studies",
    "record_found",
    "record_move_attempt",
    "replace_file",
    "start_cycle",
    "summary",
    "update_retrieved_study",
]
