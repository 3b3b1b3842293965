"""The second copies of images: taken into files of ours, compared, and removed.

Where we listen for them ourselves, others may send to us as well, who count on what we
acknowledge. So nothing is acknowledged but what is held as it came, and what says that we have
asked for it; anything else is answered with 0xA700, and its sender keeps it and tries again.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from node.dicom.spans import Unreadable
from node.dicom.status import Status
from node.net.dimse.sinks import Refused
from node.net.messages import StoreRequest, StoreSink
from node.ops.checking.home import Holder, Home
from node.ops.receiving.relaying import SinkToFile
from node.ops.sampling.report import ImageOutcome, SampledImage, StudySample
from node.storage.files import compare_files, study_uid_of, transfer_syntax_of
from node.storage.inspect import Fault, digest_of, inspect
from node.storage.spool import Spool
from node.storage.writing import Sender, Writing
from schema import InvalidDicom
from schema.choosing.policy import Policy
from schema.header.dicomjson import read_header
from schema.inventory import Held
from schema.moving.senders import Senders

log = logging.getLogger(__name__)

_AT_ONCE = 4
"""Images that are compared at once."""

_WORST = (
    ImageOutcome.DIFFERENT,
    ImageOutcome.NOT_COMPARED,
    ImageOutcome.NEW,
    ImageOutcome.UNWANTED,
    ImageOutcome.EQUAL,
    ImageOutcome.IDENTICAL,
)
"""What counts of an image that came twice."""


class SecondCopies:
    """Takes images of one study at a time: `open` is a store handler.

    Also sees them come (`node.ops.retrieving.retriever.Signs`).

    Parameters
    ----------
    home
        The storage directory, identified.
    ignored, values
        See `node.dicom.comparing.compare`.

    Attributes
    ----------
    count
        Objects that have come.
    """

    def __init__(
        self,
        home: Home,
        *,
        senders: Senders,
        ignored: Collection[int] = (),
        values: bool = False,
    ) -> None:
        self.count = 0
        self._home = home
        self._senders = senders
        self._ignored, self._values = frozenset(ignored), values
        self._spool = Spool(home.directory)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._listeners: list[Callable[[], None]] = []
        self._study: StudySample | None = None
        self._held: Mapping[str, Held] = {}
        self._found: dict[str, SampledImage] = {}
        self._asked = False
        self._policy: Policy | None = None

    async def start(self) -> None:
        """Make a folder for them. Raises `StorageError` where that cannot be."""
        await asyncio.to_thread(self._spool.open_beside)

    async def close(self) -> None:
        """Remove what is left of them, and the folder."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.to_thread(self._spool.close)

    def expect(
        self,
        study: StudySample,
        held: Mapping[str, Held],
        *,
        asked: bool,
        policy: Policy | None = None,
    ) -> None:
        """Take the images of a study from now on.

        Parameters
        ----------
        held
            What is held of it, by SOP Instance UID.
        asked
            Whether what comes is an answer, over a connection of ours; else anybody may send it.
        policy
            Under which the study is complete; what it does not want need not be held.
        """
        self._study, self._held, self._asked, self._policy = study, held, asked, policy
        self._found = {}
        self.count = 0

    async def finish(self) -> None:
        """Take no more of the study, and add to it what came, and what did not."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        study, self._study = self._study, None
        if study is None:
            return
        study.came = len(self._found)
        for image in self._found.values():
            study.add(image)
        for uid, held in self._held.items():
            if uid not in self._found:
                study.add(SampledImage(image_uid=uid, outcome=self._why_not(study, held)))

    @contextmanager
    def telling(self, listener: Callable[[], None], /) -> Iterator[None]:
        """Tell a function of each that comes, for the length of the block."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def open(self, request: StoreRequest) -> StoreSink:
        """Begin to take one object."""
        study = self._study
        if study is None or not (self._asked or self._is_of_the_peer(request, study)):
            log.info("Refused an object from %s while images are compared", request.caller.aetitle)
            return Refused(Status.OUT_OF_RESOURCES)
        return SinkToFile(self, request)

    async def begin(self, request: StoreRequest) -> Writing:
        """Begin the file of an object; see `SinkToFile`."""
        return self._spool.begin(
            sop_class_uid=request.sop_class_uid,
            sop_instance_uid=request.sop_instance_uid,
            transfer_syntax_uid=request.transfer_syntax_uid,
            sender=Sender(aetitle=request.caller.aetitle),
        )

    async def send(self, request: StoreRequest, path: Path) -> int:
        """Compare an object that is whole, and return the status that its sender is told."""
        study, uid = self._study, request.sop_instance_uid
        if study is None:
            return Status.OUT_OF_RESOURCES
        held = self._held.get(uid)
        ours = self._asked or request.originator in self._senders.ours
        async with self._turns:
            if held is None and not ours:
                # it may be new there, and on its way for another reason: it is left to its sender
                named = await asyncio.to_thread(_study_of, path)
                if named != study.study_uid:
                    return Status.OUT_OF_RESOURCES
            image, size = await asyncio.to_thread(self._compared, uid, held, path)
        study.bytes += size
        before = self._found.get(uid)
        both = [one for one in (before, image) if one is not None]
        self._found[uid] = min(both, key=lambda one: _WORST.index(one.outcome))
        self.count += 1
        for listener in list(self._listeners):
            listener()
        same = image.outcome in {ImageOutcome.IDENTICAL, ImageOutcome.EQUAL}
        return Status.SUCCESS if ours or same else Status.OUT_OF_RESOURCES

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Let a task not be collected, and be waited for at the end."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _is_of_the_peer(self, request: StoreRequest, study: StudySample) -> bool:
        title = request.caller.aetitle
        return (
            study.peer in self._senders.peers.get(title, ())
            or request.originator in self._senders.ours
        )

    def _why_not(self, study: StudySample, held: Held) -> ImageOutcome:
        """Return what an image is that did not come."""
        from_others = self._senders.peers.get(held.source or "", frozenset())
        if from_others and study.peer not in from_others:
            return ImageOutcome.ELSEWHERE
        return ImageOutcome.MISSING

    def _compared(self, uid: str, held: Held | None, path: Path) -> tuple[SampledImage, int]:
        """Compare a file with the one that is held; blocks on the disk. Returns its size, too."""
        size = 0
        try:
            size = path.stat().st_size
            if held is None:
                wanted = self._policy is None or is_wanted(str(path), self._policy)
                outcome = ImageOutcome.NEW if wanted else ImageOutcome.UNWANTED
                return SampledImage(image_uid=uid, outcome=outcome), size
            return self._against(held, str(path)), size
        except (Unreadable, InvalidDicom) as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or type(error).__name__
        outcome = ImageOutcome.NOT_COMPARED
        return SampledImage(image_uid=uid, outcome=outcome, reason=reason), size

    def _against(self, held: Held, path: str) -> SampledImage:
        uid = held.image_uid
        sha256, why = self._usable(held)
        if why:
            return SampledImage(image_uid=uid, outcome=ImageOutcome.NOT_COMPARED, reason=why)
        mine = held.filepath or ""
        syntaxes = transfer_syntax_of(mine), transfer_syntax_of(path)
        if syntaxes[0] == syntaxes[1] and sha256 == digest_of(path):
            return SampledImage(image_uid=uid, outcome=ImageOutcome.IDENTICAL)
        found = compare_files(mine, path, ignored=self._ignored, values=self._values)
        outcome = ImageOutcome.EQUAL
        if found.differences:
            outcome = ImageOutcome.DIFFERENT
        elif found.uncompared:
            outcome = ImageOutcome.NOT_COMPARED
        return SampledImage(
            image_uid=uid,
            outcome=outcome,
            reason="; ".join(found.uncompared),
            differences=found.differences,
            more=found.more,
            held_syntax=syntaxes[0],
            peer_syntax=syntaxes[1],
        )

    def _usable(self, held: Held) -> tuple[str | None, str]:
        """Return the digest of what is held, or why it cannot be compared with."""
        elsewhere = "another node holds it, which cannot be seen from here"
        if self._home.shadows(held):
            return None, elsewhere
        found = inspect(held)
        if found.fault is None:
            return found.sha256, ""
        if found.fault is Fault.MISSING and self._home.holder(held) is Holder.ANOTHERS:
            return None, elsewhere
        return None, f"the file that is held is {found.fault}: {found.reason}"


def is_wanted(path: str, policy: Policy) -> bool:
    """Tell whether a policy wants an image, or may, by what its file says of it and its series.

    Raises
    ------
    OSError, InvalidDicom
        The file cannot be read.
    """
    with Path(path).open("rb") as file:
        header = read_header(file)
    said = {
        name: header.text(keyword) or ""
        for name, keyword in (("modality", "Modality"), ("description", "SeriesDescription"))
    }
    return policy.wants_series(**said) and policy.wants_image(header.text("SOPClassUID") or "")


def _study_of(path: Path) -> str | None:
    with suppress(OSError, Unreadable, InvalidDicom):
        return study_uid_of(str(path))
    return None
