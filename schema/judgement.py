"""One decision: a SOP Instance UID is known, and an object has come under it; what is it.

`judge` is pure. Who asks has looked at the disk before (`schema.parsing.kept`, and the node with
`node.storage.inspect.kept_of`, which knows our own headers), and acts on the answer after.

Digests are of the encoded dataset; that of a file is computed from what the file is now. `row` is
the digest in the row, `file` that of the file which the row names, `came` that of what has come:

    what lies where the row says             row == came   row is NULL   row is another
    ──────────────────────────────────────────────────────────────────────────────────────
    nothing                                  RESTORE       CONFLICT      CONFLICT
      and its header is the row's            RESTORE       RESTORE       CONFLICT
    the very file that has come              SAME          SAME          CHANGED
    a file, file == came, in the archive     SAME          SAME          CONFLICT
      the same, elsewhere, and received      ADOPT         ADOPT         CONFLICT
    a file, file != came                     REPAIR        CONFLICT      CONFLICT
    a file that is broken                    REPAIR        CONFLICT      CONFLICT
    a file that cannot be read               REPAIR        CONFLICT      CONFLICT
    a file that nobody has read              SAME          CONFLICT      CONFLICT

Where it says REPAIR and the file does not lie in the archive, what was received is ADOPTed: a file
of somebody else's is left alone. Before all that: what is not what its C-STORE named is a
MISMATCH, and what has no row is NEW. What came without a digest was not received but found, and is
compared by its size; a size that nobody knows is never the same. Where the row has no digest and
its file is gone, the header is all that is left to compare, whatever came and however.

So what is unknown is never "the same"; an object that was received is never given up unless a file
in the archive has been seen with exactly its digest; and nothing that is sound is ever replaced by
other content.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from schema.header.values import clean_text, key_of
from schema.record import ImageRecord


class Judgement(StrEnum):
    """What an object is, and so what is to be done with it."""

    NEW = "new"
    """Nothing is known under its UID: it is to be indexed."""
    SAME = "same"
    """It is there already, sound: nothing is to be done, and what has come may go."""
    RESTORE = "restore"
    """Its row has lost its file: the row is to name this one."""
    ADOPT = "adopt"
    """Its row names a file that is not in the archive: the row is to name this one."""
    REPAIR = "repair"
    """The file of its row is damaged: it is to be set aside, and this one to take its place."""
    CONFLICT = "conflict"
    """Another object has its UID, or it cannot be told whether it is another: both are kept."""
    CHANGED = "changed"
    """It is the row's own file, which has been changed since it was indexed."""
    MISMATCH = "mismatch"
    """It is not what its C-STORE command named."""


class Lies(Enum):
    """What lies at the path that a row names."""

    NOTHING = "nothing"
    """No file; or the row names none."""
    ITSELF = "itself"
    """The file that has come is the row's."""
    DATASET = "dataset"
    """A file whose dataset was read, and has a digest."""
    BROKEN = "broken"
    """A file that was read, and is no DICOM file any more, or not with the header it had."""
    UNREADABLE = "unreadable"
    """A file that the operating system does not let us read."""
    UNREAD = "unread"
    """A file that nobody has read: the row is believed. Never enough for what was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a row says of its file.

    Attributes
    ----------
    elsewhere
        Whether another storage directory holds it: what lies here under its path is not it.
    """

    filepath: str | None
    sha256: str | None
    size: int | None = None
    elsewhere: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the file of a row is now.

    Attributes
    ----------
    sha256
        Of its dataset; None unless it lies there as `Lies.DATASET`.
    size
        Of the file, in bytes; None when nobody knows.
    archived
        Whether it is a file of our own, in the storage directory.
    reason
        How it is broken, or why it cannot be read; else empty.
    """

    lies: Lies
    sha256: str | None = None
    size: int | None = None
    archived: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What has come.

    Attributes
    ----------
    sha256
        Of its dataset; None only for what was found, where nobody computes digests.
    size
        Of its file, in bytes.
    received
        Whether it was acknowledged to a sender, and so must stay in the archive.
    agrees
        Whether it is what its C-STORE command named; see `disagreement`.
    same_header
        Whether its header is known to be the one in the row: all that there is to compare where
        neither file nor digest is left.
    """

    sha256: str | None
    size: int | None = None
    received: bool = False
    agrees: bool = True
    same_header: bool = False


