"""`dicom-node hold`, `release`, `retry` and `cancel`: what is to be asked for, and what no more."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Output
from node.cli.studies.naming import (
    AccessionOption,
    ListOption,
    ProjectOption,
    names_of,
    of_project,
    resolved,
    unknown_lines,
)
from schema.text.words import counted, counted_are, verb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from node.config import Config
    from node.ops.overseeing.studies import EndedMoves
    from schema.deciding.holds import Decided
    from schema.engine.database import Database

    Hand = Callable[[Database, Sequence[str] | None, str | None], Awaitable[Decided | EndedMoves]]
    """Does what is wanted to studies; None: to all of a peer."""

UidsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="UID...", help="Study Instance UIDs.", show_default=False),
]
_PeerOption = Annotated[
    str | None,
    typer.Option(
        "--peer",
        metavar="PEER",
        autocompletion=completion.peers,
        help="Only at this peer; alone: all that is open there.",
    ),
]
_ReasonOption = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", help="Why: `dicom-node explain` shows it."),
]

_DUE = "due now"
"""What studies are that are to be asked for again."""


def hold(
    study: UidsArgument = None,
    accession: AccessionOption = None,
    listed: ListOption = None,
    project: ProjectOption = None,
    peer: _PeerOption = None,
    reason: _ReasonOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Do not ask for studies any more: neither the daemon does, nor a move that does not name them.

    What is on its way goes on; `dicom-node cancel --hold` ends it. Without --peer that holds at
    every peer, also where all has come, and at those that find the studies later. What is complete
    is left as it is.
    """
    from node.ops.overseeing.studies import hold as hand

    async def held(database: "Database", uids: "Sequence[str] | None", at: str | None) -> "Decided":
        return await hand(database, uids, peer=at, reason=reason)

    output = Output(json=json, quiet=quiet)
    _decide(study, accession, listed, project, peer, config, output, held, "held")


