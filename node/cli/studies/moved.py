"""What a move shows: what it would ask for, how far it is, and what came of the studies."""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from node.cli.ledger.moves import nothing_at, open_elsewhere
from node.cli.shell.output import Column, Output
from node.cli.shell.tour import TourDisplay, troubles_of
from schema.text.words import counted, counted_are

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.ops.moving.report import MoveNotes, MoveReport, MoveWatcher
    from node.ops.moving.standing import Plan, Standing
    from node.ops.tour import Tour

_REASONS = 5
"""So many reasons are told apart."""


def print_plan(plan: "Plan", settings: "Config", output: Output) -> None:
    """Show what would be asked for, and what is not wanted."""
    planned = plan.studies
    if output.json:
        output.document({"would_move": planned, "not_wanted": plan.unwanted})
        return
    if planned:
        output.table(
            [
                Column(key="study_uid", title="study"),
                "peer",
                Column(key="study_date", title="date"),
                "modalities",
                *(Column(key=key, right=True) for key in ("received", "expected", "priority")),
            ],
            [asdict(one) for one in planned],
        )
    studies = counted(len({one.study_uid for one in planned}), "study")
    output.print(f"{studies} would be asked for, in this order; nobody was asked")
    for peer in dict.fromkeys(one.peer for one in plan.unwanted):
        reasons = [one.reason for one in plan.unwanted if one.peer == peer]
        output.print(not_wanted(peer, reasons))
    from node.ops.overseeing.policies import policy_of

    for peer in dict.fromkeys(one.peer for one in planned):
        if (policy := policy_of(settings, peer)).is_of_parts:
            output.print(
                f"{peer}: wanted is {policy}; what of each study is, if anything, is decided when "
                "the peer has listed its series"
            )


def not_wanted(peer: str, reasons: "Sequence[str]") -> str:
    """Say how many studies of a peer are not wanted, and why: the most frequent reasons."""
    told = Counter(reasons).most_common()
    parts = [
        f"{count} because {_of(count, why)}" if len(told) > 1 else _of(count, why)
        for why, count in told[:_REASONS]
    ]
    if (left := len(reasons) - sum(count for _, count in told[:_REASONS])) > 0:
        parts.append(f"{left} for other reasons")
    studies = counted_are(len(reasons), "study")
    return (
        f"{peer}: {studies} not wanted: {'; '.join(parts)}. "
        f"`move.want`, or `peers.{peer}.want`, says what is"
    )


def _of(count: int, why: str) -> str:
    """Return a reason of one study as it is said of so many."""
    if count == 1:
        return why
    of_many = (
        ("it has ", "they have "),
        ("its description matches ", "their descriptions match "),
    )
    for one, many in of_many:
        if why.startswith(one):
            return many + why.removeprefix(one)
    return why


def shown_on(display: TourDisplay, notes: "MoveNotes") -> "MoveWatcher":
    """Return what shows the move: images, over all studies of a peer."""
    from node.ops.moving.report import (
        MoveBegun,
        MoveReport,
        MoveWaits,
        StudyOutcome,
        StudyProgress,
    )
    from node.ops.tour import PeerTrouble

    progress: Progress
    latest = total = 0
    received: dict[str, int] = {}

    def watch(told: MoveBegun | MoveWaits | StudyProgress | MoveReport | PeerTrouble) -> None:
        nonlocal progress, latest, total
        notes.take(told)
        match told:
            case MoveBegun():
                label = f"move from {told.peer}"
                total = told.images
                progress = display.begin(label, unit="images", total=total or None)
                latest = 0
                received.clear()
            case MoveWaits():
                reason = "it goes on" if told.reason is None else f"waiting: {told.reason}"
                display.note(f"move from {told.peer}: {reason}")
            case StudyProgress():
                latest = max(latest, told.study)
                if told.study_uid not in received:  # what was here is no part of the rate
                    left = told.result is not None and told.result.outcome is StudyOutcome.SKIPPED
                    received[told.study_uid] = told.received if left else told.before or 0
                    if total and told.expected:
                        total = max(1, total - min(received[told.study_uid], told.expected))
                        progress.update(total=total)
                progress.advance(told.received - received[told.study_uid])
                received[told.study_uid] = told.received
                progress.update(text=f"study {latest} of {told.studies}")
            case MoveReport():
                display.end()
            case PeerTrouble():
                display.end(told)

    return watch


def _rows(reports: "list[MoveReport]") -> list[dict[str, object]]:
    return [
        {
            "peer": report.peer,
            "study_uid": result.study_uid,
            "outcome": result.outcome,
            "received": result.received,
            "arrived": result.arrived,
            "expected": result.expected,
            "message": result.message,
        }
        for report in reports
        for result in report.results
    ]


def print_so_far(reports: "list[MoveReport]", output: Output) -> None:
    """Say what was done before the move was ended."""
    if not reports:
        return
    if output.json:
        output.document({"studies": _rows(reports)})
    else:
        _print_studies(reports, output)


def print_moved(
    tour: "Tour[MoveReport]",
    reports: "list[MoveReport]",
    standing: "Standing",
    settings: "Config",
    output: Output,
    *,
    project: str | None,
    named: bool,
    until: str | None = None,
) -> None:
    """Show what came of the studies, and what is open elsewhere.

    Parameters
    ----------
    until
        When no further ones were asked for, in words; None where that was not said.
    """
    left = sum(report.left for report in tour.reports)
    if output.json:
        tallies = [
            {
                "peer": one.peer,
                "found": one.found,
                "complete": one.complete,
                "open": one.open,
                "unwanted": one.unwanted,
            }
            for one in (*standing.asked, *standing.elsewhere)
        ]
        left_out = {} if until is None else {"left": left}
        output.document(
            {"studies": _rows(reports), "peers": tallies, **left_out, **troubles_of(tour)}
        )
    elif not reports and not left:
        for tally in standing.asked:
            output.print(nothing_at(tally, project, named=named))
    else:
        _print_studies(reports, output)
    if until is not None and left:
        output.note(f"{counted_are(left, 'study')} left: not asked for after {until}")
    if output.json:
        return
    for tally in standing.elsewhere:
        output.remark(open_elsewhere(tally, settings, project))


def _print_studies(reports: "list[MoveReport]", output: Output) -> None:
    output.table(
        [
            Column(key="study_uid", title="study"),
            "outcome",
            Column(key="received", right=True),
            Column(key="expected", right=True),
        ],
        _rows(reports),
    )
    for report in reports:
        counts = report.counts()
        unwanted = [one.message for one in report.results if one.outcome == "unwanted"]
        if counts["studies"] or not unwanted:
            _print_counts(report, output)
        if unwanted:
            output.print(not_wanted(report.peer, unwanted))


def _print_counts(report: "MoveReport", output: Output) -> None:
    counts = report.counts()
    output.print(
        f"{report.peer}: {counts['complete']} of {counted(counts['studies'], 'study')} "
        f"complete, {counted(counts['images'], 'image')}"
    )
    if report.skipped:
        studies = counted_are(len(report.skipped), "study")
        output.note(f"{studies} left to another node that moves them")
    if report.incomplete:
        output.note(
            f"{counted_are(counts['incomplete'], 'study')} not complete: kept for the next move"
        )
