"""What a probe asks, in which order, and when it had better stop; pure.

`plan` yields questions and is sent answers; what it has concluded is in the evidence's facts.
"""

from contextlib import suppress

from node.ops.probing.capacity import find_capacity, try_repository, try_universal
from node.ops.probing.evidence import QUESTIONS, Asks, Evidence, OutOfQuestions
from node.ops.probing.facts import QUERIED
from node.ops.probing.matching import (
    read_what_is_told,
    see_whether_dates_are_ignored,
    try_dates,
    try_modalities,
    try_times,
    try_uid_lists,
    try_wildcards,
)
from node.ops.probing.questions import ProbeOutcome
from node.ops.probing.searching import choose, search


def plan(evidence: Evidence) -> Asks[None]:
    """Ask all that a peer can be asked; then each fact of `QUERIED` is known, or says why not."""
    why = f"not tried: the {QUESTIONS} questions of a probe were used up"
    with suppress(OutOfQuestions):
        why = yield from _everything(evidence)
    read_what_is_told(evidence)
    evidence.leave(*QUERIED, why=why)
    evidence.leave("repository", why=f"accepted in negotiation, which proves nothing; {why}")


def _everything(evidence: Evidence) -> Asks[str]:
    """Ask; return why what is not known then is not."""
    found = yield from search(evidence)
    if found is None:
        if evidence.value("empty_keys") is False:
            return "an empty key matches nothing there, so it does not tell its studies"
        return _why_nothing(evidence)
    see_whether_dates_are_ignored(evidence)
    if evidence.value("dates") is False and evidence.flooded:
        return "not tried: whatever the dates, it answers without an end"
    sample = yield from choose(evidence)
    if sample is None:
        if any(study.day for study in evidence.studies.values()):
            return "no day of a study that was found brings it"
        return "no study that was found tells its date"
    around = yield from try_dates(evidence, sample)
    yield from try_times(evidence, sample, around)
    yield from try_wildcards(evidence, sample)
    yield from try_modalities(evidence, sample)
    yield from try_uid_lists(evidence, sample)
    if evidence.value("dates"):
        yield from find_capacity(evidence, sample, found)
    yield from try_universal(evidence)
    if "repository" not in evidence.facts:
        yield from try_repository(evidence, sample)
    return "not tried: ranges of dates are not known to be matched"


def _why_nothing(evidence: Evidence) -> str:
    """Say why no study was found: not every peer that shows none has answered."""
    answers = [answer for _, answer in evidence.heard]
    if all(answer.outcome is ProbeOutcome.REFUSED for answer in answers):
        return f"each of {evidence.used} questions was refused: {answers[-1].message}"
    return f"no study was found in {evidence.used} questions"
