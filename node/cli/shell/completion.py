"""What a shell completes beside commands and options: peers, projects, what is in quarantine.

The configuration that the command line names so far is read, and the database is asked for a
moment at most. Whatever goes wrong, nothing is offered and nothing is said: the user is typing.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from schema.text.words import counted

if TYPE_CHECKING:
    from schema.engine.database import Database

Offer = str | tuple[str, str]
"""A word, perhaps with what it means."""

_PATIENCE = 2.0
"""Seconds that the database has to answer."""

_MOST = 200
"""Objects of the quarantine, or cycles, that are offered."""


def peers(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the peers of the configuration."""
    try:
        from node.config import load

        known = load(_config(ctx)).config.peers
        return [(name, peer.place) for name, peer in known.items() if name.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - a message would land in the line that is being typed
        return []


def peers_and_here(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the peers of the configuration, and this node itself."""
    here = ("here", "this node's own index")
    return [*peers(ctx, incomplete), *([here] if "here".startswith(incomplete) else [])]


def projects(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the projects, with how many studies each has."""

    async def ask(database: "Database") -> list[Offer]:
        from schema.project.reports import list_projects

        async with database.session() as session:
            known = await list_projects(session)
        return [(one.name, counted(one.studies, "study")) for one in known]

    return _of_database(ctx, incomplete, ask)


def quarantined(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the objects in quarantine by their keys, each with its kind."""

    async def ask(database: "Database") -> list[Offer]:
        from schema.quarantine import quarantine_page

        async with database.session() as session:
            rows = await quarantine_page(session, limit=_MOST)
        return [(str(row.id), f"{row.kind}: {row.reason}") for row in rows]

    return _of_database(ctx, incomplete, ask)


def cycles(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the latest cycles by their ids, each with what it is."""

    async def ask(database: "Database") -> list[Offer]:
        from schema.reports import recent_cycles

        async with database.session() as session:
            rows = await recent_cycles(session, limit=_MOST)
        return [(str(row.id), f"{row.kind} at {row.peer}: {row.outcome}") for row in rows]

    return _of_database(ctx, incomplete, ask)


def deliveries(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer what hooks were last told by its ids, each with what it is."""

    async def ask(database: "Database") -> list[Offer]:
        from schema.hooking.listing import recent_deliveries

        async with database.session() as session:
            rows = await recent_deliveries(session, limit=_MOST)
        return [(str(row.id), f"{row.hook}: {row.kind}, {row.state}") for row in rows]

    return _of_database(ctx, incomplete, ask)


def hooks(ctx: typer.Context, incomplete: str) -> list[Offer]:
    """Offer the hooks of the configuration."""
    try:
        from node.config import load

        return [one for one in load(_config(ctx)).config.hooks if one.startswith(incomplete)]
    except Exception:  # noqa: BLE001 - as above
        return []


def kinds(incomplete: str) -> list[Offer]:
    """Offer the kinds of what is in quarantine."""
    from schema.tables.ledger import QuarantineKind

    return [kind.value for kind in QuarantineKind if kind.value.startswith(incomplete)]


def _config(ctx: typer.Context) -> Path | None:
    named = ctx.params.get("config")
    return Path(named) if named else None


def _of_database(
    ctx: typer.Context, incomplete: str, ask: "Callable[[Database], Awaitable[list[Offer]]]"
) -> list[Offer]:
    try:
        import asyncio

        from node.config import load
        from schema.engine.database import Database

        url = load(_config(ctx)).config.storage.resources

        async def offers() -> list[Offer]:
            async with asyncio.timeout(_PATIENCE), Database(url) as database:
                await database.check()
                return await ask(database)

        found = asyncio.run(offers())
    except Exception:  # noqa: BLE001 - as above
        return []
    return [offer for offer in found if _word(offer).startswith(incomplete)]


def _word(offer: Offer) -> str:
    return offer if isinstance(offer, str) else offer[0]
