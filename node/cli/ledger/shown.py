"""What a find shows while peers are asked."""

from typing import TYPE_CHECKING

from schema.text.words import counted

if TYPE_CHECKING:
    from node.cli.shell.progress import Progress
    from node.cli.shell.tour import TourDisplay
    from node.ops.finding.report import FindReport, FindWatcher


def shown_on(display: "TourDisplay", *, together: bool, ended: "list[FindReport]") -> "FindWatcher":
    """Return what shows a find; a study that is asked for once more counts once.

    Parameters
    ----------
    together
        Whether peers are asked at once: then what they come to is one line of progress.
    ended
        Where the reports go of finds that have ended, or were broken off.
    """
    from node.ops.finding.report import FindBegun, FindReport, FindResumed, WindowResult
    from node.ops.tour import PeerTrouble

    progress: Progress | None = None
    found = failed = 0
    asked: set[str] = set()
    by_key = False

    def begin(told: FindBegun) -> None:
        nonlocal progress, found, failed, asked, by_key
        by_key = told.by_key
        unit = "entries" if by_key else "windows"
        total = None if together else told.questions
        where = "several peers at once" if together else told.peer
        progress = display.begin(f"find at {where}", unit=unit, total=total)
        found, failed, asked = 0, 0, set()

    def advance(told: WindowResult, progress: "Progress") -> None:
        nonlocal found, failed
        found += told.found
        failed += told.outcome != "complete"
        failures = f", {counted(failed, 'answer')} not whole" if failed else ""
        progress.update(text=f"{counted(found, 'study')}{failures}")
        uids = set(told.query.study_uids)
        progress.advance(len(uids - asked) if by_key and uids else 1)
        asked.update(() if together else uids)

    def watch(told: FindBegun | FindResumed | WindowResult | FindReport | PeerTrouble) -> None:
        if isinstance(told, FindReport):
            ended.append(told)
        match told:
            case FindBegun():
                if progress is None or not together:
                    begin(told)
            case WindowResult():
                if progress is not None and told.put:
                    advance(told, progress)
            case FindReport() if not together:
                display.end()
            case PeerTrouble() if not together:
                display.end(told)
            case PeerTrouble() | FindResumed():
                display.note(str(told))

    return watch
