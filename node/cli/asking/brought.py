"""What was fetched, as tables, words and JSON have it."""

from typing import TYPE_CHECKING

from node.cli.shell.output import Column
from node.ops.fetching.report import Fetched
from schema.text.words import counted

if TYPE_CHECKING:
    from node.ops.fetching.report import FetchReport, StudyFetch
    from node.ops.fetching.wish import FetchWish

_SHOWN = 10
"""Images of a study that are named to people; the document has all."""

_COLUMNS = (
    "study",
    "by",
    Column(key="listed", right=True),
    Column(key="here", right=True),
    Column(key="new", right=True),
    Column(key="there", right=True),
    Column(key="same", right=True),
    Column(key="apart", right=True),
    Column(key="missing", right=True),
)


def columns(report: "FetchReport") -> list[Column | str]:
    """Return the columns of the table: what was there already has one where something was."""
    there = any(study.count(Fetched.THERE) for study in report.studies)
    return [one for one in _COLUMNS if there or getattr(one, "key", "") != "there"]


def row(study: "StudyFetch") -> dict[str, object]:
    """Return a study's row of the table, which is of its document, too."""
    expected = study.selected.expected
    return {
        "study": study.selected.study_uid,
        "by": ", ".join(dict.fromkeys(study.methods)) or None,
        "listed": None if expected is None else len(expected),
        "here": len(study.images),
        **{one.value: study.count(one) for one in Fetched},
        "missing": len(study.missing),
    }


def details(study: "StudyFetch", peer: str) -> list[str]:
    """Return what is to be said of a study, in lines."""
    lines = []
    if not study.whole:
        selected = study.selected
        unknown = not (study.expects or selected.unlisted)
        if unknown and (selected.answered or not study.errors):
            lines.append(f"  {peer} {_nothing(study)}")
        lines += [f"  {error}" for error in study.errors]
        missing = study.missing
        lines += [f"  missing: {uid}{_because(study.failed.get(uid))}" for uid in missing[:_SHOWN]]
        if len(missing) > _SHOWN:
            lines.append(f"  and {len(missing) - _SHOWN} more; --json names them")
    listing = study.selected.listing
    if study.short and (study.images or study.missing):
        lines.append(f"  {peer} {study.short}")
    elif listing is None and study.images:
        lines.append(f"  {peer} does not list single images: nobody knows whether these are all")
    elif listing is not None and listing.short:
        lines.append(f"  {peer} {listing.short}")
    apart = [one for one in study.images.values() if one.placed is Fetched.APART]
    lines += [f"  another file has its name, so it is apart: {one.path}" for one in apart[:_SHOWN]]
    odd = [one for one in study.images.values() if one.remark]
    lines += [f"  {one.path}: {one.remark}" for one in odd[:_SHOWN]]
    if study.unasked:
        lines.append(f"  {counted(study.unasked, 'object')} that nobody asked for came as well")
    return [f"{study.selected.study_uid}:", *lines] if lines else []


def _nothing(study: "StudyFetch") -> str:
    """Return that the peer lists none of what is wanted, for the name of the peer before it."""
    if study.selected.listing is not None and study.short:
        return study.short
    return (
        "sent nothing of it, and lists no image of it"
        if study.methods
        else ("lists no image of it")
    )


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def document(report: "FetchReport", peer: str, wish: "FetchWish") -> dict[str, object]:
    """Return what there is to say as JSON."""
    return {
        "peer": peer,
        "folder": wish.folder,
        "complete": report.whole,
        "studies": [
            {
                **row(study),
                "by": list(dict.fromkeys(study.methods)),
                "complete": study.whole,
                "short": study.short or None,
                "bytes": study.bytes,
                "images": [
                    {
                        "image": uid,
                        "path": one.path,
                        "outcome": one.placed,
                        "remark": one.remark or None,
                    }
                    for uid, one in sorted(study.images.items())
                ],
                "missing": [
                    {"image": uid, "reason": study.failed.get(uid)} for uid in study.missing
                ],
                "errors": list(map(str, study.errors)),
            }
            for study in report.studies
        ],
    }
