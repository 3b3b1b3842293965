"""What is wanted, divided into requests: pure.

A request below the study level names one series: it has a single value of each unique key above its
level, and may have a list of those at it (PS3.4 C.4.2.2.1).
"""

from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from node.dicom.query import retrieve_identifier
from node.ops.retrieving.wanted import RetrieveLevel, Wanted

MOST_UIDS = 100
"""SOP Instance UIDs of one request: 6 KB, which no peer was seen to choke on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What one request asks for; `sop_uids` is empty above the image level."""

    level: RetrieveLevel
    study_uid: str
    series_uid: str = ""
    sop_uids: tuple[str, ...] = ()

    @property
    def identifier(self) -> Dataset:
        """The identifier of its C-MOVE or C-GET."""
        return retrieve_identifier(self.study_uid, self.series_uid, self.sop_uids)

    def singly(self) -> list["Piece"]:
        """Return the same, with a request for each image."""
        return [replace(self, sop_uids=(uid,)) for uid in self.sop_uids]


def pieces_of(wanted: Wanted, *, most: int = MOST_UIDS) -> list[Piece]:
    """Return the requests for what is wanted, in its order; none where no series is named.

    Parameters
    ----------
    most
        How many SOP Instance UIDs one of them may name.
    """
    study = wanted.study_uid
    if wanted.series is None:
        return [Piece(level=RetrieveLevel.STUDY, study_uid=study)]
    pieces = []
    for series, named in wanted.series.items():
        uids = tuple(dict.fromkeys(named))
        if not uids:
            pieces.append(Piece(level=RetrieveLevel.SERIES, study_uid=study, series_uid=series))
        pieces += [
            Piece(
                level=RetrieveLevel.IMAGE,
                study_uid=study,
                series_uid=series,
                sop_uids=uids[start : start + most],
            )
            for start in range(0, len(uids), most)
        ]
    return pieces
