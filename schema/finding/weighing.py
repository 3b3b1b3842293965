"""What a PACS's answer changes in what is known of a study; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from schema.finding.drawing import STUDY_FACTS, SourceAnswer, SourceChange, changes, draw, has_grown
from schema.finding.facts import FACTS, StudyFacts, facts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyBefore:
    """A study as it is before an answer is recorded.

    Attributes
    ----------
    facts
        What `studies_find` says of it, by column.
    complete
        Whether it is verified to be complete here.
    given_up
        Whether nobody asks for it any more, because nothing came.
    here
        How many of its images are here.
    sources
        The PACSs that have it or had it.
    """

    facts: Mapping[str, Any]
    complete: bool
    given_up: bool
    here: int
    sources: Sequence[SourceAnswer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """What an answer comes to.

    Attributes
    ----------
    first
        Whether this PACS has not answered the study before.
    facts
        What it says, by column of `study_sources`; what it leaves out as it said it before.
    otherwise
        Whether that is not what it said before.
    changes
        What it said before, where that was something else.
    drawn
        What `studies_find` says now, by column.
    changed
        Whether the study is not as it was; that more was asked of it than before is no change.
    grown
        Whether the PACS has more than it had.
    reopened
        Whether a study that was closed is to be moved again.
    """

    first: bool
    facts: Mapping[str, Any]
    otherwise: bool
    changes: Sequence[SourceChange]
    drawn: Mapping[str, Any]
    changed: bool
    grown: bool
    reopened: bool


def weigh(study: StudyBefore, answer: StudyFacts, *, peer: str, now: datetime) -> Weighed:
    """Decide what the answer of a PACS changes.

    A study is closed when it is complete here, or given up. It is opened again when this PACS has
    more of it than before, and when this PACS has not answered it before, or what it has was never
    verified to be here: only a list of its images tells whether it has some that are not. A given
    up study is tried again, too, when the PACS has it back.
    """
    was = next((one for one in study.sources if one.peer == peer), None)
    if was is not None and _is_known(study, was, answer):
        return Weighed(
            first=False,
            facts=facts_of(was),
            otherwise=False,
            changes=(),
            drawn=study.facts,
            changed=False,
            grown=False,
            reopened=False,
        )
    others = [one for one in study.sources if one.peer != peer]
    known = max(study.facts["expected_images"] or 0, study.here)
    closed = study.complete or study.given_up
    if was is None:
        facts = facts_of(answer)
        grown = (answer.expected_images or 0) > known
        reopened = closed and (bool(others) or grown)
        said: Sequence[SourceChange] = ()
    else:
        facts = facts_of(answer, was)
        grown = has_grown(was, facts, known=known, alone=not others)
        compared = was.verified_on is not None or was.policy is not None
        unverified = study.complete and bool(others) and not compared
        back = study.given_up and was.gone_on is not None
        reopened = closed and (grown or unverified or back)
        said = changes(was, facts, now)
    if was is None:
        source = SourceAnswer(peer=peer, last_seen_on=now, **facts)
    else:
        source = replace(was, last_seen_on=now, gone_on=None, **facts)
    drawn = draw([*others, source], here=study.here)
    drawn = {name: study.facts[name] if drawn[name] is None else drawn[name] for name in drawn}
    otherwise = was is not None and any(facts[name] != getattr(was, name) for name in FACTS)
    back = was is not None and was.gone_on is not None
    return Weighed(
        first=was is None,
        facts=facts,
        otherwise=otherwise,
        changes=said,
        drawn=drawn,
        changed=bool(said) or back or any(drawn[one] != study.facts[one] for one in STUDY_FACTS),
        grown=grown,
        reopened=reopened,
    )


def _is_known(study: StudyBefore, was: SourceAnswer, answer: StudyFacts) -> bool:
    """Tell whether nothing can come of an answer: of most, in all finds but the first.

    So it is when the study is open, the PACS is its only source and has it still, and each of the
    two rows says already what the answer says.
    """
    if study.complete or study.given_up or was.gone_on is not None or len(study.sources) > 1:
        return False
    says = study.facts
    return facts_of(answer, was) == facts_of(was) and all(
        (value := was.images if name == "expected_images" else getattr(was, name)) is None
        or value == says[name]
        for name in STUDY_FACTS
    )
