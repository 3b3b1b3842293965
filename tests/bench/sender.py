"""A C-STORE sender that costs nearly nothing while the clock runs.

    python -m tests.bench.sender PORT CALLED_AE_TITLE ASSOCIATIONS FOLDER ordinary|at-once

It associates, encodes every PDU of its share of the folder's images in advance, says `ready`,
waits for a line on its standard input, and then writes and reads sockets only: blocking ones, one
write for each PDU, the next image after the response to the last. Nagle's algorithm is off.

`ordinary` is how the sockets of all programs are: Linux delays an acknowledgement by 40 ms in the
hope to send it along with data, and a receiver that writes a response in two pieces with Nagle's
algorithm on keeps the second one until the first is acknowledged. `at-once` asks for an immediate
acknowledgement before each read (`TCP_QUICKACK`, Linux), which hardly any sender does: it shows
what receivers can do when nobody waits for anybody.

When the last response has come it answers with a line of JSON: `statuses`, the number of responses
for each status, and `cpu_seconds`, what it has used of the processors since `ready`. Each
association is released as soon as its share is sent.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian, MRImageStorage

from tests.support.images import dataset_bytes

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
MAXIMUM_LENGTH = 65536
CONTEXT_ID = 1
_LAST = 0x02
_COMMAND = 0x01
_PATIENCE = 300
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


def item(kind: int, value: bytes) -> bytes:
    """Encode an item of an association request (PS3.8 section 9.3.2)."""
    return struct.pack(">BxH", kind, len(value)) + value


def associate_request(called: str, abstract_syntax: str, calling: str = "BENCH") -> bytes:
    """Encode an A-ASSOCIATE-RQ that proposes one abstract syntax, Explicit VR Little Endian."""
    context = struct.pack(">Bxxx", CONTEXT_ID)
    context += item(0x30, abstract_syntax.encode()) + item(0x40, ExplicitVRLittleEndian.encode())
    user = item(0x51, struct.pack(">L", MAXIMUM_LENGTH))
    user += item(0x52, PYDICOM_IMPLEMENTATION_UID.encode())
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    body += item(0x10, APPLICATION_CONTEXT.encode()) + item(0x20, context) + item(0x50, user)
    return struct.pack(">BxL", 0x01, len(body)) + body


def element(number: int, value: bytes) -> bytes:
    """Encode an element of group 0000 in Implicit VR Little Endian."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def store_request(message_id: int, sop_class: str, sop_instance: str) -> bytes:
    """Encode a C-STORE-RQ command set (PS3.7 section 9.3.1.1)."""
    elements = b"".join(
        (
            element(0x0002, sop_class.encode()),
            element(0x0100, struct.pack("<H", 0x0001)),
            element(0x0110, struct.pack("<H", message_id)),
            element(0x0700, struct.pack("<H", 0)),
            element(0x0800, struct.pack("<H", 0x0001)),
            element(0x1000, sop_instance.encode()),
        )
    )
    return element(0x0000, struct.pack("<L", len(elements))) + elements


def echo_request() -> bytes:
    """Encode a C-ECHO-RQ command set (PS3.7 section 9.3.5.1)."""
    elements = b"".join(
        (
            element(0x0002, VERIFICATION.encode()),
            element(0x0100, struct.pack("<H", 0x0030)),
            element(0x0110, struct.pack("<H", 1)),
            element(0x0800, struct.pack("<H", 0x0101)),
        )
    )
    return element(0x0000, struct.pack("<L", len(elements))) + elements


def data_pdu(flags: int, fragment: bytes) -> bytes:
    """Encode a P-DATA-TF with one presentation data value (PS3.8 section 9.3.5)."""
    value = struct.pack(">LBB", len(fragment) + 2, CONTEXT_ID, flags) + fragment
    return struct.pack(">BxL", 0x04, len(value)) + value


def encode(path: Path, message_id: int, maximum: int) -> list[bytes]:
    """Encode the PDUs that store one file."""
    meta = read_file_meta_info(path)
    command = store_request(
        message_id, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    )
    data = dataset_bytes(path)
    step = maximum - 6
    pdus = [data_pdu(_COMMAND | _LAST, command)]
    for start in range(0, len(data), step):
        last = _LAST if start + step >= len(data) else 0
        pdus.append(data_pdu(last, data[start : start + step]))
    return pdus


