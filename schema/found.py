"""What the PACSs say they have: recorded once, and refreshed each time they say it again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schema.dcm2model import DicomSource, dcm2study_finding
from schema.engine.either import either
from schema.errors import DatabaseUnavailable, InvalidDicom
from schema.hierarchy.links import link_received
from schema.hierarchy.sources import record_source
from schema.inventory import count_images
from schema.tables.columns import utcnow
from schema.tables.models import EMPTY, FAILED, FOUND, StudyFind
from schema.tables.statements import among, insert_new, table_of

_FACTS = (
    "patient_name",
    "patient_id",
    "study_date",
    "accession_number",
    "modalities",
    "study_description",
    "expected_series",
    "expected_images",
)
"""What a response says about a study; what a later one leaves out stays as it was."""

_NEW_ROW = (
    *_FACTS,
    "study_uid",
    "found_on",
    "last_seen_on",
    "updated_on",
    "state",
    "attempts",
    "priority",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a C-FIND response came to.

    Attributes
    ----------
    outcome
        `new`, `changed` or `known`.
    """

    study_uid: str
    outcome: str


@either
async def add_found_study(session: AsyncSession, dcm: DicomSource) -> StudyFind | None:
    """Record a study that a C-FIND response describes.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    dcm
        The response's identifier.

    Returns
    -------
    StudyFind | None
        None when the study is known already; it is left as it is.

    Raises
    ------
    InvalidDicom
        When the identifier has no Study Instance UID.
    """
    finding = dcm2study_finding(dcm)
    if not await _insert(session, [finding], peer=None):
        return None
    await link_received(session, [finding.study_uid])
    return await StudyFind.by_uid(session, finding.study_uid)


@either
async def record_found(
    session: AsyncSession, identifiers: Iterable[Dataset], *, peer: str
) -> list[Found]:
    """Record the studies of C-FIND responses, and refresh those that are known.

    A study whose expected images have grown beyond what was retrieved is to be moved again.

    Parameters
    ----------
    session
        The caller's; it is the caller who commits.
    identifiers
        The responses; one without a Study Instance UID is passed over, several of one study
        count as one.
    peer
        The configured name of the PACS that answered.

    Returns
    -------
    list[Found]
        One for each distinct study, in the order in which they came.

    Raises
    ------
    DatabaseUnavailable
        As a conflict, when another session deletes rows that this one has just looked up.
    """
    findings = _distinct(identifiers)
    if not findings:
        return []
    uids = sorted(findings)
    present = set(
        await session.scalars(
            select(StudyFind.study_uid).where(among(session, StudyFind.study_uid, uids))
        )
    )
    fresh = [findings[uid] for uid in uids if uid not in present]
    new = await _insert(session, fresh, peer=peer)
    known = [uid for uid in uids if uid not in new]
    changed = await _refresh(session, {uid: findings[uid] for uid in known}, peer=peer)
    await record_source(session, findings, peer=peer)
    await link_received(session, uids)
    outcomes = dict.fromkeys(known, "known") | dict.fromkeys(changed, "changed")
    return [Found(study_uid=uid, outcome=outcomes.get(uid, "new")) for uid in findings]


def _distinct(identifiers: Iterable[Dataset]) -> dict[str, StudyFind]:
    """Return one finding per study: the first, completed by what the later ones add."""
    findings: dict[str, StudyFind] = {}
    for identifier in identifiers:
        try:
            finding = dcm2study_finding(identifier)
        except InvalidDicom:
            continue
        first = findings.setdefault(finding.study_uid, finding)
        for fact in _FACTS:
            if getattr(first, fact) is None:
                setattr(first, fact, getattr(finding, fact))
    return findings


async def _insert(
    session: AsyncSession, findings: Sequence[StudyFind], *, peer: str | None
) -> set[str]:
    """Insert the studies that are not there yet; return their UIDs."""
    rows = [
        {name: getattr(finding, name) for name in _NEW_ROW} | {"peer": peer} for finding in findings
    ]
    returned = await insert_new(
        session, table_of(StudyFind), rows, key=["study_uid"], returning=["study_uid"]
    )
    return {uid for (uid,) in returned}


async def _refresh(
    session: AsyncSession, findings: dict[str, StudyFind], *, peer: str
) -> list[str]:
    """Bring known studies up to date; return the UIDs of those that changed."""
    if not findings:
        return []
    table = table_of(StudyFind)
    rows = (
        await session.execute(
            select(
                *(table.c[name] for name in ("id", "study_uid", "retrieved_on", "state", *_FACTS))
            )
            .where(among(session, StudyFind.study_uid, sorted(findings)))
            .order_by(table.c.study_uid)
            .with_for_update(key_share=True)
        )
    ).all()
    if len(rows) < len(findings):
        raise DatabaseUnavailable("found studies were removed meanwhile", conflict=True)
    had = await count_images(session, [row.study_uid for row in rows if row.retrieved_on])
    now = utcnow()
    changed: list[str] = []
    refreshed: list[dict[str, Any]] = []
    reopened: list[dict[str, Any]] = []
    for row in rows:
        finding = findings[row.study_uid]
        facts = {name: _newer(getattr(finding, name), getattr(row, name)) for name in _FACTS}
        if any(facts[name] != getattr(row, name) for name in _FACTS):
            changed.append(row.study_uid)
        refreshed.append({"row": row.id, **{f"new_{name}": facts[name] for name in _FACTS}})
        here = max(row.expected_images or 0, had.get(row.study_uid, 0))
        closed = row.retrieved_on is not None or row.state in {EMPTY, FAILED}
        if closed and (facts["expected_images"] or 0) > here:
            reopened.append({"row": row.id})
    by_id = table.c.id == bindparam("row")
    connection = await session.connection()
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _FACTS}
    await connection.execute(
        update(table).where(by_id).values(**values, peer=peer, last_seen_on=now, updated_on=now),
        refreshed,
    )
    if reopened:
        again = {"state": FOUND, "attempts": 0, "next_attempt_on": None, "last_error": None}
        await connection.execute(
            update(table).where(by_id).values(retrieved_on=None, **again), reopened
        )
    return changed


def _newer(new: Any, old: Any) -> Any:  # noqa: ANN401 - any column's value
    return old if new is None else new
