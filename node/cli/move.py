"""`dicom-node move`: retrieve the studies that were found and are not here yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.ledger.moves import open_elsewhere
from node.cli.shell import completion
from node.cli.shell.dates import UntilOption
from node.cli.shell.options import LARGEST_PRIORITY, ConfigOption, JsonOption, QuietOption
from node.cli.shell.output import Output
from node.cli.shell.tour import TourDisplay
from node.cli.studies.moved import print_moved, print_plan, print_so_far, shown_on
from node.cli.studies.naming import (
    AccessionOption,
    ListOption,
    Names,
    ProjectOption,
    names_of,
    of_project,
    resolved,
    unknown_lines,
)
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.moving.choice import Choice
    from node.ops.moving.report import MoveReport
    from node.ops.moving.standing import Plan
    from node.ops.tour import PeerTrouble, Tour
    from schema.engine.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a move is about.

    Attributes
    ----------
    peers
        From which; `chosen` says whether they were named.
    until
        When no further study is asked for; None is never.
    """

    peers: list[str]
    chosen: bool
    names: Names
    project: str | None
    limit: int | None
    priority: int | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meant:
    """The studies that a move is about: None is all; and how many of a list nobody has found."""

    uids: Sequence[str] | None
    unknown: int


def move(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER",
            autocompletion=completion.peers,
            help="Only studies that were found at this peer, from there; as --from PEER.",
        ),
    ] = None,
    from_: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="PEER",
            autocompletion=completion.peers,
            help="Only from this peer, also what others have as well; may be repeated: then from "
            "each, in this order.",
        ),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(metavar="UID", help="Only this Study Instance UID; may be repeated."),
    ] = None,
    accession: AccessionOption = None,
    listed: ListOption = None,
    project: ProjectOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many studies.")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(
            min=-LARGEST_PRIORITY,
            max=LARGEST_PRIORITY,
            metavar="N",
            help="Give the studies of --study, --accession, --list or --project this priority, now "
            "and for later moves: the highest first.",
        ),
    ] = None,
    until: UntilOption = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many studies to ask for at once, as far as the peer takes that; "
            "move.concurrency unless said.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be asked for; ask nobody.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="The same as --dry-run.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Retrieve the studies that were found and are not complete here (C-MOVE, C-GET or WADO-RS).

    Works beside a running node, and receives by itself when none is running. One process at a time
    moves from a peer: while the node does, nothing is asked for, but --priority is kept, and the
    node goes by it. What an operator holds is asked for only where --study, --accession or --list
    names it. The exit code is 1 when a study is not complete afterwards; it is kept for the next
    time. What the policy (move.want) does not want counts only where it is named so.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run
    from node.errors import UsageError
    from node.ops.moving.choice import peers_to_move_from

    output = Output(json=json, quiet=quiet)
    if priority is not None and not (study or accession or listed or project):
        raise UsageError(
            "--priority goes with --study UID, --accession NUMBER, --list FILE or --project NAME: "
            "say of what"
        )
    if peer is not None and from_:
        raise UsageError("PEER is short for --from PEER: name each peer with --from")
    settings = configured(config)
    if concurrency is not None:
        changed = settings.move.model_copy(update={"concurrency": concurrency})
        settings = settings.model_copy(update={"move": changed})
    named = [peer] if peer is not None else from_ or []
    asked = _Asked(
        peers=peers_to_move_from(settings, named),
        chosen=bool(named),
        names=names_of(study, accession, listed, output),
        project=project,
        limit=limit,
        priority=priority,
        until=until,
    )
    if dry_run or plan:
        planned, all_known = run(_plan(settings, asked, output))
        print_plan(planned, settings, output)
        if not all_known:
            raise typer.Exit(Exit.FAILED)
        return
    if not run(_move(settings, asked, output)):
        raise typer.Exit(Exit.FAILED)


async def _move(settings: "Config", asked: _Asked, output: Output) -> bool:
    """Move; return whether all that was meant is here."""
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.moving.peers import move_chosen
    from node.ops.moving.priority import prioritise
    from node.ops.moving.report import MoveNotes
    from node.ops.moving.standing import standing_of
    from node.ops.overseeing.policies import judge_anew

    notes = MoveNotes()
    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        meant = await _meant(database, asked, output)
        if asked.priority is not None:
            await prioritise(database, meant.uids or (), asked.priority)
        await judge_anew(settings, database, asked.peers)
        chosen = await _chosen(settings, database, asked, meant)
        try:
            with TourDisplay(output, alone=len(chosen) == 1) as display:
                watch = shown_on(display, notes)
                tour = await move_chosen(
                    settings, database, chosen, watch=watch, proceed=_before(asked.until)
                )
            _say_who_moves(tour, asked, output)
            tour.raise_if_vain()
        except BaseException:
            print_so_far(notes.reports(), output)
            raise
        standing = await standing_of(database, asked.peers, study_uids=meant.uids)
        print_moved(
            tour,
            notes.reports(),
            standing,
            settings,
            output,
            project=asked.project,
            named=bool(asked.names),
            until=None if asked.until is None else _in_words(asked.until),
        )
        everywhere = asked.chosen or not any(
            tally.peer in settings.peers for tally in standing.elsewhere
        )
        whole = _is_whole(tour.troubles, tour.reports, named=bool(asked.names))
        return everywhere and not meant.unknown and whole


