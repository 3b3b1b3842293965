"""`dicom-node cycles`: what ran and runs, and the operator's hand on it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.ledger.calendar import asked_by, dates_of, question_of
from node.cli.shell import completion
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.overseeing.history import CycleHistory
    from node.ops.overseeing.steering import CycleEnded, Steered
    from schema.engine.database import Database
    from schema.reports import CycleSummary

    Hand = Callable[[Database, CycleSummary], Awaitable[Steered]]
    """What is done to a cycle."""

app = typer.Typer(
    help="List finds and moves that ran and run; pause, resume or cancel them.",
    no_args_is_help=True,
)

_OF_WINDOW = (
    "id",
    "parent_id",
    "query",
    "start_date",
    "end_date",
    "start_time",
    "end_time",
    "axes",
    "undated",
    "outcome",
    "matches",
    "new",
    "status",
    "comment",
    "message",
    "asked_on",
    "covered_on",
)
_OF_STUDY = ("study_uid", "state", "attempts", "retrieved_on", "last_error")

IdsArgument = Annotated[
    list[int],
    typer.Argument(
        metavar="ID...",
        help="As `dicom-node cycles list` shows them.",
        autocompletion=completion.cycles,
    ),
]


@app.command("list")
def list_(
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="PEER", autocompletion=completion.peers, help="Only those at this peer."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many, the latest first.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show the finds and moves that ran and run, the latest first."""
    from node.cli.shell.start import configured, run

    cycles = run(_list(configured(config), peer, limit))
    output = Output(json=json)
    if json:
        output.document({"cycles": [_document(cycle) for cycle in cycles]})
        return
    if not cycles:
        where = "" if peer is None else f" at {peer}"
        output.print(f"No find or move{where} has run yet")
        return
    output.table(
        [
            Column(key="id", right=True),
            "kind",
            "peer",
            "outcome",
            Column(key="started_on", title="since (UTC)"),
            "node",
            Column(key="pid", right=True),
            "asked",
            "counts",
        ],
        [{**_row(cycle), "asked": asked_by(cycle)} for cycle in cycles],
    )


