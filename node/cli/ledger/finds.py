"""What a find came to, as `dicom-node find` shows it."""

from typing import TYPE_CHECKING

from node.cli.shell.output import Output
from node.cli.shell.tour import troubles_of
from schema.coverage.drift import in_words
from schema.text.words import counted, counted_are

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.ops.counting.peers import CountReport
    from node.ops.finding.report import FindReport
    from node.ops.tour import Tour

_NAMED = 10
"""Of each kind, those that are named."""


def print_found(
    tour: "Tour[FindReport]",
    output: Output,
    *,
    alone: bool,
    nothing: str,
    notes: "Sequence[str]" = (),
) -> None:
    """Print what finds came to.

    Parameters
    ----------
    alone
        Whether a single peer was to be asked.
    nothing
        Why there was nothing to ask, where there was not.
    notes
        What was said of the options, for the document.
    """
    if output.json:
        documents = [_document(report) for report in tour.reports]
        found = documents[0] if alone else {"peers": documents, **troubles_of(tour)}
        output.document({**found, "notes": list(notes)})
        return
    for report in tour.reports:
        _print_report(report, output, nothing)


def _document(report: "FindReport") -> dict[str, object]:
    return {
        "peer": report.peer,
        "outcome": report.outcome,
        **report.counts(),
        "late_dates": [
            {"first_date": one.first, "last_date": one.last, "studies": one.studies}
            for one in report.late
        ],
        "ambiguous": dict(report.ambiguous),
        "not_found": [query.keys() for query in report.absent],
        "failures": [
            {"window": str(failure), "outcome": failure.outcome, "message": failure.message}
            for failure in report.failures
        ],
    }


def _print_report(report: "FindReport", output: Output, nothing: str) -> None:
    counts = report.counts()
    if report.interrupted:
        output.note(f"{report.peer}: interrupted after {report.asked}; by then:")
    elif not report.windows and not report.recalled:
        output.print(f"{report.peer}: nothing to ask: {nothing}")
        if report.images is not None:
            _print_counted(report.peer, report.images, output)
        return
    output.print(
        f"{report.peer}: {counted(counts['found'], 'study')} found, {counts['new']} of them new, "
        f"{counts['changed']} changed"
    )
    if report.recalled and report.in_all is not None:
        before = counted(max(0, report.in_all.windows - len(report.windows)), "question")
        output.print(
            f"{report.peer}: {counted(report.in_all.found, 'study')} of these dates found in all, "
            f"{report.in_all.new} of them new, with {before} that had been put before"
        )
    _print_named(report, output)
    if report.images is not None:
        _print_counted(report.peer, report.images, output)
    if report.late:
        said = in_words(report.late)
        output.note(f"{said} came late: all that {report.peer} had there was known before")
    if counts["gone"]:
        output.note(f"{report.peer} has {counted(counts['gone'], 'study')} no more")
    if counts["unconfirmed"]:
        output.note(
            f"{counted(counts['unconfirmed'], 'study')} did not come again: whether {report.peer} "
            f"still has {'it' if counts['unconfirmed'] == 1 else 'them'} is not known"
        )
    if counts["outside"]:
        output.note(
            f"{counted_are(counts['outside'], 'answer')} left out: {report.peer} sent what was "
            "not asked for"
        )
    if report.interrupted:
        _say_how_to_go_on(report, output)
    elif report.failures:
        _print_gaps(report, output)


def _say_how_to_go_on(report: "FindReport", output: Output) -> None:
    """Say what becomes of a find that was broken off, of which no gap is known yet."""
    if not any(one.query.names_studies for one in report.windows):
        output.note("the same find, begun again within a day, goes on with its answers")


def _print_named(report: "FindReport", output: Output) -> None:
    """Say what was named and is not there, or is several studies."""
    for query in report.absent[:_NAMED]:
        output.print(f"not found at {report.peer}: {query}")
    if len(report.absent) > _NAMED:
        output.print(f"and {len(report.absent) - _NAMED} more; --json names all")
    for number, names in list(report.ambiguous.items())[:_NAMED]:
        output.note(f"accession number {number} is ambiguous: {names}")


def _print_gaps(report: "FindReport", output: Output) -> None:
    output.note(
        f"{counted(len(report.failures), 'gap')} after {report.asked}: what {report.peer} has "
        "there is not known"
    )
    for failure in report.failures[:_NAMED]:
        output.note(f"  {failure}: {failure.outcome}: {failure.message}")
    if len(report.failures) > _NAMED:
        output.note(f"  and {len(report.failures) - _NAMED} more, in the table find_windows")


def _print_counted(peer: str, images: "CountReport", output: Output) -> None:
    """Say what counting came to, where there was anything to count."""
    if images.counted:
        output.print(f"{peer}: the images of {counted(images.counted, 'study')} counted")
    if unknown := images.short + images.unanswered:
        output.note(
            f"{peer}: {counted(unknown, 'study')} could not be counted: its answers fall short, or "
            "there are none"
        )
    if images.message:
        output.note(f"{peer}: {images.message}")
