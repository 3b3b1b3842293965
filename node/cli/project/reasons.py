"""Why a study that is known, or belongs to a project, is not here, in a few words for a table."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from schema.text.words import are, counted

if TYPE_CHECKING:
    from node.config import PeerSettings
    from schema.finding.drawing import SourceAnswer
    from schema.project.inquiries import Asked
    from schema.project.members import Member

    Peers = Mapping[str, PeerSettings]
    """The peers of the configuration."""


class StudyNotHere(Protocol):
    """A study that is known, and the PACSs that have it."""

    @property
    def state(self) -> str:
        """As in `studies_find`."""

    @property
    def peer(self) -> str | None:
        """The PACS that answered it last."""

    @property
    def expected_images(self) -> int | None:
        """How many images its PACSs have; None when nobody knows."""

    @property
    def last_error(self) -> str | None:
        """Why the last attempt has not brought it."""

    @property
    def next_attempt_on(self) -> datetime | None:
        """When it is due again."""

    @property
    def sources(self) -> "tuple[SourceAnswer, ...]":
        """All PACSs that have it, or had it."""

    @property
    def unwanted_at(self) -> Collection[str]:
        """Those of them that nothing of it is wanted from."""


def why(member: "Member", peers: "Peers") -> str:
    """Return why a study is not complete here, with every peer's answer; "" when it is complete.

    "Nobody has asked" and "the peer does not have it" are never the same.
    """
    if member.complete:
        return ""
    answers = [_answer(member, one) for one in _asked(member)]
    if member.missing:
        return "; ".join(answers) or "no peer was asked for it yet"
    return "; ".join((_open(member, peers), *answers))


def why_in_short(member: "Member", peers: "Peers") -> str:
    """Return the same with the answers of several peers put together, without their messages."""
    asked = [] if member.complete else _asked(member)
    if len(asked) < 2:
        return why(member, peers)
    said: dict[tuple[str, str], list[str]] = {}
    for one in asked:
        said.setdefault(_verdict(member, one), []).append(one.peer or "a peer")
    latest = max(one.on for one in asked)
    told = [
        f"{', '.join(sorted(names))} {several if len(names) > 1 else single}"
        for (single, several), names in sorted(said.items())
    ]
    told[-1] += f" (asked until {latest:%Y-%m-%d %H:%M} UTC)"
    return "; ".join(told if member.missing else (_open(member, peers), *told))


def messages(members: "Sequence[Member]") -> list[str]:
    """Return what the short form has left out of the answers, each once, by peer."""
    told = {
        f"{asked.peer} {_verdict(member, asked)[0]}: {asked.message}"
        for member in members
        if not member.complete and len(_asked(member)) > 1
        for asked in _asked(member)
        if asked.message and not asked.answered
    }
    return sorted(told)


def found_at(member: StudyNotHere) -> str | None:
    """Return the peers that have a study, or had it.

    Where several have it, and do not say the same number of images, with what each says.
    """
    sources = member.sources
    if not sources:
        return member.peer
    there = [source for source in sources if source.gone_on is None]
    if len({source.expected_images for source in there}) < 2:
        return peers_of(sources)
    told = [f"{source.peer} ({_images(source.expected_images)})" for source in there]
    return ", ".join((*told, *_gone(sources)))


def peers_of(sources: "Sequence[SourceAnswer]") -> str:
    """Return the peers that have a study, then those that have it no more; "" for none."""
    there = [source.peer for source in sources if source.gone_on is None]
    return ", ".join((*there, *_gone(sources)))


def _gone(sources: "Sequence[SourceAnswer]") -> list[str]:
    return [
        f"{source.peer} (gone since {source.gone_on:%Y-%m-%d})"
        for source in sources
        if source.gone_on is not None
    ]


def _open(member: "Member", peers: "Peers") -> str:
    at, here = member.interrupted_at, member.received_images
    return why_open(member, peers, interrupted_at=at, here=here)


def why_open(
    study: StudyNotHere, peers: "Peers", *, interrupted_at: Collection[str] = (), here: int = 0
) -> str:
    """Return why a study that is known is not complete here.

    Parameters
    ----------
    interrupted_at
        The PACSs whose last attempt was asked and interrupted.
    here
        How many images of it are here.
    """
    if study.state == "received":
        return "came without having been found: nobody has said how many images it has"
    if study.sources and all(source.gone_on is not None for source in study.sources):
        return f"no peer has it any more: {peers_of(study.sources)}"
    if study.state == "held":
        return "held by an operator"
    refused = [
        source for source in study.sources if source.open and source.peer in study.unwanted_at
    ]
    left = [source.peer for source in study.sources if source.open and source not in refused]
    if study.state == "unwanted" or (refused and not left):
        reasons = [source.last_error or "" for source in refused]
        return not_wanted(reasons or [study.last_error or ""])
    if error := _error(study, refused):
        return f"{error}{_again(study.next_attempt_on)}"
    ready = [name for name in left if name in peers]
    done = [source.peer for source in study.sources if source.verified_on and not source.gone_on]
    if done:
        known = f"all that {_listed(done)} {'has' if len(done) == 1 else 'have'} is here"
        ask = "; ".join(_not_yet(study, ready))
    else:
        known = f"found at {found_at(study) or 'a peer'}"
        ask = f"not moved yet{f' from {_listed(ready)}' if refused else ''}"
        if set(ready) & set(interrupted_at):
            ask = f"asked, and interrupted: {_so_far(here, study.expected_images)}"
    if ready or not left:
        known = f"{known}{'; ' if done else ', '}{ask}"
    return "; ".join((known, *_out_of_reach(left, peers), *_beside(refused)))


def _beside(refused: "Sequence[SourceAnswer]") -> list[str]:
    """Say of which peers nothing is wanted, while others are asked."""
    if not refused:
        return []
    why = "; ".join(dict.fromkeys(filter(None, (source.last_error for source in refused))))
    names = _listed([source.peer for source in refused])
    return [f"not wanted from {names} (`move.want`){': ' + why if why else ''}"]


def _again(due: datetime | None) -> str:
    """Say when a study is due again, behind what was wrong; "" where it may be at any time."""
    if due is None:
        return ""
    from schema.tables.columns import utcnow

    return f"; due again {f'{due:%Y-%m-%d %H:%M} UTC' if due > utcnow() else 'with the next cycle'}"


def _error(study: StudyNotHere, refused: "Sequence[SourceAnswer]") -> str:
    """Return why the last attempt has not brought it; "" where that was of what is not wanted."""
    why = study.last_error or ""
    if why not in [source.last_error for source in refused]:
        return why
    others = [source for source in study.sources if source.open and source not in refused]
    return "; ".join(dict.fromkeys(filter(None, (source.last_error for source in others))))


def _not_yet(study: StudyNotHere, names: Sequence[str]) -> Iterator[str]:
    """Say of which peers all is not known to be here, and which were not asked at all."""
    tried = {source.peer for source in study.sources if source.last_error}
    in_vain = [name for name in names if name in tried]
    fresh = [name for name in names if name not in tried]
    if in_vain:
        has = "has" if len(in_vain) == 1 else "have"
        yield f"not all that {_listed(in_vain)} {has} is known to be here"
    if fresh:
        theirs = "its images" if len(fresh) == 1 else "their images"
        yield f"{_listed(fresh)} {_were(fresh)} not asked for {theirs} yet"


def not_wanted(reasons: Iterable[str]) -> str:
    """Say that the policy does not want a study, and why, as far as that is known."""
    said = "; ".join(dict.fromkeys(filter(None, reasons)))
    return f"not wanted (`move.want`){': ' + said if said else ''}"


def _out_of_reach(names: Sequence[str], peers: "Peers") -> list[str]:
    """Say of which peers nothing can be moved, and why."""
    strangers = [name for name in names if name not in peers]
    if not strangers:
        return []
    no = "no peer" if len(strangers) == 1 else "no peers"
    return [f"{_listed(strangers)} {are(len(strangers))} {no} of the configuration"]


def _listed(names: Sequence[str]) -> str:
    """Write names as a sentence has them: a, b and c."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def _were(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _so_far(here: int, expected: int | None) -> str:
    if expected is None:
        return f"{counted(here, 'image')} {are(here)} here"
    return f"{here} of {counted(expected, 'image')} {are(here)} here"


