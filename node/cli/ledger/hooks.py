"""`dicom-node hooks`: what hooks were told, what waits, what failed and what they said."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from schema.hooking.listing import DeliverySummary

app = typer.Typer(
    help="List what hooks were told and what waits; have it told again.",
    no_args_is_help=True,
)

_STATES = ("waiting", "running", "done", "failed")

_HELP_OF_ID = "As `dicom-node hooks list` shows it."


@app.command("list")
def list_(
    hook: Annotated[
        str | None,
        typer.Option(
            metavar="HOOK",
            autocompletion=completion.hooks,
            help="Only what is for this hook of the configuration.",
        ),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(
            metavar="STATE",
            autocompletion=lambda incomplete: [s for s in _STATES if s.startswith(incomplete)],
            help=f"Only what is {', '.join(_STATES[:-1])} or {_STATES[-1]}.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many, the latest first.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show what hooks were told and are to be told, the latest first."""
    from node.cli.shell.start import configured, run
    from node.errors import UsageError

    if state is not None and state not in _STATES:
        raise UsageError(f"--state {state}: {', '.join(_STATES[:-1])} or {_STATES[-1]} is needed")
    found = run(_list(configured(config), hook, state, limit))
    output = Output(json=json)
    if json:
        output.document({"deliveries": found})
        return
    if not found:
        output.print(
            "Nothing was told to any hook yet" if state is None and hook is None else "None"
        )
        return
    output.table(
        [
            Column(key="id", right=True),
            "hook",
            "kind",
            "what",
            Column(key="created_on", title="since (UTC)"),
            "state",
            Column(key="attempts", right=True),
            "why",
        ],
        [
            {
                "id": one.id,
                "hook": one.hook,
                "kind": one.kind,
                "what": _subject(one),
                "created_on": one.created_on,
                "state": one.state,
                "attempts": one.attempts,
                "why": one.reason or "",
            }
            for one in found
        ],
    )


@app.command()
def show(
    id_: Annotated[
        int,
        typer.Argument(metavar="ID", help=_HELP_OF_ID, autocompletion=completion.deliveries),
    ],
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one delivery: the event, what became of it, and what the hook printed or answered."""
    from node.cli.shell.start import configured, run
    from schema.text.document import to_json

    one = run(_show(configured(config), id_))
    output = Output(json=json)
    if json:
        output.document(one)
        return
    output.fields(
        {
            "id": one.id,
            "hook": one.hook,
            "event": one.uuid,
            "kind": one.kind,
            "created_on": one.created_on,
            "data": to_json(one.data),
            "state": one.state,
            "attempts": one.attempts,
            "started_on": one.started_on,
            "done_on": one.done_on,
            "next_on": None if one.done_on else one.next_on,
            "node": one.node,
            "code": one.code,
            "reason": one.reason,
            "seconds": one.seconds,
        }
    )
    if one.output:
        output.print("")
        output.print(one.output.rstrip("\n"))


@app.command()
def retry(
    ids: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="ID...",
            help="As `dicom-node hooks list` shows them; without any, all that failed.",
            autocompletion=completion.deliveries,
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Have events told again by the node that runs: those that failed, or these.

    What was told already is told once more, under the same id; what a node is at goes on.
    """
    from node.cli.shell.start import configured, run
    from schema.text.words import counted_are

    found = run(_retry(configured(config), ids))
    output = Output(json=json)
    if json:
        output.document({"deliveries": found})
        return
    waiting = sum(one.state == "waiting" for one in found)
    output.print(f"{counted_are(waiting, 'delivery')} to be told again")
    for one in found:
        if one.state != "waiting":
            output.note(f"delivery {one.id} to {one.hook} is {one.state}")


async def _list(
    settings: "Config", hook: str | None, state: str | None, limit: int
) -> "list[DeliverySummary]":
    from node.cli.shell.start import database_of
    from node.ops.overseeing.deliveries import list_deliveries
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return await list_deliveries(settings, database, hook=hook, state=state, limit=limit)


async def _show(settings: "Config", id_: int) -> "DeliverySummary":
    from node.cli.shell.start import database_of
    from node.ops.overseeing.deliveries import get_delivery
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return await get_delivery(database, id_)


async def _retry(settings: "Config", ids: list[int] | None) -> "list[DeliverySummary]":
    from node.cli.shell.start import database_of
    from node.ops.overseeing.deliveries import retry_deliveries
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return await retry_deliveries(database, sorted(set(ids)) if ids else None)


def _subject(one: "DeliverySummary") -> str:
    """Write what an event is about."""
    if uid := one.data.get("study_uid"):
        return str(uid)
    if cycle := one.data.get("cycle"):
        return f"cycle {cycle}, the {one.data.get('kind')} at {one.data.get('peer')}"
    return str(one.data.get("peer") or "")
