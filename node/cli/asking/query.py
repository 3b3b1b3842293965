"""`dicom-node query`: ask a peer what it has, at any level and by any keys."""

from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.options import (
    ConfigOption,
    ForceOption,
    JsonOption,
    QuietOption,
    leave_what_is_there,
    needs_its_folder,
)
from node.cli.shell.output import Output

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from node.cli.shell.progress import Progress
    from node.config import Config
    from node.dicom.asking.question import KeyedQuestion
    from node.ops.querying.answerer import Answerer, Terms
    from node.ops.querying.query import QueryReport

    _Watch = Callable[[QueryReport], None]


class QueryLevel(StrEnum):
    """A Query/Retrieve Level (PS3.4 C.3.1)."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    IMAGE = "image"


class Root(StrEnum):
    """An information model (PS3.4 C.6)."""

    STUDY = "study"
    PATIENT = "patient"


def query(
    peer: Annotated[
        str,
        typer.Argument(
            metavar="PEER",
            help="A peer's name in the configuration; `here` is this node's own index.",
            autocompletion=completion.peers_and_here,
        ),
    ],
    key: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            "-k",
            metavar="KEY=VALUE",
            help="What has to match: -k PatientName='DOE*', -k StudyDate=2024-, -k 0020000D=UID; "
            "without a value, what is to be told. May be repeated.",
        ),
    ] = None,
    level: Annotated[
        QueryLevel | None,
        typer.Option(help="What is asked for; else the deepest that a key belongs to, or studies."),
    ] = None,
    model: Annotated[
        Root | None, typer.Option(help="The information model: its root; else that of studies.")
    ] = None,
    relational: Annotated[
        bool,
        typer.Option(
            "--relational", help="Let keys be of any level, where the peer agrees to that."
        ),
    ] = False,
    fuzzy: Annotated[
        bool,
        typer.Option("--fuzzy", help="Have names matched fuzzily, where the peer agrees to that."),
    ] = False,
    combined: Annotated[
        bool,
        typer.Option(
            "--combined",
            help="Have a date and its time matched as one moment, where the peer agrees to that.",
        ),
    ] = False,
    repository: Annotated[
        bool,
        typer.Option(
            "--repository", help="Ask by Repository Query, page by page, whatever its limit."
        ),
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="End the query after so many matches."),
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Show all that the peer says of each match.")
    ] = False,
    result: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", dir_okay=False, help="Write the matches to this file as well, as CSV."
        ),
    ] = None,
    force: ForceOption = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ask a peer what it has, and show what it answers: C-FIND, or QIDO-RS at a URL alone.

    Nothing is recorded, and nothing is asked twice: `dicom-node find` is what proves that all
    studies are known. Exit code 1 when the answer is not whole.
    """
    from datetime import date

    from node.cli.shell.start import configured
    from node.dicom.asking.keys import read_key
    from node.dicom.asking.question import question_of
    from node.dicom.querying.levels import Level
    from node.dicom.querying.model import QueryModel
    from node.errors import UsageError
    from node.net.scu.requestor import QueryExtension
    from node.ops.querying.answerer import HERE, Terms, answerer_of

    settings = configured(config)
    is_here = peer == HERE and HERE not in settings.peers
    name = HERE if is_here else settings.peer(peer).name
    today = date.today()  # noqa: DTZ011 - study dates are the hospital's local ones
    question = question_of(
        [read_key(one, today=today) for one in key or ()],
        level=None if level is None else Level[level.name],
        model=None if model is None else QueryModel(model.value),
        relational=relational,
    )
    if limit is None and not is_here and not any(one.values for one in question.keys):
        raise UsageError(
            "say what has to match, as in -k StudyDate=-7d or -k PatientName='DOE*', or how many "
            "are wanted: --limit N. A PACS is never asked for everything at once"
        )
    if repository and question.model is QueryModel.PATIENT_ROOT:
        raise UsageError("--repository asks in the Study Root model (PS3.4 C.6.4)")
    extension = QueryExtension(relational=relational, combined=combined, fuzzy=fuzzy)
    terms = Terms(extension=extension, repository=repository)
    needs_its_folder("--result", result)
    leave_what_is_there([result] if result else [], force=force)
    command = _Query(
        Output(json=json, quiet=quiet),
        name,
        question,
        every=all_,
        fuzzy=fuzzy,
        limit=limit,
        result=result,
    )
    if is_here:
        command.run(_index(settings, question, terms))
        return
    answerer = answerer_of(settings.peer(peer), question, terms)
    if not relational:
        command.warn_of_what_is_ignored()
    command.run(answerer)


@asynccontextmanager
async def _index(
    config: "Config", question: "KeyedQuestion", terms: "Terms"
) -> "AsyncIterator[Answerer]":
    """Return who answers from this node's index."""
    from node.cli.shell.start import database_of
    from node.ops.querying.here import IndexAnswerer

    async with database_of(config) as database:
        yield IndexAnswerer(config, database, question.model, terms)


class _Query:
    """One run: its progress, its end."""

    def __init__(
        self,
        output: Output,
        peer: str,
        question: "KeyedQuestion",
        *,
        every: bool,
        fuzzy: bool,
        limit: int | None,
        result: Path | None,
    ) -> None:
        self._output = output
        self._peer = peer
        self._question = question
        self._every = every
        self._fuzzy = fuzzy
        self._limit = limit
        self._result = result
        self._report: QueryReport | None = None

    def warn_of_what_is_ignored(self) -> None:
        """Say which keys a peer may pass over, as the question is no relational one."""
        from node.dicom.asking.question import ignored_above

        if above := ignored_above(self._question):
            self._output.remark(
                f"{', '.join(above)}: above the {self._question.level.name} level, where a peer "
                "may ignore it unless --relational is agreed to"
            )

    def run(self, answerer: "AbstractAsyncContextManager[Answerer]") -> None:
        """Ask, print what came, whatever ended it, and raise what is wrong with it."""
        from node.cli.shell.start import run
        from node.ops.querying.query import query

        question = self._question
        try:
            with self._output.progress(f"query {self._peer}", unit=question.what) as bar:
                run(
                    query(
                        answerer,
                        question,
                        limit=self._limit,
                        fuzzy=self._fuzzy,
                        watch=self._watching(bar),
                    )
                )
        finally:
            self._print()
        if self._report is not None and self._report.error is not None:
            raise self._report.error

    def _watching(self, bar: "Progress") -> "_Watch":
        def watch(report: "QueryReport") -> None:
            self._report = report
            bar.update(len(report.matches))

        return watch

    def _print(self) -> None:
        from node.cli.asking.shown import document, doubts, rows, said, write_csv

        report = self._report
        if report is None:
            return
        for what in report.refused:
            self._output.note(f"{self._peer} does not agree to {what}: it is asked without")
        for what in doubts(self._peer, report):
            self._output.note(what)
        if self._result is not None and report.operation:
            write_csv(self._result, report)
        if self._output.json:
            self._output.document(document(self._peer, report))
            return
        if report.matches:
            self._output.table(*rows(report, every=self._every))
            self._output.print("")
        if report.operation:
            self._output.print(said(self._peer, report))
