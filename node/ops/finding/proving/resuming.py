"""Whether a peer still answers as it did to the find that this one goes on with.

How much a peer answers at once is seen by its largest answer. What an interrupted find was answered
shows that only where the peer has not changed since: a limit may have been set because that find
was stopped.
"""

from collections.abc import Sequence
from dataclasses import replace

from node.dicom.query import StudyQuery, Window
from node.ops.cycling.running import RunningCycle
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.ledger import WindowLedger
from schema.finding.asking import add_window

_AGAIN = "asked once more, to see whether as many studies come as before"


async def answers_as_before(
    inquiry: Inquiry, record: RunningCycle, ledger: WindowLedger, queries: Sequence[StudyQuery]
) -> bool:
    """Ask for the largest of the windows that were answered once more; tell whether as many came.

    Parameters
    ----------
    ledger
        Has what there is to go on with.
    queries
        What the find is to cover.
    """
    parts = [(part, base) for base in queries if (part := ledger.largest(base)) is not None]
    if not parts:
        return True
    largest, base = max(parts, key=lambda one: one[0].matches or 0)
    query = replace(base, window=Window(start=largest.start_date, end=largest.end_date))
    await record.may_go_on(inquiry.asker.line.close)
    asked = await inquiry.ask(query, within=base)
    if inquiry.lost is not None:
        return True  # nothing else is asked
    inquiry.note(asked)
    answer = asked.answer
    async with inquiry.asker.database.begin() as session:
        await add_window(
            session,
            cycle_id=record.id,
            peer=inquiry.asker.peer.name,
            query=base.keys(),
            start_date=largest.start_date,
            end_date=largest.end_date,
            outcome=answer.outcome,
            matches=answer.matches,
            message=answer.message or _AGAIN,
            comment=asked.tally.comment or None,
            asked_on=answer.asked_on,
            facts={
                "outside": answer.outside,
                "answers": answer.answers,
                "new": asked.tally.kept.new,
                "seconds": asked.seconds,
                "status": asked.tally.status,
            },
        )
    return answer.answered and answer.matches >= (largest.matches or 0)
