"""From the parts of an answer to the store: the bytes of each dataset as they are."""

from dataclasses import dataclass, field

from node.dicom.file_meta import NoFileMeta, read_file_meta
from node.dicom.peek import HEAD, peek_sop_uids
from node.dicom.status import Status
from node.errors import StorageError
from node.net.categories import describe, is_success_or_warning
from node.net.dimse.guarded import GuardedSink
from node.net.messages import Caller, StoreHandler, StoreRequest
from node.net.wado.media import DICOM, media_type
from node.net.wado.multipart import PartData, PartEnd, PartEvent, PartHead

_LONGEST_UID = 64
"""Characters (PS3.5 9.1)."""

_MOST_FAILURES = 1000
"""Of which is kept why; of the others there is a number."""

_FILES = ("", DICOM, "application/octet-stream")
"""Content-Types of a part that may be a file."""


@dataclass(slots=True)
class Harvest:
    """What answers have brought so far.

    Attributes
    ----------
    arrived
        Objects that the store has taken.
    bytes
        Of the datasets that came, also of those that were not taken.
    failed
        Objects that were not taken.
    reasons
        Why, of the first of them.
    failed_uids
        Their SOP Instance UIDs, where they say them.
    """

    arrived: int = 0
    bytes: int = 0
    failed: int = 0
    reasons: list[str] = field(default_factory=list)
    failed_uids: list[str] = field(default_factory=list)

    def fail(self, why: str, uid: str = "") -> None:
        """Take note of an object that was not taken."""
        self.failed += 1
        if len(self.reasons) < _MOST_FAILURES:
            self.reasons.append(why)
            if uid:
                self.failed_uids.append(uid)


class Objects:
    """Takes what the parts of one answer hold, one after the other.

    Parameters
    ----------
    store
        Takes each object.
    caller
        Who has sent it, as far as the store is concerned.
    harvest
        To which it is added.
    """

    def __init__(self, store: StoreHandler, caller: Caller, harvest: Harvest) -> None:
        self._store = store
        self._caller = caller
        self._harvest = harvest
        self._head: bytearray | None = None
        self._look_at = 0
        self._sink: GuardedSink | None = None
        self._uid = ""
        self._number = 0

    async def take(self, event: PartEvent) -> None:
        """Take the next of what the parser sees; waits while the store has enough.

        Raises
        ------
        StorageError
            The store takes nothing at the moment.
        """
        if isinstance(event, PartHead):
            self._begin(event)
        elif isinstance(event, PartData):
            self._write(event.data)
            if self._sink is not None and self._sink.full:
                await self._sink.drained()
        else:
            assert isinstance(event, PartEnd)  # noqa: S101 - there are three
            await self._end()

    def discard(self) -> None:
        """Forget the object that is not whole."""
        sink, self._sink, self._head = self._sink, None, None
        if sink is not None:
            sink.discard()

    def _begin(self, part: PartHead) -> None:
        self._number += 1
        self._uid = ""
        self._look_at = HEAD
        media = media_type(part.headers.get("content-type", "")).name
        coding = part.headers.get("content-encoding", "identity").lower()
        if media not in _FILES:
            self._fail(f"it is {media}, where {DICOM} is needed")
        elif coding not in ("identity", "binary", ""):
            self._fail(f"it is encoded as {coding}")
        else:
            self._head = bytearray()

    def _write(self, data: bytes) -> None:
        if self._head is None:
            self._pass_on(data)
            return
        self._head += data
        if len(self._head) >= self._look_at:
            self._look()

    def _pass_on(self, data: bytes) -> None:
        if self._sink is not None:
            self._harvest.bytes += len(data)
            self._sink.write(data)

    def _look(self, *, whole: bool = False) -> None:
        """Read the header, and begin to store; later, where more of it has to come."""
        assert self._head is not None, "the caller has looked"  # noqa: S101
        head = bytes(self._head)
        try:
            meta = read_file_meta(head, whole=whole)
        except NoFileMeta as error:
            self._fail(str(error))
            return
        if meta is None or (not whole and len(head) < meta.end + HEAD):
            self._look_at = 2 * len(head)
            return
        # where both name it, peers compare what is announced with the dataset
        seen = peek_sop_uids(head[meta.end : meta.end + HEAD], meta.transfer_syntax_uid)
        uids = {
            "SOP class": seen.sop_class_uid or meta.sop_class_uid,
            "SOP instance": seen.sop_instance_uid or meta.sop_instance_uid,
            "transfer syntax": meta.transfer_syntax_uid,
        }
        self._uid = uids["SOP instance"][:_LONGEST_UID]
        for name, uid in uids.items():
            if not 0 < len(uid) <= _LONGEST_UID:
                self._fail(f"it does not name its {name}")
                return
        request = StoreRequest(
            caller=self._caller,
            sop_class_uid=uids["SOP class"],
            sop_instance_uid=uids["SOP instance"],
            transfer_syntax_uid=uids["transfer syntax"],
        )
        self._head = None
        self._sink = GuardedSink(lambda: self._store(request))
        self._pass_on(head[meta.end :])

    async def _end(self) -> None:
        if self._head is not None:
            self._look(whole=True)
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            status = await sink.finish()
        except BaseException:
            sink.discard()
            raise
        if is_success_or_warning(status):
            self._harvest.arrived += 1
            return
        self._fail(f"it was not taken here: {describe(status)}")
        if status == Status.OUT_OF_RESOURCES:
            raise StorageError(f"nothing is taken here at the moment: {describe(status)}")

    def _fail(self, why: str) -> None:
        self._head = None
        named = self._uid or f"part {self._number}"
        self._harvest.fail(f"{named}: {why}", self._uid)
