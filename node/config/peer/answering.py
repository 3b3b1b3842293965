"""What the node answers when others ask: its limits as a Query/Retrieve SCP."""

from typing import Annotated

from pydantic import BeforeValidator

from node.config.sections import Section
from node.config.values import Count, items
from node.config.wanted.budget import Most


def _project_names(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in items(value))


ProjectNames = Annotated[tuple[str, ...], BeforeValidator(_project_names)]
"""Names of projects; they may have blanks, so a text has commas between them."""


class AnswerSettings(Section):
    """Queries and retrievals of others, whom `may_query` and `may_retrieve` allow them."""

    limit: Most = None
    """How many matches a query has at most; beyond, it is refused. Any number when absent."""
    examine: Count = 10_000
    """How many headers are read for keys that the index has no column for; beyond, refused."""
    queries: Count = 4
    """How many queries are answered at once; others wait for their turn."""
    retrievals: Count = 4
    """How many C-MOVEs and C-GETs send at once; others wait for their turn."""
