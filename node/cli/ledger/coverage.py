"""`dicom-node coverage`: which dates of a peer are proven, as of when, and where the gaps are."""

import shlex
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.ledger.calendar import COLUMNS, LEGEND, keys_of, minute, utc, window_of, years
from node.cli.shell import completion
from node.cli.shell.dates import FromOption, LastOption, ToOption, asked_windows, moment
from node.cli.shell.hints import pasteable
from node.cli.shell.options import ConfigOption, JsonOption
from node.cli.shell.output import Column, Output
from schema.coverage.gaps import NOT_ASKED
from schema.text.words import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.config import Config
    from node.ops.overseeing.coverage import PeerCoverage
    from schema.coverage.gaps import Gap
    from schema.coverage.ledger import Coverage

_NAMED = 5
"""Ranges of dates that are named whose proof has expired, or that were never asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What is to be shown.

    Attributes
    ----------
    now
        What ages are counted from, naive UTC.
    limit
        How many gaps of each find.
    dates
        The only study dates; None: all.
    never
        What a peer that was asked for none of them was never asked for.
    undated
        Whether finds ask for the studies without a date, by the configuration.
    """

    now: datetime
    limit: int
    dates: tuple[date, date] | None
    never: str
    undated: bool


def coverage(
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER", autocompletion=completion.peers, help="Only this peer; else all."
        ),
    ] = None,
    first: FromOption = None,
    to: ToOption = None,
    last: LastOption = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            parser=moment,
            metavar="MOMENT",
            help="Show what was proven at this moment, by the questions put until then: "
            "2024-01-31T08:30 of this machine's time zone, 2024-01-31T07:30:00Z, or a day, which "
            "is its end.",
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many gaps of each find to list.")
    ] = 20,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show which study dates of a peer are proven, as of when, and what cannot be said.

    Proof that is older than find.proof allows is shown as due. The exit code is 1 while there are
    gaps, and where nothing was ever asked for; expired proof is no gap, nor are dates between
    others that were never asked for. Of dates that are named, those are gaps as well.
    """
    from node.cli.shell.exits import Exit
    from node.cli.shell.start import configured, run

    (window, *_), notes = asked_windows(first, to, last, ahead=None)
    dates = None
    if window.start is not None and window.end is not None:
        dates = window.start, window.end
    settings = configured(config)
    found = run(_ask(settings, peer, as_of, dates))
    output = Output(json=json)
    for note in notes:
        output.note(note)
    if json:
        output.document(
            {
                "as_of_on": as_of,
                "gaps": sum(one.gaps for one in found),
                "stale": sum(one.stale for one in found),
                "peers": [_document(one) for one in found],
            }
        )
    else:
        now = as_of or datetime.now(UTC).replace(tzinfo=None)
        until = "" if as_of is None else f" until {utc(as_of)}"
        which = "date" if dates is None else "of these dates"
        shown = Shown(
            now=now,
            limit=limit,
            dates=dates,
            never=f"any {which}{until}",
            undated=settings.find.undated,
        )
        _print(output, found, shown)
    if any(one.gaps for one in found) or not any(one.asked for one in found):
        raise typer.Exit(Exit.FAILED)


async def _ask(
    settings: "Config",
    peer: str | None,
    as_of: datetime | None,
    dates: tuple[date, date] | None,
) -> "list[PeerCoverage]":
    from node.cli.shell.start import database_of
    from node.ops.overseeing.coverage import coverage_of
    from node.ops.status import TO_ANSWER

    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return await coverage_of(settings, database, peer=peer, as_of=as_of, dates=dates)


def _document(one: "PeerCoverage") -> dict[str, object]:
    return {
        "peer": one.peer,
        "configured": one.configured,
        "asked": one.asked,
        "scopes": [
            {
                "query": scope.query,
                "first_date": scope.stretches[0].first if scope.stretches else None,
                "last_date": scope.stretches[-1].last if scope.stretches else None,
                "proven_on": scope.proven_on,
                "undated": _undated(scope),
                "months": [
                    {
                        "month": f"{month.year:04}-{month.month:02}",
                        "state": month.state,
                        "proven_days": month.proven,
                        "gap_days": month.gaps,
                        "stale_days": month.stale,
                        "oldest_proof_on": month.oldest,
                    }
                    for month in scope.months
                ],
                "gaps": [_gap(gap) for gap in scope.gaps],
                "unasked": [
                    {"first_date": one.first, "last_date": one.last} for one in scope.unasked
                ],
                "stale": [
                    {
                        "first_date": one.first,
                        "last_date": one.last,
                        "proven_on": one.proven_on,
                    }
                    for one in scope.stale
                ],
            }
            for scope in one.scopes
        ],
    }


def _undated(scope: "Coverage") -> dict[str, object] | None:
    if (asked := scope.undated) is None:
        return None
    return {
        "outcome": asked.outcome,
        "asked_on": asked.asked_on,
        "proven_on": asked.covered_on,
    }


def _gap(gap: "Gap") -> dict[str, object]:
    from node.ops.finding.proving.remedies import remedy_of

    return {
        "first_date": gap.first,
        "last_date": gap.last,
        "start_time": gap.start_time,
        "end_time": gap.end_time,
        "keys": gap.axes,
        "undated": gap.undated,
        "outcome": gap.outcome,
        "status": gap.status,
        "comment": gap.comment,
        "message": gap.message,
        "remedy": remedy_of(gap),
        "questions": gap.questions,
        "asked_on": gap.asked_on,
        "proven_on": gap.proven_on,
        "cycle_id": gap.cycle_id,
    }


def _print(output: Output, found: "list[PeerCoverage]", shown: Shown) -> None:
    for one in found:
        if not one.scopes:
            output.print(f"{one.peer}: never asked for {shown.never}")
        for scope in one.scopes:
            _print_scope(output, one, scope, shown)
            if one.configured:
                _print_remedies(output, one.peer, scope)
        if not one.configured:
            output.print(f"{one.peer} is no peer of the configuration: nobody can ask it")
    if any(scope.months for one in found for scope in one.scopes):
        output.print(LEGEND)


def _print_scope(output: Output, one: "PeerCoverage", scope: "Coverage", shown: Shown) -> None:
    name = f"{one.peer}, only {keys_of(scope.query)}" if scope.query else one.peer
    if not scope.stretches:
        output.print(f"{name}: never asked for {shown.never}")
    else:
        dates = f"{scope.stretches[0].first or '...'} to {scope.stretches[-1].last or '...'}"
        proof = (
            "nothing is proven"
            if scope.proven_on is None
            else f"oldest proof {utc(scope.proven_on)}"
        )
        output.print(f"{name}: {dates}, {proof}, {counted(len(scope.gaps), 'gap')}")
    if scope.months:
        output.table(COLUMNS, years(scope.months, shown.now, named=shown.dates))
    if shown.dates is None:
        output.print(f"studies without a date: {_said_of_undated(scope)}")
    if scope.stale:
        dates = ", ".join(f"{one.first} to {one.last}" for one in scope.stale[-_NAMED:])
        more = f", and {len(scope.stale) - _NAMED} more" if len(scope.stale) > _NAMED else ""
        output.print(f"due, as the proof has expired: {dates}{more}")
    if scope.unasked:
        dates = ", ".join(f"{one.first} to {one.last}" for one in scope.unasked[:_NAMED])
        more = f", and {len(scope.unasked) - _NAMED} more" if len(scope.unasked) > _NAMED else ""
        output.print(f"never asked for, which is no gap: {dates}{more}")
    if scope.stretches and scope.gaps:
        _print_gaps(output, scope, shown.limit)
    if one.configured and scope.gaps:
        _print_questions(output, one.peer, scope, undated=shown.undated)


def _print_questions(output: Output, peer: str, scope: "Coverage", *, undated: bool) -> None:
    """Say which command asks for the gaps of which more is known then.

    Parameters
    ----------
    undated
        Whether a find asks for the studies without a date, by the configuration.
    """
    from node.ops.finding.proving.remedies import Remedy, remedy_of

    gaps = [gap for gap in scope.gaps if remedy_of(gap) is Remedy.AGAIN]
    dated = [gap for gap in gaps if not gap.undated]
    if dated or (gaps and undated):
        named = [gap for gap in scope.gaps if not gap.undated] or gaps
        again = "" if all(gap.outcome == NOT_ASKED for gap in named) else " again"
        output.print(f"to ask{again}: {_command(peer, scope, dated)}")
    if len(gaps) > len(dated) and not undated:
        output.print("studies without a date are asked for with find.undated: true alone")


def _print_gaps(output: Output, scope: "Coverage", limit: int) -> None:
    output.print("")
    output.table(
        [
            Column(key="window", title="gap"),
            "outcome",
            "status",
            "why",
            Column(key="asked_on", title="asked (UTC)"),
            Column(key="proven_on", title="proven before (UTC)"),
        ],
        [
            {
                "window": window_of(gap),
                "outcome": gap.outcome,
                "status": None if gap.status is None else f"0x{gap.status:04X}",
                "why": gap.reason,
                "asked_on": gap.asked_on and minute(gap.asked_on),
                "proven_on": gap.proven_on and minute(gap.proven_on),
            }
            for gap in scope.gaps[:limit]
        ],
    )
    if len(scope.gaps) > limit:
        output.print(f"and {len(scope.gaps) - limit} more; --limit shows more, --json all")


def _command(peer: str, scope: "Coverage", gaps: "Sequence[Gap]") -> str:
    """Return which command asks for the dates of gaps, and for what else is open."""
    first = min((gap.first for gap in gaps if gap.first), default=None)
    last = max((gap.last for gap in gaps if gap.last), default=None)
    # with any dates a find asks for the studies without one; of these dates for what is not known
    dates = "--last 1d" if first is None or last is None else f"--from {first} --to {last}"
    options = {"ModalitiesInStudy": "--modality", "PatientID": "--patient-id"}
    keys = [
        f" {options[key]} {shlex.quote(value)}"
        for key, value in scope.query.items()
        if key in options
    ]
    what = f"{dates}{''.join(keys)} --only-gaps"
    return pasteable(f"dicom-node find {shlex.quote(peer)} {what}")


def _print_remedies(output: Output, peer: str, scope: "Coverage") -> None:
    """Say what closes the gaps for which it is of no use to ask again."""
    from node.ops.finding.proving.remedies import Remedy, remedy_of

    by_list = pasteable(f"dicom-node find {shlex.quote(peer)} --list FILE")
    probe = pasteable(f"dicom-node probe {shlex.quote(peer)}")
    said = {
        Remedy.LIMIT: f"{peer} has more there than it answers at once. Raise its limit, name "
        f"further keys that it understands in find.axes, or name the studies: {by_list}",
        Remedy.PROBE: f"nothing shows that {peer} has answered all. Find out how it answers: "
        f"{probe}, or say in peers.{peer}.profile what it answers at most (cap; 0: all)",
        Remedy.NAMES: f"what {peer} says there has no Study Instance UID: only its maker can help",
        Remedy.UNDATED: f"{peer} does not say all where no date is asked for. Name the studies: "
        f"{by_list}, or ask for none (find.undated: false)",
    }
    counts = Counter(remedy_of(gap) for gap in scope.gaps)
    for remedy, text in said.items():
        if count := counts[remedy]:
            output.print(f"{counted(count, 'gap')} stay{'s' * (count == 1)}: {text}")


def _said_of_undated(scope: "Coverage") -> str:
    if (asked := scope.undated) is None:
        return "never asked for"
    if asked.covered_on is None:
        return f"not proven: {asked.outcome}"
    return f"proven as of {utc(asked.covered_on)}"