@app.command()
def show(
    id_: Annotated[
        int,
        typer.Argument(
            metavar="ID",
            help="As `dicom-node cycles list` shows it.",
            autocompletion=completion.cycles,
        ),
    ],
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many windows or studies to list.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show a cycle: what it asked for, window by window or study by study, and what came of it."""
    from node.cli.shell.start import configured, run
    from node.ops.overseeing.steering import way_on

    history = run(_show(configured(config), id_, limit))
    output = Output(json=json)
    if json:
        output.document(
            {
                **_document(history.cycle),
                "left": history.left and [one.document() for one in history.left],
                "windows": [_chosen(one, _OF_WINDOW) for one in history.windows],
                "studies": [_chosen(one, _OF_STUDY) for one in history.studies],
                "left_out": history.left_out,
            }
        )
        return
    cycle = history.cycle
    output.fields(
        {
            **_row(cycle),
            "finished_on": cycle.finished_on,
            "heard_on": cycle.heard_on,
            "message": cycle.message or way_on(cycle) or None,
            **_covers(history),
        }
    )
    if history.windows:
        output.print("")
        output.table(
            [
                "window",
                "outcome",
                Column(key="matches", right=True),
                Column(key="new", right=True),
                Column(key="asked_on", title="asked (UTC)"),
                "why",
            ],
            [
                {**_chosen(one, _OF_WINDOW), "window": question_of(one), "why": one.message or ""}
                for one in history.windows
            ],
        )
    if history.studies:
        output.print("")
        output.table(
            ["study_uid", "state", "why"],
            [{**_chosen(one, _OF_STUDY), "why": one.last_error or ""} for one in history.studies],
        )
    if history.left_out:
        output.print(f"and {history.left_out} more; --limit shows more")


@app.command()
def pause(ids: IdsArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let running cycles end the question or the study that they are at, and then wait.

    A pause outlives its process: the next cycle of the kind at the peer begins with it.
    """
    from node.ops.overseeing.steering import pause as hand

    _steer(ids, hand, Output(json=json), config)


@app.command()
def resume(ids: IdsArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Let paused cycles go on."""
    from node.ops.overseeing.steering import resume as hand

    _steer(ids, hand, Output(json=json), config)


@app.command()
def cancel(ids: IdsArgument, config: ConfigOption = None, json: JsonOption = False) -> None:
    """End cycles at once, whatever they are at; what they have recorded is kept.

    One whose process is dead is ended as well.
    """
    from node.ops.overseeing.steering import cancel as hand

    _steer(ids, hand, Output(json=json), config)


async def _list(settings: "Config", peer: str | None, limit: int) -> "list[CycleSummary]":
    from node.cli.shell.start import database_of
    from node.ops.cycles import end_the_dead
    from node.ops.status import TO_ANSWER
    from schema.reports import recent_cycles

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        await end_the_dead(database, settings.node.aetitle)
        async with database.session() as session:
            cycles = await recent_cycles(session, peer=peer, limit=limit)
    if peer is not None and not cycles:
        settings.peer(peer)
    return cycles


async def _show(settings: "Config", id_: int, limit: int) -> "CycleHistory":
    from node.cli.shell.start import database_of
    from node.ops.cycles import end_the_dead
    from node.ops.overseeing.history import history_of
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        await end_the_dead(database, settings.node.aetitle)
        return await history_of(database, id_, limit=limit)


def _steer(ids: list[int], hand: "Hand", output: Output, config: Path | None) -> None:
    """Do something to cycles, each by itself, and say what has become of them."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run

    done, ended = run(_steered(configured(config), list(dict.fromkeys(ids)), hand))
    if output.json:
        output.document(
            {
                "cycles": [_document(one.cycle) for one in done],
                "ended": [str(error) for error in ended],
            }
        )
    for one in done:
        output.print(_said(one))
    for error in ended:
        output.note(str(error))
    if ended:
        raise typer.Exit(Exit.FAILED)


async def _steered(
    settings: "Config", ids: list[int], hand: "Hand"
) -> "tuple[list[Steered], list[CycleEnded]]":
    import asyncio

    from node.cli.shell.start import database_of
    from node.ops.cycles import end_the_dead
    from node.ops.overseeing.steering import CycleEnded, Steered, get_cycles
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        await end_the_dead(database, settings.node.aetitle)
        cycles = await get_cycles(database, ids)
        came = await asyncio.gather(
            *(hand(database, cycle) for cycle in cycles), return_exceptions=True
        )
    for one in came:
        if isinstance(one, BaseException) and not isinstance(one, CycleEnded):
            raise one
    return (
        [one for one in came if isinstance(one, Steered)],
        [one for one in came if isinstance(one, CycleEnded)],
    )


def _said(steered: "Steered") -> str:
    """Write what has become of a cycle of which something was wanted."""
    from schema.tables.ledger import INTERRUPTED, PAUSED, RUNNING, Wish

    cycle = steered.cycle
    name = f"cycle {cycle.id}, the {cycle.kind} at {cycle.peer}"
    if cycle.outcome == RUNNING and cycle.wanted == Wish.PAUSE:
        said = f"{name}, pauses when what it is at has ended"
    elif cycle.outcome in (PAUSED, RUNNING):
        said = f"{name}, is {cycle.outcome}"
    elif cycle.outcome == INTERRUPTED:
        said = f"{name}, has ended: interrupted; the next one does not begin paused"
    else:
        said = f"{name}, has ended: {cycle.outcome}"
    if not steered.silent:
        return said
    return f"{said}; {cycle.message}" if cycle.message else f"{said}; its process is not heard of"


def _row(cycle: "CycleSummary") -> dict[str, object]:
    counts = ", ".join(f"{name} {count}" for name, count in cycle.counts.items())
    return {
        "id": cycle.id,
        "kind": cycle.kind,
        "peer": cycle.peer,
        "outcome": f"{cycle.outcome}, not heard of" if cycle.silent else cycle.outcome,
        "started_on": cycle.started_on,
        "node": cycle.node,
        "pid": cycle.pid,
        "counts": counts or cycle.message or "",
    }


def _covers(history: "CycleHistory") -> dict[str, str]:
    """Write what a find is to cover, and what is left of it; nothing where it is not known."""
    if history.asked is None or history.left is None:
        return {}
    return {
        "is to cover": "; ".join(map(dates_of, history.asked)) or "nothing but single studies",
        "left": "; ".join(map(dates_of, history.left)) or "nothing",
    }


def _document(cycle: "CycleSummary") -> dict[str, object]:
    from dataclasses import asdict

    from node.ops.overseeing.steering import way_on

    message = cycle.message or way_on(cycle) or None
    return {**asdict(cycle), "message": message}


def _chosen(row: object, keys: tuple[str, ...]) -> dict[str, object]:
    return {key: getattr(row, key) for key in keys}
