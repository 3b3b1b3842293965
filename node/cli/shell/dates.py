"""The options that name study dates and moments, for every command that has them."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from node.dicom.query import Window

_FIRST_DAY = date(1900, 1, 1)
"""Before it there is nothing: some systems write this for a day that they do not know."""

_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}")


def day(text: str) -> datetime:
    """Read a day: ``2024-01-31`` or ``20240131``, and nothing that may mean two days.

    Raises
    ------
    typer.BadParameter
        It is none.
    """
    try:
        if _WRITTEN.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise typer.BadParameter(f"{text!r} is no day; write 2024-01-31 or 20240131")


def moment(text: str) -> datetime:
    """Read a moment as naive UTC: ``2024-01-31T08:30`` of this machine's time zone, or with one.

    A day is its end.

    Raises
    ------
    typer.BadParameter
        It is none.
    """
    try:
        if _WRITTEN.match(text):
            end = timedelta(days=1 if _WRITTEN.fullmatch(text) else 0)
            return (datetime.fromisoformat(text) + end).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        f"{text!r} is no moment; write 2024-01-31, 2024-01-31T08:30 or 2024-01-31T07:30:00Z"
    )


FromOption = Annotated[
    datetime | None,
    typer.Option("--from", parser=day, metavar="DATE", help="The first study date, as 2024-01-31."),
]

ToOption = Annotated[
    datetime | None,
    typer.Option(
        "--to",
        parser=day,
        metavar="DATE",
        help="The last study date; today when only --from is given.",
    ),
]

LastOption = Annotated[
    str | None,
    typer.Option(
        "--last",
        metavar="7d",
        help="Study dates from so long ago until today, in whole days or weeks: 7d, 2w.",
    ),
]


def window_of(first: datetime | None, to: datetime | None, last: str | None) -> "Window":
    """Return the study dates that the options name; all when none is given.

    Raises
    ------
    UsageError
        They contradict each other, or are no dates.
    """
    from node.config.durations import whole_days
    from node.dicom.query import Window
    from node.errors import UsageError

    today = date.today()  # noqa: DTZ011 - study dates are the hospital's local ones
    if last is not None:
        if first or to:
            raise UsageError("--last goes without --from and --to")
        try:
            start = today - timedelta(seconds=whole_days(last))
        except OverflowError:
            start = date.min
        except ValueError as error:
            raise UsageError(f"--last {last}: {error}") from error
        if start < _FIRST_DAY:
            raise UsageError(f"--last {last}: that is before {_FIRST_DAY}; each day is asked for")
        return Window(start=start, end=today)
    if first is None and to is None:
        return Window()
    if first is None:
        raise UsageError("--to needs --from: without it the days cannot be counted")
    start, end = first.date(), to.date() if to else today
    if end < start:
        raise UsageError(f"--to {end} is before --from {start}")
    return Window(start=start, end=end)