def _say_who_moves(tour: "Tour[MoveReport]", asked: _Asked, output: Output) -> None:
    """Say what becomes of studies of a peer from which another process moves.

    Raises
    ------
    Busy
        Nothing could be moved at all for that.
    """
    from node.errors import Busy

    busy = [one.error for one in tour.troubles if isinstance(one.error, Busy)]
    if not busy:
        return
    said = "a running node asks for what is neither held nor given up by itself, "
    if asked.priority is not None:
        said += f"and for these next, if none is before them: their priority is {asked.priority}"
    else:
        said += "with its next studies: those that are given a `--priority N` above others first"
    if not tour.reports and tour.troubles[0].error is busy[0]:
        raise Busy(f"{busy[0]}; {said}") from busy[0]
    output.note(said)


def _is_whole(
    troubles: "Sequence[PeerTrouble]", reports: "Sequence[MoveReport]", *, named: bool
) -> bool:
    """Tell whether all came that was to; what the policy does not want is, where it is named."""
    from node.ops.moving.report import StudyOutcome

    unwanted = any(
        result.outcome is StudyOutcome.UNWANTED for report in reports for result in report.results
    )
    if troubles or (named and unwanted):
        return False
    return not any(report.incomplete or report.left for report in reports)


async def _plan(settings: "Config", asked: _Asked, output: Output) -> "tuple[Plan, bool]":
    """Return what would be asked for, and whether all that was named is known."""
    from node.cli.shell.start import database_of
    from node.config.peer.settings import RetrieveWay
    from node.ops.moving.standing import planned, standing_of
    from node.ops.overseeing.policies import policies_of, to_judge_anew
    from node.ops.probing.knowledge import knowledge_of
    from node.ops.retrieving.way import way_of

    async with database_of(settings) as database:
        meant = await _meant(database, asked, output)
        chosen = await _chosen(settings, database, asked, meant, by_priority=asked.priority is None)
        standing = await standing_of(database, asked.peers, study_uids=meant.uids)
        for tally in standing.elsewhere:
            output.remark(open_elsewhere(tally, settings, asked.project))
        for name in chosen:
            known = await knowledge_of(settings, database, name)
            way = way_of(settings.peer(name), known)
            if way is RetrieveWay.MOVE and known.moves_nothing:
                output.remark(f"{name} accepted no C-MOVE when it was probed")
        policies = policies_of(settings)
        again = await to_judge_anew(database, {name: policies[name] for name in asked.peers})
        if again:
            output.remark(
                f"{counted(again, 'study')} would be judged anew first: the policy was another one"
            )
        plan = await planned(database, chosen, policies=policies, priority=asked.priority)
        return plan, not meant.unknown


async def _meant(database: "Database", asked: _Asked, output: Output) -> _Meant:
    """Return which studies are meant; say which of a list, and how many of a project, cannot be."""
    names, uids, unknown = asked.names, None, 0
    if names:
        found = await resolved(database, names, output)
        unknown = len(unknown_lines(found, names))
        options = [uid for uid in names.study_uids if uid in names.options]
        uids = list(dict.fromkeys([*options, *found.study_uids]))
    if asked.project is not None:
        uids = await of_project(database, asked.project, uids, output)
    return _Meant(uids=uids, unknown=unknown)


async def _chosen(
    settings: "Config",
    database: "Database",
    asked: _Asked,
    meant: _Meant,
    *,
    by_priority: bool = True,
) -> "Choice":
    from node.ops.moving.choice import choose

    return await choose(
        database,
        asked.peers,
        study_uids=meant.uids,
        named=[uid for uid in asked.names.study_uids if uid in asked.names.options],
        limit=asked.limit,
        by_priority=by_priority,
        order=settings.move.order,
        held=bool(asked.names),
    )


def _before(until: datetime | None) -> Callable[[], bool]:
    """Return what says whether it is before a time; None never comes."""
    return lambda: until is None or datetime.now(UTC) < until


def _in_words(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
