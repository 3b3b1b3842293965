"""What was refused, and what became of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from tests.crash.programme import OUT_OF_RESOURCES, SUCCESS


@dataclass(frozen=True, order=True)
class Point:
    """One call of a store: so many-th of its kind in its thread; with number 0, every one."""

    scenario: str
    role: str
    call: str
    number: int


@dataclass(frozen=True)
class Refused:
    """What became of a store of which one call was refused."""

    point: Point
    error: str
    where: str
    status: int | None
    seconds: float


def table(refused: list[Refused]) -> str:
    """Return what was refused and what became of it, a line for each kind of call."""
    lines: dict[tuple[str, ...], list[Refused]] = defaultdict(list)
    for one in refused:
        lines[one.point.scenario, one.point.role, one.point.call, one.where].append(one)
    head = ("object", "thread", "call", "file", "calls", "times", "0x0000", "0xA700", "none")
    written = [_row(*head, "longest", "errors")]
    for (scenario, role, call, where), ones in sorted(lines.items()):
        statuses = Counter(one.status for one in ones)
        written.append(
            _row(
                *(scenario, role, call, where),
                len({one.point.number for one in ones if one.point.number}),
                len(ones),
                *(statuses[status] for status in (SUCCESS, OUT_OF_RESOURCES, None)),
                f"{max(one.seconds for one in ones):.1f} s",
                " ".join(dict.fromkeys(one.error for one in ones)),
            )
        )
    return "\n".join(written)


def _row(*values: object) -> str:
    widths = (9, 9, 11, 19, -5, -6, -7, -7, -5, -8)
    cells = [
        f"{value!s:>{-width}}" if width < 0 else f"{value!s:<{width}}"
        for value, width in zip(values, widths, strict=False)
    ]
    return "".join(cells) + f"  {values[-1]}"
