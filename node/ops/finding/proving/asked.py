"""What a find is to cover: its queries as scopes with ranges of dates, as the ledger keeps them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from node.dicom.query import StudyQuery, Window
from schema.coverage.asked import AskedDates
from schema.coverage.newest import OF_SINGLE_STUDIES


def asked_dates(queries: Sequence[StudyQuery]) -> tuple[AskedDates, ...]:
    """Return what queries are to cover, but for single studies."""
    dated = (query for query in queries if not is_of_single_studies(query))
    return tuple(
        AskedDates(
            keys=query.keys(),
            dates=tuple(
                (None if first == date.min else first, None if last == date.max else last)
                for first, last in ranges_of(windows)
            ),
            undated=any(window.undated for window in windows),
        )
        for query, windows in by_keys(dated)
    )


def is_of_single_studies(query: StudyQuery) -> bool:
    """Tell whether a query is about single studies: then it says nothing about dates."""
    return any(keyword in OF_SINGLE_STUDIES for keyword in query.keys())  # noqa: SIM118 - a method


def by_keys(queries: Iterable[StudyQuery]) -> Iterator[tuple[StudyQuery, list[Window]]]:
    """Yield each combination of keys that was asked for, and with which windows."""
    found: dict[StudyQuery, list[Window]] = {}
    for query in queries:
        found.setdefault(replace(query, window=Window()), []).append(query.window)
    yield from found.items()


def ranges_of(windows: Iterable[Window]) -> list[tuple[date, date]]:
    """Return the ranges of dates that windows come to, those side by side as one."""
    ranges: list[tuple[date, date]] = []
    dated = [(one.start or date.min, one.end or date.max) for one in windows if not one.undated]
    for first, last in sorted(dated):
        if ranges and first.toordinal() <= ranges[-1][1].toordinal() + 1:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return ranges
