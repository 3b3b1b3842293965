"""Questions that were to name one study, or one patient's, and name several."""

from collections.abc import Collection, Iterable, Mapping

from node.dicom.query import StudyQuery
from node.ops.finding.inquiry import Inquiry
from node.ops.finding.singles.resolved import Resolutions, Resolved
from schema.finding.known import DescribedStudy, known_at, patients_of
from schema.text.words import counted


def names_several(
    query: StudyQuery, study_uids: Collection[str], described: Mapping[str, DescribedStudy]
) -> str:
    """Return what a question names when that is more than it was to name; else "".

    An accession number is to name one study, any other question one patient.

    Parameters
    ----------
    study_uids
        The studies that came.
    described
        How the peer describes them.
    """
    patients = len(patients_of(described[uid] for uid in study_uids if uid in described))
    if patients > 1:
        return f"{counted(len(study_uids), 'study')} of {patients} patients"
    if query.accession_number and len(study_uids) > 1:
        return f"{counted(len(study_uids), 'study')} with this accession number"
    return ""


async def ambiguous(inquiry: Inquiry, resolved: Resolutions) -> dict[str, str]:
    """Return the accession numbers that name several studies, each with what it names."""
    several = {
        query.accession_number: (query, one)
        for query, one in resolved.items()
        if query.accession_number and len(one.study_uids) > 1
    }
    described = await described_by(inquiry, [one for _, one in several.values()])
    return {
        number: names_several(query, one.study_uids, described)
        for number, (query, one) in several.items()
    }


async def described_by(inquiry: Inquiry, resolved: Iterable[Resolved]) -> dict[str, DescribedStudy]:
    """Return how the peer describes the studies that were found."""
    uids = {uid for one in resolved for uid in one.study_uids}
    if not uids:
        return {}
    async with inquiry.asker.database.session() as session:
        return await known_at(session, inquiry.asker.peer.name, uids)
