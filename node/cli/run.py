"""`dicom-node run`: the long-running node."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell.options import ConfigOption

if TYPE_CHECKING:
    from node.config import Config


def run(
    config: ConfigOption = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Listen at this address instead.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Listen on this port instead.")
    ] = None,
) -> None:
    """Be the node: receive and index images, and find and move on schedule.

    Runs until SIGTERM or Control-C; then drains: no new associations, running ones may end.
    """
    from node.cli.shell import start

    settings = start.configured(config, flags={"node.host": host, "node.port": port}, verbose=True)
    start.run(_serve(settings))


async def _serve(settings: "Config") -> None:
    import asyncio

    from node.daemon.supervisor import serve, stop_on_signals
    from node.ops.database import TO_ANSWER
    from node.ops.hooking.listeners import listeners_of
    from schema import Database

    stop = asyncio.Event()
    stop_on_signals(stop)
    async with Database(
        settings.storage.resources,
        transaction_timeout=TO_ANSWER,
        info=listeners_of(settings).info(),
    ) as database:
        await serve(settings, database, stop=stop)