_ECHO_REQUEST = echo_request()


class Association:
    """One association as a requestor, and the images that it will send.

    With `at_once` it acknowledges what it reads immediately. `source` is the loopback address that
    it comes from, and `calling` its AE title.
    """

    def __init__(
        self,
        port: int,
        called: str,
        paths: list[Path],
        *,
        at_once: bool = False,
        abstract_syntax: str = MRImageStorage,
        source: str = "127.0.0.1",
        calling: str = "BENCH",
    ) -> None:
        self._at_once = at_once
        self.answered = threading.Event()
        self._socket = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
        # A blocking socket with deadlines: Python's own timeouts would make it a non-blocking one.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", _PATIENCE, 0))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(associate_request(called, abstract_syntax, calling))
        kind, body = self._receive()
        if kind != 0x02:
            raise SystemExit(f"port {port} refuses the association: PDU type {kind:#04x}")
        self.statuses: Counter[int] = Counter()
        self.maximum = min(_peer_maximum(body) or MAXIMUM_LENGTH, MAXIMUM_LENGTH)
        self._messages = [encode(path, n % 65535 + 1, self.maximum) for n, path in enumerate(paths)]

    def send(self) -> None:
        """Send every image, one after the other, count the statuses, and release."""
        try:
            for message in self._messages:
                self.statuses[self.request(message)] += 1
        finally:
            self.answered.set()
        self.release()

    def request(self, pdus: Iterable[bytes]) -> int:
        """Send a request in one write for each PDU, and return the status of the response."""
        for pdu in pdus:
            self._socket.sendall(pdu)
        return self._status()

    def echo(self) -> int:
        """Send a C-ECHO, and return the status of the response."""
        return self.request([data_pdu(_COMMAND | _LAST, _ECHO_REQUEST)])

    def release(self) -> None:
        """End the association in order."""
        self._socket.sendall(struct.pack(">BxLxxxx", 0x05, 4))
        self._receive()
        self._socket.close()

    def _status(self) -> int:
        kind, body = self._receive()
        assert kind == 0x04, f"PDU type {kind:#04x} instead of a response"
        offset = 6
        while offset < len(body):
            group, number, length = struct.unpack_from("<HHL", body, offset)
            if (group, number) == (0, 0x0900):
                (status,) = struct.unpack_from("<H", body, offset + 8)
                return int(status)
            offset += 8 + length
        raise AssertionError("a response without a status")

    def _receive(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxL", self._exactly(6))
        return kind, self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            if self._at_once and _QUICKACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            part = self._socket.recv(length - len(data))
            if not part:
                raise SystemExit("the receiver closed the connection")
            data += part
        return data


def _peer_maximum(body: bytes) -> int:
    """Return the maximum length of an A-ASSOCIATE-AC; 0 when there is no limit."""
    offset = 68
    while offset < len(body):
        kind, length = struct.unpack_from(">BxH", body, offset)
        if kind == 0x50:
            end = offset + 4 + length
            offset += 4
            while offset < end:
                kind, length = struct.unpack_from(">BxH", body, offset)
                if kind == 0x51:
                    (maximum,) = struct.unpack_from(">L", body, offset + 4)
                    return int(maximum)
                offset += 4 + length
            return 0
        offset += 4 + length
    return 0


def main(port: str, called: str, associations: str, folder: str, manner: str) -> None:
    """Send the images of `folder` over several associations at once."""
    if manner not in ("ordinary", "at-once"):
        raise SystemExit(f"a sender is ordinary or at-once, and not {manner}")
    paths = sorted(Path(folder).rglob("*.dcm"))
    count = int(associations)
    parts = [
        Association(int(port), called, paths[n::count], at_once=manner == "at-once")
        for n in range(count)
    ]
    threads = [threading.Thread(target=part.send) for part in parts]
    print("ready", flush=True)
    sys.stdin.readline()
    used = time.process_time()
    for thread in threads:
        thread.start()
    for part in parts:
        part.answered.wait()
    statuses = sum((part.statuses for part in parts), Counter[int]())
    used = time.process_time() - used
    answer = {"statuses": {f"{k:#06x}": n for k, n in statuses.items()}, "cpu_seconds": used}
    print(json.dumps(answer), flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
