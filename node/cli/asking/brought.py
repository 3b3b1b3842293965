"""What was fetched, as tables, words and JSON have it."""

from typing import TYPE_CHECKING

from node.cli.shell.output import Column
from node.ops.fetching.report import Fetched
from schema.text.words import counted, counted_are

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
    broken = sorted(study.broken)
    lines += [f"  {path} is not a whole DICOM file, and stays" for path in broken[:_SHOWN]]
    apart = [one for one in study.images.values() if one.beside]
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


def summary(report: "FetchReport", peer: str, wish: "FetchWish") -> str:
    """Return what was asked for, what came and was there, and what is missing, in a sentence."""
    images = sum(len(study.images) for study in report.studies)
    came = _count(report, Fetched.NEW, Fetched.APART)
    there, same = _count(report, Fetched.THERE), _count(report, Fetched.SAME)
    missing = sum(len(study.missing) for study in report.studies)
    parts = [
        f"{came} came" if came and came < images else "",
        f"{same} came and {_were(same)} there already" if same else "",
        f"{there} {_were(there)} there already" if there else "",
        f"{counted_are(missing, 'image')} missing" if missing else "",
        "" if report.whole else "NOT ALL",
    ]
    of = asked(report, wish)
    begin = f"{counted(images, 'image')} of {of} from {peer} in {wish.folder}"
    if not images:
        begin = f"nothing of {of} came from {peer}"
        if wish.folder.is_dir() and any(wish.folder.iterdir()):
            begin += f", and what was in {wish.folder} is as it was"
    said = ", ".join(filter(None, parts[:-1]))
    return ": ".join(filter(None, (begin, said, parts[-1])))


def asked(report: "FetchReport", wish: "FetchWish") -> str:
    """Return what was asked for, in words: of patients the studies, once they are known."""
    if wish.studies:
        return counted(len(set(wish.studies)), "study")
    if report.found:
        return counted(len(report.studies), "study")
    return f"the studies of {counted(len(set(wish.patient_ids)), 'patient')}"


def _count(report: "FetchReport", *placed: Fetched) -> int:
    return sum(study.count(one) for study in report.studies for one in placed)


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


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
                "broken": sorted(study.broken),
                "missing": [
                    {"image": uid, "reason": study.failed.get(uid)} for uid in study.missing
                ],
                "errors": list(map(str, study.errors)),
            }
            for study in report.studies
        ],
    }
