"""What a running node offers beside storage: the handlers of its services."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from node.config import Config
from node.net.messages import FindRequest, Services, StoreRequest
from node.ops.answering.finding import IndexFinder, QueryLimits
from node.ops.answering.giving.giving import Giving
from node.ops.answering.pace import QueryPace
from node.ops.answering.scopes import Scopes
from schema.engine.database import Database


def services(
    config: Config,
    database: Database,
    is_receiving: Callable[[], bool],
    *,
    giving: Giving | None = None,
) -> Services:
    """Return the services that answer from the index, but for storage.

    Parameters
    ----------
    is_receiving
        Tells whether objects come at the moment: they go first.
    giving
        What answers retrievals; without it, there are none.
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
        names = request.caller.querying
        return finder.answers(request, scopes.of(names), scopes.limits_of(names))

    answered = Services(find=find, repository=True, relational=True)
    if giving is None:
        return answered
    retrieving, held = giving.retrieving, giving.held

    def arriving(request: StoreRequest) -> None:
        held.note(request.sop_class_uid, request.transfer_syntax_uid)

    return replace(
        answered, move=retrieving.move, get=retrieving.get, held=held.of, arriving=arriving
    )
