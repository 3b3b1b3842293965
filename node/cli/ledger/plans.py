"""What a find would ask, as `dicom-node find --plan` shows it."""

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING

from node.cli.ledger.calendar import utc
from node.cli.shell.output import Output
from schema.text.words import counted

if TYPE_CHECKING:
    from node.config import Config
    from node.dicom.query import StudyQuery
    from node.ops.finding.proving.plans import FindPlan


async def plans_at(
    settings: "Config",
    peer: str | None,
    queries: "Sequence[StudyQuery]",
    *,
    only_gaps: bool,
    due: datetime | None,
) -> "list[FindPlan]":
    """Plan a find at a peer, or at all; the options as `plan_at_peer` has them."""
    from node.cli.shell.start import database_of
    from node.ops.database import TO_ANSWER
    from node.ops.finding.peers import peers_to_ask
    from node.ops.finding.proving.plans import plan_at_peer

    peers = peers_to_ask(settings, peer)
    async with database_of(settings, transaction_timeout=TO_ANSWER) as database:
        return [
            await plan_at_peer(
                settings, database, name, queries, only_gaps=only_gaps, due=due, times=True
            )
            for name in peers
        ]


def print_plans(
    plans: "Sequence[FindPlan]", output: Output, *, nothing: str, notes: Sequence[str] = ()
) -> None:
    """Print plans; parameters as `print_found` has them."""
    if output.json:
        output.document({"peers": [_document(plan) for plan in plans], "notes": list(notes)})
        return
    for plan in plans:
        _print(plan, output, nothing)


def _document(plan: "FindPlan") -> dict[str, object]:
    estimate = plan.estimate()
    return {
        "peer": plan.peer,
        "queries": estimate.fewest,
        "queries_at_most": estimate.most,
        "studies_per_day": plan.per_day,
        "windows": [str(query.window) for query in estimate.windows],
        "due": [
            {"window": str(one.query.window), "reason": one.reason, "proven_on": one.proven_on}
            for one in plan.due
        ],
    }


def _print(plan: "FindPlan", output: Output, nothing: str) -> None:
    if not plan.queries:
        output.print(f"{plan.peer}: nothing to ask: {nothing}")
        return
    estimate = plan.estimate()
    for one in plan.due:
        proof = "" if one.proven_on is None else f", proven as of {utc(one.proven_on)}"
        output.print(f"{plan.peer}: due: {one.query.window} ({one.reason}{proof})")
    known = (
        f"{plan.per_day:.3g} studies a day so far"
        if plan.per_day is not None
        else "how many studies its dates have is not known yet"
    )
    asked, why = counted(estimate.fewest, "question"), ""
    if estimate.most is None:
        asked = f"{asked} or more"
        why = ": where it cuts off its answers, nobody can say before"
    elif estimate.most > estimate.fewest:
        asked = f"{estimate.fewest} to {counted(estimate.most, 'question')}"
    output.print(f"{plan.peer}: {asked} ({known}){why}; the first of them:")
    for number, query in enumerate(estimate.windows):
        keys = ", ".join(f"{key}={value}" for key, value in query.keys().items())
        wholes = [one for one in estimate.windows[:number] if _is_part(query, one)]
        of = f" (part of {wholes[-1].window})" if wholes else ""
        output.print(f"  {query.window}{', ' if keys else ''}{keys}{of}")


def _is_part(one: "StudyQuery", of: "StudyQuery") -> bool:
    """Tell whether a question is about a part of what another one is about."""
    part, whole = one.window, of.window
    if part.undated != whole.undated or not of.keys().items() <= one.keys().items():
        return False
    if (part.start or date.min) < (whole.start or date.min):
        return False
    if (part.end or date.max) > (whole.end or date.max):
        return False
    if whole.first is None or whole.last is None:
        return True
    return (part.first or time.min) >= whole.first and (part.last or time.max) <= whole.last
