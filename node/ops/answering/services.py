"""What a running node offers beside storage: the handlers of its services."""

from collections.abc import AsyncIterator, Callable, Sequence

from node.config import Config
from node.net.messages import FindRequest, Services
from node.ops.answering.finding import IndexFinder, QueryLimits
from node.ops.answering.pace import QueryPace
from node.ops.answering.scopes import Scopes
from schema.engine.database import Database


def services(config: Config, database: Database, is_receiving: Callable[[], bool]) -> Services:
    """Return the services that answer from the index, but for storage.

    Parameters
    ----------
    is_receiving
        Tells whether objects come at the moment: they go first.
    """
    scopes = Scopes(config)
    finder = IndexFinder(
        database,
        aetitle=config.node.aetitle,
        limits=QueryLimits(
            matches=config.answer.limit or None,
            examined=config.answer.examine,
            at_once=config.answer.queries,
        ),
        pace=QueryPace(is_receiving),
    )

    def find(request: FindRequest) -> AsyncIterator[Sequence[bytes]]:
        return finder.answers(request, scopes.of(request.caller))

    return Services(find=find, repository=True, relational=True)
