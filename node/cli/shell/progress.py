"""Progress of something that takes a while: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

from schema.text.harmless import escape
from schema.text.words import named

if TYPE_CHECKING:
    from rich.console import Console


class Progress(Protocol):
    """Shows how far something is. Used as a context manager."""

    def update(
        self,
        completed: float | None = None,
        *,
        total: float | None = None,
        text: str | None = None,
    ) -> None:
        """Say how far it is.

        Parameters
        ----------
        completed
            How many are done.
        total
            How many there will be, now that it is known.
        text
            What else there is to say, such as ``2 of 6 studies``.
        """

    def advance(self, count: float = 1) -> None:
        """Say that so many more are done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class PlainProgress:
    """Progress as lines of text, for logs and pipes.

    Parameters
    ----------
    label, unit, total
        As `node.cli.shell.output.Output.progress` has them.
    stream
        Where the lines go.
    interval
        Seconds from one line to the next.
    clock
        Returns seconds.
    """

    def __init__(
        self,
        label: str,
        *,
        unit: str,
        total: float | None,
        stream: TextIO,
        interval: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label = label
        self._unit = unit
        self._total = total
        self._stream = stream
        self._interval = interval
        self._clock = clock
        self._text = ""
        self._completed = 0.0
        self._started = self._said = clock()

    def update(
        self,
        completed: float | None = None,
        *,
        total: float | None = None,
        text: str | None = None,
    ) -> None:
        """Say how far it is."""
        self._completed = self._completed if completed is None else completed
        self._total = self._total if total is None else total
        self._text = self._text if text is None else text
        if self._clock() - self._said >= self._interval:
            self._say()

    def advance(self, count: float = 1) -> None:
        """Say that so many more are done."""
        self.update(self._completed + count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._say(last=True)

    def _say(self, *, last: bool = False) -> None:
        self._said = self._clock()
        elapsed = self._said - self._started
        rate = self._completed / elapsed if elapsed > 0 else 0.0
        of = f" of {self._total:.0f}" if self._total is not None else ""
        unit = named(self._completed if self._total is None else self._total, self._unit)
        parts = [" ".join(filter(None, (f"{self._completed:.0f}{of}", unit))), self._text]
        if rate:
            parts.append(f"{rate:.1f}/s")
        if last:
            parts.append(f"{duration(elapsed)} in all")
        elif rate and self._total is not None:
            parts.append(f"{duration(max(0.0, self._total - self._completed) / rate)} left")
        self._stream.write(escape(f"{self._label}: {', '.join(filter(None, parts))}") + "\n")
        self._stream.flush()


class RichProgress:
    """Progress as a bar on a terminal.

    Parameters
    ----------
    label, unit, total
        As `node.cli.shell.output.Output.progress` has them.
    console
        The terminal.
    """

    def __init__(self, label: str, *, unit: str, total: float | None, console: "Console") -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(bar_width=30),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[unit]}", markup=False),
            progress.TextColumn("{task.fields[text]}", markup=False),
            progress.TextColumn("{task.fields[rate]}", markup=False),
            progress.TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task = self._bar.add_task(escape(label), total=total, unit=unit, text="", rate="")

    def update(
        self,
        completed: float | None = None,
        *,
        total: float | None = None,
        text: str | None = None,
    ) -> None:
        """Say how far it is."""
        task = self._bar.tasks[0]
        rate = f"{task.speed:.1f}/s" if task.speed else task.fields["rate"]
        said = task.fields["text"] if text is None else escape(text)
        self._bar.update(self._task, completed=completed, total=total, text=said, rate=rate)

    def advance(self, count: float = 1) -> None:
        """Say that so many more are done."""
        self.update(self._bar.tasks[0].completed + count)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def duration(seconds: float) -> str:
    """Write a duration for people: ``8 s``, ``2 min 05 s``, ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"