def _images(count: int | None) -> str:
    if count is None:
        return "number of images unknown"
    return counted(count, "image")


def _asked(member: "Member") -> "Sequence[Asked]":
    """Return the questions that count: of a study that is nowhere, at least the last one."""
    if member.missing and not member.inquiries and member.asked is not None:
        return (member.asked,)
    return member.inquiries


def _answer(member: "Member", asked: "Asked") -> str:
    when = f"{asked.peer}, asked {asked.on:%Y-%m-%d %H:%M} UTC,"
    said, _ = _verdict(member, asked)
    if asked.answered or asked.outcome == "complete":
        return f"{when} {said}"
    if asked.outcome == "suspect":
        return f"{when} {said}: {asked.message or 'nothing came'}"
    return f"{when} {said}: {asked.message or asked.outcome}"


def _verdict(member: "Member", asked: "Asked") -> tuple[str, str]:
    """Return what an answer comes to: of one peer, and of several."""
    if asked.answered and member.study_uid is None and asked.matches:
        return _alike(f"answered {counted(asked.matches, 'study')} without this accession number")
    if asked.answered:
        return "has no such study", "have no such study"
    if asked.outcome == "suspect":
        return _alike("answered, which proves nothing")
    if asked.outcome == "complete":
        return _alike(
            f"answered {asked.matches} of {counted(asked.together, 'study')} in one list, "
            "which does not say of which"
        )
    return _alike("gave no answer")


def _alike(said: str) -> tuple[str, str]:
    return said, said
