"""What the node answers when others ask: its limits as a Query/Retrieve SCP."""

from typing import Annotated

from pydantic import BeforeValidator

from node.config.durations import Deadline, Duration
from node.config.sections import Section
from node.config.values import Count, items
from node.config.wanted.budget import Most


def _project_names(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in items(value))


ProjectNames = Annotated[tuple[str, ...], BeforeValidator(_project_names)]
"""Names of projects; they may have blanks, so a text has commas between them."""


class AnswerSettings(Section):
    """Queries, retrievals and commitments of others, whom `may_query` and the like allow them."""

    limit: Most = None
    """How many matches a query has at most; beyond, it is refused. Any number when absent."""
    examine: Count = 10_000
    """How many headers are read for keys that the index has no column for; beyond, refused."""
    queries: Count = 4
    """How many queries are answered at once; others wait for their turn."""
    commit_wait: Deadline = Duration(900)
    """How long the report on a commitment waits for what was received and is not indexed yet."""
    commit_give_up: Deadline = Duration(604800)
    """How long it is tried to report, from when commitment was asked for."""
    retrievals: Count = 4
    """How many C-MOVEs and C-GETs send at once; others wait for their turn, which one that stands
    still lends."""
