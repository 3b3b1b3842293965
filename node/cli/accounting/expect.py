"""`dicom-node expect`: how long the rest takes, from what was measured."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.accounting.words import left_of, rest_of
from node.cli.explaining.words import utc
from node.cli.shell import completion
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.accounting.expecting import Forecast


def expect(
    peer: Annotated[
        str | None,
        typer.Argument(metavar="PEER", autocompletion=completion.peers, help="Only this peer."),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say how long the rest takes, from what moves have brought in the last 7 days.

    The hours, budgets and the limit of the configuration count. The exit code is 1 where there is
    no date.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run

    found = run(_ask(configured(config), peer))
    output = Output(json=json)
    if json:
        output.document({"peers": found})
    elif not found:
        output.print("Nothing was found yet: nothing is left.")
    for one in found:
        output.print(f"{one.peer}, as of {utc(one.as_of)}:")
        output.print(f"  {left_of(one)}")
        if one.studies:
            output.print(f"  {rest_of(one)}")
    if any(one.why for one in found):
        raise typer.Exit(Exit.FAILED)


async def _ask(settings: "Config", peer: str | None) -> "list[Forecast]":
    from node.cli.shell.start import database_of
    from node.ops.accounting.expecting import expectations

    async with database_of(settings) as database:
        return await expectations(settings, database, peer=peer)
