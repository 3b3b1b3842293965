"""What hooks were told, and are to be: for an operator, who may have it told again."""

from collections.abc import Collection

from node.config import Config
from node.errors import UsageError
from schema import Database
from schema.hooking.listing import (
    DeliverySummary,
    get_deliveries,
    recent_deliveries,
    tell_again,
)


async def list_deliveries(
    config: Config, database: Database, *, hook: str | None, state: str | None, limit: int
) -> list[DeliverySummary]:
    """Return what was and is told, the latest first.

    Raises
    ------
    UsageError
        Nothing was ever for this hook, and there is none of that name.
    """
    async with database.session() as session:
        found = await recent_deliveries(session, hook=hook, state=state, limit=limit)
    if hook is not None and not found and hook not in config.hooks:
        known = ", ".join(config.hooks) or "none"
        raise UsageError(f"there is no hook {hook}; the configuration has {known}")
    return found


async def get_delivery(database: Database, delivery: int) -> DeliverySummary:
    """Return one of them.

    Raises
    ------
    UsageError
        It does not exist.
    """
    async with database.session() as session:
        found = await get_deliveries(session, [delivery])
    _check([delivery], found)
    return found[0]


async def retry_deliveries(
    database: Database, deliveries: Collection[int] | None
) -> list[DeliverySummary]:
    """Have events told again by the node that runs, and return where these stand.

    What a node is at goes on.

    Parameters
    ----------
    deliveries
        None: all that were given up.

    Raises
    ------
    UsageError
        One of them does not exist; then none is told again.
    """
    if deliveries is not None:
        async with database.session() as session:
            _check(deliveries, await get_deliveries(session, deliveries))
    again = await database.run(tell_again, deliveries)
    async with database.session() as session:
        return await get_deliveries(session, again if deliveries is None else deliveries)


def _check(wanted: Collection[int], found: Collection[DeliverySummary]) -> None:
    known = {one.id for one in found}
    for one in wanted:
        if one not in known:
            raise UsageError(f"there is no delivery {one}; `dicom-node hooks list` shows them")
