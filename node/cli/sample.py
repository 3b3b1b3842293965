"""`dicom-node sample`: retrieve some studies again, and compare them with what is held."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.shell import completion
from node.cli.shell.options import ConfigOption, JsonOption, QuietOption, WayChoice
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.ops.sampling.report import SampledImage, SampleReport, StudySample
    from node.ops.sampling.sample import SampleWish

_SHOWN = 10
"""Attributes and images of a study that are shown to people; the document has all."""


def sample(
    studies: Annotated[int, typer.Argument(min=1, metavar="N", help="How many studies.")],
    peer: Annotated[
        str | None,
        typer.Argument(
            metavar="PEER",
            autocompletion=completion.peers,
            help="Only studies that are here from this peer; else from any.",
        ),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.projects,
            help="Only the studies of this project.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SEED",
            help="Choose as the run did that printed this seed; else at random.",
        ),
    ] = None,
    retrieve: Annotated[
        WayChoice,
        typer.Option(help="How: C-MOVE, C-GET or WADO-RS; auto is as the peer is configured."),
    ] = WayChoice.AUTO,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEYWORD",
            help="An attribute that may differ, as the PACS is known to change it, by keyword or "
            "as ggggeeee; may be repeated.",
        ),
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Show the values that differ: patients' data.")
    ] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Retrieve N complete studies once more, chosen at random, and compare all of what comes.

    Every attribute and every byte of pixel data is held against the files that are here. What
    comes is removed at once: nothing is kept, replaced or recorded. The exit code is 0 only when N
    studies were compared, and everything is the same.
    """
    import secrets

    from node.cli.shell.start import configured, run
    from node.config.peer.settings import RetrieveWay
    from node.ops.sampling.sample import SampleWish

    settings = configured(config)
    wish = SampleWish(
        studies=studies,
        peers=[settings.peer(peer).name] if peer is not None else list(settings.peers),
        seed=secrets.randbelow(1 << 32) if seed is None else seed,
        project=project,
        way=RetrieveWay(retrieve.value),
        ignored=[_tag_of(name) for name in ignore or ()],
        values=values,
    )
    command = _Command(Output(json=json, quiet=quiet), wish)
    try:
        run(command.run(settings))
    finally:
        command.print()
    command.exit()


def _tag_of(name: str) -> int:
    from pydicom.datadict import tag_for_keyword

    from node.errors import UsageError

    tag = tag_for_keyword(name)
    if tag is None:
        digits = name.strip("()").replace(",", "")
        try:
            tag = int(digits, 16) if len(digits) == 8 else None
        except ValueError:
            tag = None
    if tag is None:
        raise UsageError(
            f"--ignore {name}: neither the keyword of an attribute, such as InstitutionName, nor "
            "its tag, such as 00080080"
        )
    return int(tag)


class _Command:
    """One run: its progress, its end."""

    def __init__(self, output: Output, wish: "SampleWish") -> None:
        self._output = output
        self._wish = wish
        self._report: SampleReport | None = None

    async def run(self, settings: "Config") -> None:
        from node.cli.shell.start import database_of
        from node.ops.sampling.sample import sample

        async with database_of(settings) as database:
            with self._output.progress("sample", unit="studies", total=self._wish.studies) as bar:

                def watch(report: "SampleReport") -> None:
                    self._report = report
                    total = min(report.wanted, report.there)
                    bar.update(len(report.studies), total=total, text=_images(report.totals))

                await sample(settings, database, self._wish, watch=watch)

    def print(self) -> None:
        """Print what was compared, whatever ended it."""
        report = self._report
        if report is None:
            return
        if self._output.json:
            self._output.document(_document(report, self._wish))
            return
        if report.studies:
            columns = ["peer", "study", "held", "came", *_OUTCOMES, "result"]
            self._output.table(columns, [_row(study) for study in report.studies])
            self._output.print("")
        for study in report.studies:
            for line in _details(study):
                self._output.print(line)
        if not report.studies:
            why = ": no complete study is here" if report.complete else ""
            self._output.print(f"nothing was compared{why}; seed {report.seed}")
            return
        same = sum(study.same for study in report.studies)
        chosen = min(report.wanted, report.there)
        self._output.print(
            f"{same} of {counted(chosen, 'study')} the same; "
            f"{_images(report.totals)}; seed {report.seed}"
        )
        if report.there < report.wanted:
            wanted = counted(report.wanted, "study")
            self._output.print(f"{wanted} were wanted: there are no more than {report.there}")
        if not report.complete:
            self._output.print("this is not all: it ended early")

    def exit(self) -> None:
        """End the command with the exit code that its report asks for."""
        from node.cli.shell.exits import Exit, code_of

        report = self._report
        if report is None or report.same:
            return
        raise typer.Exit(Exit.FAILED if report.trouble is None else code_of(report.trouble))