def release(
    study: UidsArgument = None,
    accession: AccessionOption = None,
    listed: ListOption = None,
    project: ProjectOption = None,
    peer: _PeerOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let studies that are held be asked for again, at once: their attempts count anew.

    Those that have become complete meanwhile are released as well, for when they grow. With --peer,
    at the last one where a study is held, it is not held at peers that find it later either.
    """
    from node.ops.overseeing.studies import release as hand

    async def released(
        database: "Database", uids: "Sequence[str] | None", at: str | None
    ) -> "Decided":
        return await hand(database, uids, peer=at)

    output = Output(json=json, quiet=quiet)
    _decide(study, accession, listed, project, peer, config, output, released, "released")


def retry(
    study: UidsArgument = None,
    accession: AccessionOption = None,
    listed: ListOption = None,
    project: ProjectOption = None,
    peer: _PeerOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Let studies be asked for at once that wait, have failed, were given up or are unwanted.

    Their attempts count from the beginning. They are asked for by the daemon, or by the next move,
    which judges anew whether they are wanted. What is held stays so until it is released.
    """
    from node.ops.overseeing.studies import retry as hand

    async def opened(
        database: "Database", uids: "Sequence[str] | None", at: str | None
    ) -> "Decided":
        return await hand(database, uids, peer=at)

    output = Output(json=json, quiet=quiet)
    _decide(study, accession, listed, project, peer, config, output, opened, _DUE)


def cancel(
    study: UidsArgument = None,
    accession: AccessionOption = None,
    listed: ListOption = None,
    project: ProjectOption = None,
    peer: _PeerOption = None,
    held: Annotated[
        bool, typer.Option("--hold", help="Hold the studies as well: nobody asks for them again.")
    ] = False,
    reason: _ReasonOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """End the moves of studies, or with --peer alone the moves from a peer, at once.

    Whichever process runs them, on whichever machine: the peer is told (C-CANCEL), what has come
    is kept, and the studies are pending again, or held: without --hold the daemon asks for them
    with its next cycle. A process that does not answer within seconds is taken for dead, and its
    attempts are ended for it.
    """
    from node.ops.overseeing.studies import end_moves, end_studies

    async def ended(
        database: "Database", uids: "Sequence[str] | None", at: str | None
    ) -> "EndedMoves":
        if uids is None and at is not None:
            return await end_moves(database, at, held=held, reason=reason)
        return await end_studies(database, uids or (), peer=at, held=held, reason=reason)

    output = Output(json=json, quiet=quiet)
    _decide(study, accession, listed, project, peer, config, output, ended, "held")


def _decide(
    study: list[str] | None,
    accession: list[str] | None,
    listed: Path | None,
    project: str | None,
    peer: str | None,
    config: Path | None,
    output: Output,
    hand: "Hand",
    what: str,
) -> None:
    """Do something to the studies that the options mean, and say what has become of them."""
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.overseeing.studies import EndedMoves

    if not (study or accession or listed or project or peer):
        raise UsageError(
            "say which studies: UID, --accession NUMBER, --list FILE, --project NAME, or --peer "
            "PEER for all that is open there"
        )
    settings = configured(config)
    at = None if peer is None else settings.peer(peer).name
    names = names_of(study, accession, listed, output)

    async def done() -> "tuple[Decided | EndedMoves, list[str]]":
        from node.cli.shell.start import database_of
        from node.ops.cycles import end_the_dead
        from node.ops.database import TO_ANSWER

        async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
            await end_the_dead(database, settings.node.aetitle)
            unknown: list[str] = []
            uids: Sequence[str] | None = None
            if names:
                found = await resolved(database, names, output, strict=True)
                uids, unknown = found.study_uids, unknown_lines(found, names)
            if project is not None:
                uids = await of_project(database, project, uids, output)
            return await hand(database, uids, at), unknown

    result, unknown = run(done())
    if output.json:
        output.document(
            {**_document(result, what), "unknown": unknown},
        )
    elif isinstance(result, EndedMoves):
        _say_ended(result, output, at)
        _say_what_follows(result, settings, output, at=None if names or project else at)
    else:
        _say_decided(result, output, what)
    if unknown:
        raise typer.Exit(Exit.FAILED)


def _document(result: "Decided | EndedMoves", what: str) -> dict[str, object]:
    from dataclasses import asdict

    document = asdict(result)
    if what != _DUE:
        document.pop("when_released", None)
    return document


def _say_decided(decided: "Decided", output: Output, what: str) -> None:
    if decided.changed or decided.when_released:
        output.print(f"{counted_are(decided.changed, 'study')} {what}")
    else:
        output.print("nothing is changed")
    if later := decided.when_released:
        output.note(f"{counted_are(later, 'study')} held, and due once released")
    for state, count in sorted(decided.unchanged.items()):
        output.note(f"{counted(count, 'study')} {verb(count, 'stay')} as before: {state}")


def _say_ended(ended: "EndedMoves", output: Output, peer: str | None) -> None:
    for cycle in ended.cycles:
        output.print(f"cycle {cycle}, the move from {peer}, has ended")
    if not ended.studies and not ended.cycles:
        output.print("Nothing was being moved")
    for uid in ended.studies:
        said = "; its process did not answer" if uid in ended.silent else ""
        output.print(f"{uid}: the attempt has ended{said}")
    if ended.held:
        output.print(f"{counted_are(ended.held, 'study')} held")


def _say_what_follows(
    ended: "EndedMoves", settings: "Config", output: Output, *, at: str | None
) -> None:
    """Say that the daemon asks again, where it does.

    Parameters
    ----------
    at
        The peer of which all moves have ended; None: those of some studies.
    """
    daily = () if settings.move.every is None else settings.move_peers
    if not ended.peers or {one.name for one in daily}.isdisjoint(ended.peers):
        return
    if at is not None:
        what = "other studies" if ended.held else "what is open there again"
        output.remark(
            f"the daemon asks {at} for {what} with its next cycle; "
            f"`dicom-node hold --peer {quote(at)}` prevents that"
        )
    elif not ended.held:
        them = "it" if len(ended.studies) == 1 else "them"
        output.remark(f"the daemon asks for {them} again with its next cycle; --hold prevents that")
