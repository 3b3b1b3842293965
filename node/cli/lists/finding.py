"""`dicom-node find PEER --list FILE`: a question for each line, and the result beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.lists.questions import ListLine, check_columns, digest_of, lines_of_list
from node.cli.lists.reading import name_of_list, read_list_file
from node.cli.lists.results import ResultFile
from node.cli.lists.table import ListKey, ListTable, check_headings, read_table
from node.cli.shell.output import Output
from node.cli.shell.progress import Progress
from node.ops.finding.singles.lines import (
    Answers,
    LineAnswer,
    LineOutcome,
    LinesReport,
    find_lines,
)
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.dicom.query import StudyQuery

_AT_ONCE = 200
"""Lines that are asked for together; a slow peer's results are written meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFound:
    """What a find of a list came to.

    Attributes
    ----------
    before
        Lines that had a result already.
    """

    report: LinesReport
    result: Path
    lines: int
    before: int
    counts: dict[LineOutcome, int]

    @property
    def is_done(self) -> bool:
        """Whether each line has a result, and it is known what the peer has of each."""
        unclear = (LineOutcome.FAILED, LineOutcome.REFUSED, LineOutcome.AMBIGUOUS)
        return self.report.stopped is None and not any(self.counts[one] for one in unclear)


def table_of(path: Path) -> ListTable:
    """Read the list that a find is for; `-` is the standard input.

    Raises
    ------
    UsageError
        It is none, or cannot be read.
    """
    table = read_table(read_list_file(path), name=name_of_list(path), keys=tuple(ListKey))
    check_headings(table)
    check_columns(table)
    return table


async def find_list(
    settings: "Config",
    peer: str,
    table: ListTable,
    result: Path,
    output: Output,
    *,
    pause: float,
) -> ListFound:
    """Ask a peer for what a list names, from where its result ends on."""
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER

    with ResultFile(result, table, peer) as file:
        before = file.done
        output.remark(_summary(table, before))
        async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
            left = len(table.rows) - before
            with output.progress(f"find at {peer}", unit="lines", total=left) as progress:
                run = _Run(table, file, progress)

                def found(report: LinesReport) -> ListFound:
                    return ListFound(
                        report=report,
                        result=result,
                        lines=len(table.rows),
                        before=before,
                        counts=dict.fromkeys(LineOutcome, 0) | file.counts,
                    )

                report = await find_lines(
                    settings,
                    database,
                    peer,
                    run.batches(),
                    keep=run.keep,
                    pause=pause,
                    broken_off=lambda report: print_list(found(report), output),
                )
        return found(report)


def print_list(found: ListFound, output: Output) -> None:
    """Print what a find of a list came to."""
    report = found.report
    if output.json:
        output.document(
            {
                "peer": report.peer,
                "result": str(found.result),
                "lines": found.lines,
                "before": found.before,
                "questions": report.questions,
                **{one.value.replace(" ", "_"): count for one, count in found.counts.items()},
                "new": report.new,
                "gone": report.gone,
                "stopped": report.stopped,
            }
        )
        return
    said = ", ".join(f"{count} {one.value}" for one, count in found.counts.items() if count)
    output.print(
        f"{report.peer}: {counted(found.lines, 'line')}: {said or 'none asked for'}; "
        f"{counted(report.questions, 'question')}"
    )
    output.print(f"each line's result is in {found.result}")
    if report.gone:
        output.note(f"{report.peer} has {counted(report.gone, 'study')} no more")
    if report.stopped is not None:
        left = found.lines - sum(found.counts.values())
        output.note(
            f"{counted(left, 'line')} not asked for: {report.stopped}; the same command goes on "
            "from there"
        )


def _summary(table: ListTable, before: int) -> str:
    keys = ", ".join(f"{key} from column {at + 1}" for key, at in table.columns.items())
    others = [
        repr(cell)
        for at, cell in enumerate([] if table.heading is None else table.heading.cells)
        if at not in table.columns.values() and cell
    ]
    beside = f"; not asked for: {', '.join(others[:10])}" if others else ""
    gone_on = f"; {before} have a result already" if before else ""
    return f"{table.name}: {counted(len(table.rows), 'line')}; {keys}{beside}{gone_on}"


class _Run:
    """The lines of a list on their way to a result."""

    def __init__(self, table: ListTable, file: ResultFile, progress: Progress) -> None:
        self._table = table
        self._file = file
        self._progress = progress
        self._lines: dict[bytes, int] = {}
        self._batch: list[ListLine] = []

    def batches(self) -> "Iterator[Sequence[StudyQuery]]":
        """Yield the questions of the lines that have no result yet; each must be kept first."""
        done = self._file.done
        asked: list[StudyQuery] = []
        for number, line in enumerate(lines_of_list(self._table)):
            is_first = line.query is not None and self._is_first(line.row.line, line.query)
            if number < done:
                continue
            self._batch.append(line)
            if is_first and line.query is not None:
                asked.append(line.query)
            if len(self._batch) == _AT_ONCE:
                yield asked
                asked = []
        if self._batch:
            yield asked

    def keep(self, answers: Answers) -> None:
        """Write what lines of the batch came to, up to the first that has no answer yet."""
        written = 0
        for line in self._batch:
            answer = self._answer(line, answers)
            if answer is None:
                break
            self._file.add(line.row, answer)
            written += 1
        self._file.flush()
        self._progress.advance(written)
        del self._batch[:written]

    def _answer(self, line: ListLine, answers: Answers) -> LineAnswer | None:
        if line.query is None:
            return LineAnswer(outcome=LineOutcome.REFUSED, message=line.problem)
        first = self._lines[digest_of(line.query)]
        if first != line.row.line:
            message = f"line {first} asks for the same"
            return LineAnswer(outcome=LineOutcome.DUPLICATE, message=message)
        return answers.get(line.query)

    def _is_first(self, line: int, query: "StudyQuery") -> bool:
        return self._lines.setdefault(digest_of(query), line) == line