_OUTCOMES = ("identical", "equal", "different", "missing", "new", "not compared")


def _images(totals: Mapping[str, int]) -> str:
    said = [f"{count} {outcome}" for outcome in _OUTCOMES if (count := totals.get(outcome, 0))]
    return f"images: {', '.join(said) or 'none'}"


def _row(study: "StudySample") -> dict[str, object]:
    counts = {name: study.outcomes.get(name, 0) for name in _OUTCOMES}
    row = {"peer": study.peer, "study": study.study_uid, "held": study.held, "came": study.came}
    return {**row, **counts, "result": "same" if study.same else "NOT THE SAME"}


def _details(study: "StudySample") -> list[str]:
    """Return what is wrong with a study, in lines."""
    lines: list[str] = []
    if study.error is not None:
        lines.append(f"  {study.method or 'not asked for'}: {study.error}")
    if count := study.outcomes.get("elsewhere", 0):
        lines.append(
            f"  {counted(count, 'image')} from other peers, which {study.peer} does not have"
        )
    if count := study.outcomes.get("unwanted", 0):
        images = counted(count, "image")
        lines.append(f"  {images} that the policy {study.policy} does not want")
    if study.policy is not None and study.outcomes.get("new", 0):
        lines.append(f"  it was complete under the policy {study.policy}")
    for name, count in study.attributes.most_common(_SHOWN):
        lines.append(f"  {name}, in {counted(count, 'image')}")
    if len(study.attributes) > _SHOWN:
        lines.append(f"  and {len(study.attributes) - _SHOWN} more attributes; --json names them")
    for image in study.images[:_SHOWN]:
        lines += _of_image(image)
    left = study.unlisted + max(len(study.images) - _SHOWN, 0)
    if lines and left:
        lines.append(f"  and {counted(left, 'image')} more")
    return [f"{study.study_uid}:", *lines] if lines else []


def _of_image(image: "SampledImage") -> list[str]:
    if image.outcome == "equal":
        return []
    lines = [
        f"  {image.outcome}: {image.image_uid}" + (f": {image.reason}" if image.reason else "")
    ]
    shown = (one for one in image.differences if one.held is not None or one.peer is not None)
    lines += [f"    {one.name}: {_value(one.held)} here, {_value(one.peer)} there" for one in shown]
    return lines


def _value(value: str | None) -> str:
    return "none" if value is None else repr(value)


def _document(report: "SampleReport", wish: "SampleWish") -> dict[str, object]:
    from node.dicom.comparing import number_of

    return {
        "same": report.same,
        "complete": report.complete,
        "seed": report.seed,
        "wanted": report.wanted,
        "there": report.there,
        "images": _counts(report.totals),
        "ignored": [number_of(tag) for tag in wish.ignored],
        "studies": [_study(study, values=wish.values) for study in report.studies],
    }


def _counts(outcomes: Mapping[str, int]) -> dict[str, int]:
    names = (*_OUTCOMES, "elsewhere", "unwanted")
    return {name.replace(" ", "_"): outcomes.get(name, 0) for name in names}


def _study(study: "StudySample", *, values: bool) -> dict[str, object]:
    return {
        "peer": study.peer,
        "study_uid": study.study_uid,
        "same": study.same,
        "method": study.method or None,
        "policy": study.policy,
        "held": study.held,
        "came": study.came,
        **_counts(study.outcomes),
        "bytes": study.bytes,
        "seconds": round(study.seconds, 3),
        "error": None if study.error is None else str(study.error),
        "attributes": dict(study.attributes),
        "images": [_image(image, values=values) for image in study.images],
        "unlisted": study.unlisted,
    }


def _image(image: "SampledImage", *, values: bool) -> dict[str, object]:
    return {
        "image_uid": image.image_uid,
        "outcome": image.outcome,
        "reason": image.reason or None,
        "held_syntax": image.held_syntax,
        "peer_syntax": image.peer_syntax,
        "differences": [
            {
                "keyword": one.keyword or None,
                "tag": one.number,
                "path": one.name,
                "items": [number for _, number in one.within],
                "kind": one.kind,
                **({"held": one.held, "at_peer": one.peer} if values else {}),
            }
            for one in image.differences
        ],
        "more": image.more,
    }
