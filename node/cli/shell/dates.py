"""The options that name study dates and moments, for every command that has them."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from node.dicom.query import Window

_FIRST_DAY = date(1900, 1, 1)
"""Before it there is nothing: some systems write this for a day that they do not know."""

_CLOCK = re.compile(r"([0-9]{1,2}:[0-9]{2})(Z|[+-][0-9]{2}:?[0-9]{2})?")
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

    A day is its end, and today is now.

    Raises
    ------
    typer.BadParameter
        It is none, has not come yet, or is before there was anything to know.
    """
    try:
        if _WRITTEN.match(text):
            written, now = datetime.fromisoformat(text), datetime.now(UTC)
            far = written.year > now.year + 1  # the last year of all is in no other time zone
            if far or (begin := written.astimezone(UTC)) > now:
                raise typer.BadParameter(f"{text!r} is still to come")
            if begin.date() < _FIRST_DAY:
                raise typer.BadParameter(f"{text!r} is before {_FIRST_DAY}")
            end = written + timedelta(days=1)
            found = min(end.astimezone(UTC), now) if _WRITTEN.fullmatch(text) else begin
            return found.replace(tzinfo=None)
    except (ValueError, OverflowError):
        pass
    raise typer.BadParameter(
        f"{text!r} is no moment; write 2024-01-31, 2024-01-31T08:30 or 2024-01-31T07:30:00Z"
    )


def coming(text: str) -> datetime:
    """Read a time that is still to come: ``06:00``, the next one, or a moment with its date.

    Either is of this machine's time zone, or has one behind it: ``06:00Z``, ``06:00+01:00``,
    ``06:00 Europe/Berlin``.

    Raises
    ------
    typer.BadParameter
        It is none, or has passed.
    """
    from zoneinfo import ZoneInfo

    now = datetime.now(UTC)
    written, _, name = text.strip().partition(" ")
    try:
        zone = ZoneInfo(name) if name else None
        if found := _CLOCK.fullmatch(written):
            clock = time.fromisoformat(f"{found[1]:0>5}{found[2] or ''}")
            return _next_at(clock, zone or clock.tzinfo, now)
        when = datetime.fromisoformat(written)
        when = (when if zone is None else when.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, LookupError, OSError):
        raise typer.BadParameter(
            f"{text!r} is no time; write 06:00, '06:00 Europe/Berlin' or 2024-01-31T06:00"
        ) from None
    if when <= now:  # a day alone is its beginning
        raise typer.BadParameter(f"{text!r} has passed")
    return when


def _next_at(clock: time, zone: tzinfo | None, now: datetime) -> datetime:
    """Return the next moment at which a clock shows this; None is this machine's time zone."""
    here = now.astimezone(zone)
    bare = clock.replace(tzinfo=None)
    for days in range(3):
        local = datetime.combine(here.date() + timedelta(days=days), bare, tzinfo=zone)
        if (when := local.astimezone(UTC)) > now:
            return when
    raise ValueError


UntilOption = Annotated[
    datetime | None,
    typer.Option(
        "--until",
        parser=coming,
        metavar="TIME",
        help="Ask for no further study from then on: 06:00, '06:00 Europe/Berlin' or "
        "2024-01-31T06:00; what is on its way is waited for.",
    ),
]

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

AheadOption = Annotated[
    bool,
    typer.Option(
        "--ahead",
        help="Also ask, once, for all studies with dates after today: planned ones, and those of a "
        "wrong clock. They are recorded, and nothing is proven of such dates.",
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


def asked_windows(
    first: datetime | None, to: datetime | None, last: str | None, *, ahead: bool | None
) -> "tuple[list[Window], list[str]]":
    """Return the study dates to ask a peer for, and what is to be said about them.

    What a peer has of a day is known when the day has come: no window of dates ends after today.

    Parameters
    ----------
    ahead
        Whether to ask for all later dates as well, in a window without an end; None where nobody is
        asked.

    Raises
    ------
    UsageError
        As `window_of`; or none of the dates has come.
    """
    from node.dicom.query import Window
    from node.errors import UsageError

    today = date.today()  # noqa: DTZ011 - study dates are the hospital's local ones
    if first is not None and first.date() > today:
        instead = "nothing is known of dates that are still to come"
        if ahead is not None:
            instead = "--last 1d --ahead asks for all later dates"
        raise UsageError(f"--from {first.date()} is after today; {instead}")
    window, notes = window_of(first, to, last), []
    if window.end is not None and window.end > today:
        until = f"{'shown' if ahead is None else 'asked for'} until {today}, today"
        notes.append(f"--to {window.end} is after today: {until}")
        window = Window(start=window.start, end=today)
    if not ahead:
        return [window], notes
    if window.start is None:
        raise UsageError("--ahead goes with study dates: --last, or --from and --to")
    return [window, Window(start=today + timedelta(days=1))], notes


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
            return Window(start=today - timedelta(seconds=whole_days(last)), end=today)
        except ValueError as error:
            raise UsageError(f"--last {last}: {error}") from error
    if first is None and to is None:
        return Window()
    if first is None:
        raise UsageError("--to needs --from: without it the days cannot be counted")
    start, end = first.date(), to.date() if to else today
    if to is None and start > today:
        raise UsageError(f"--from {start} is after today: say --to as well")
    if end < start:
        raise UsageError(f"--to {end} is before --from {start}")
    return Window(start=start, end=end)