def judge(known: Known | None, kept: Kept, came: Came) -> Judgement:
    """Say what an object is.

    Parameters
    ----------
    known
        The row that has its SOP Instance UID; None when there is none.
    kept
        What lies where the row says.

    Raises
    ------
    ValueError
        Something was received, but it has no digest, or nobody has looked at the file.
    """
    if came.received and (came.sha256 is None or kept.lies is Lies.UNREAD):
        raise ValueError("what was received is compared by digests, with the file itself")
    if not came.agrees:
        return Judgement.MISMATCH
    if known is None:
        return Judgement.NEW
    if kept.lies is Lies.ITSELF:
        return Judgement.CHANGED if _differ(known, came) else Judgement.SAME
    if kept.lies is Lies.NOTHING and known.sha256 is None:
        return Judgement.RESTORE if came.same_header else Judgement.CONFLICT
    return _by_size(known, kept, came) if came.sha256 is None else _by_digest(known, kept, came)


def why_conflict(known: Known, kept: Kept) -> str:
    """Say in words why an object is a conflict."""
    if known.elsewhere:
        return (
            "another object with this SOP Instance UID is indexed; another storage directory holds"
            " its file"
        )
    if kept.lies is Lies.NOTHING:
        if known.sha256 is None:
            return (
                "another object, with another header, is indexed with this SOP Instance UID; its"
                " file is gone, and it has no digest"
            )
        return "another object with this SOP Instance UID is indexed; its file is gone"
    if known.sha256 is None and kept.lies in (Lies.BROKEN, Lies.UNREADABLE, Lies.UNREAD):
        return (
            "perhaps another object with this SOP Instance UID is indexed, in"
            f" {known.filepath}, which has no digest and cannot be compared"
            + (f": {kept.reason}" if kept.reason else "")
        )
    return f"another object with this SOP Instance UID is indexed, in {known.filepath}"


def disagreement(
    record: ImageRecord, *, sop_instance_uid: str, sop_class_uid: str | None = None
) -> str | None:
    """Say how a dataset is not what its C-STORE command named; None when it is.

    Parameters
    ----------
    sop_instance_uid, sop_class_uid
        Affected SOP Instance UID and Affected SOP Class UID (PS3.7 section 9.1.1.1) as they came;
        None where nobody knows any more.
    """
    if _as_indexed(sop_instance_uid) != _as_indexed(record.image_uid):
        return f"its C-STORE named SOP Instance UID {sop_instance_uid}"
    if sop_class_uid is not None and (
        _as_indexed(sop_class_uid) != _as_indexed(record.sop_class_uid or "")
    ):
        return f"its C-STORE named SOP Class UID {sop_class_uid}"
    return None


def _as_indexed(uid: str) -> str:
    """Return a UID as a record has it: no padding, nothing that a database cannot hold."""
    return key_of(clean_text(uid.strip(" \0")))


def _differ(known: Known, came: Came) -> bool:
    """Tell whether a row's own file is not what the row says, as far as that is known."""
    if known.sha256 is not None and came.sha256 is not None:
        return known.sha256 != came.sha256
    return None not in (known.size, came.size) and known.size != came.size


_RESTORED = (Judgement.RESTORE, Judgement.CONFLICT, Judgement.CONFLICT)
_EQUAL = (Judgement.SAME, Judgement.SAME, Judgement.CONFLICT)
_UNEQUAL = (Judgement.REPAIR, Judgement.CONFLICT, Judgement.CONFLICT)
_BELIEVED = (Judgement.SAME, Judgement.CONFLICT, Judgement.CONFLICT)
"""Where the row has the digest of what has come, where it has none, and where it has another."""

_BY_DIGEST = {
    Lies.NOTHING: _RESTORED,
    Lies.BROKEN: _UNEQUAL,
    Lies.UNREADABLE: _UNEQUAL,
    Lies.UNREAD: _BELIEVED,
}


def _by_digest(known: Known, kept: Kept, came: Came) -> Judgement:
    if kept.lies is Lies.DATASET:
        line = _EQUAL if kept.sha256 == came.sha256 else _UNEQUAL
    else:
        line = _BY_DIGEST[kept.lies]
    digests: tuple[str | None, ...] = (came.sha256, None)
    column = digests.index(known.sha256) if known.sha256 in digests else 2
    judgement = line[column]
    if came.received and not kept.archived and judgement in (Judgement.SAME, Judgement.REPAIR):
        return Judgement.ADOPT
    return judgement


def _by_size(known: Known, kept: Kept, came: Came) -> Judgement:
    size = kept.size if known.size is None else known.size
    if came.size is None or size != came.size:
        return Judgement.CONFLICT
    if kept.lies is Lies.NOTHING:
        return Judgement.RESTORE
    return Judgement.SAME if kept.lies is Lies.UNREAD else Judgement.CONFLICT
