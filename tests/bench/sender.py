"""A C-STORE sender that costs nearly nothing while the clock runs.

    python -m tests.bench.sender PORT CALLED_AE_TITLE ASSOCIATIONS FOLDER

It associates, encodes every PDU of its share of the folder's images in advance, says `ready`,
waits for a line on its standard input, and then writes and reads sockets only. Nagle's algorithm
is off, and every response is acknowledged at once: some receivers write a response in two pieces,
and would otherwise wait for the delayed acknowledgement of the first. It answers with a line of
JSON: `seconds`, and `statuses`, the number of responses for each status.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian, MRImageStorage

from tests.support.images import dataset_bytes

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MAXIMUM_LENGTH = 65536
CONTEXT_ID = 1
_LAST = 0x02
_COMMAND = 0x01


def item(kind: int, value: bytes) -> bytes:
    """Encode an item of an association request (PS3.8 section 9.3.2)."""
    return struct.pack(">BxH", kind, len(value)) + value


def associate_request(called: str) -> bytes:
    """Encode an A-ASSOCIATE-RQ that proposes MR images in Explicit VR Little Endian."""
    context = struct.pack(">Bxxx", CONTEXT_ID)
    context += item(0x30, MRImageStorage.encode()) + item(0x40, ExplicitVRLittleEndian.encode())
    user = item(0x51, struct.pack(">L", MAXIMUM_LENGTH))
    user += item(0x52, PYDICOM_IMPLEMENTATION_UID.encode())
    body = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), b"BENCH".ljust(16))
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


def data_pdu(flags: int, fragment: bytes) -> bytes:
    """Encode a P-DATA-TF with one presentation data value (PS3.8 section 9.3.5)."""
    value = struct.pack(">LBB", len(fragment) + 2, CONTEXT_ID, flags) + fragment
    return struct.pack(">BxL", 0x04, len(value)) + value


def encode(path: Path, message_id: int, maximum: int) -> bytes:
    """Encode all PDUs that store one file."""
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
    return b"".join(pdus)


class Association:
    """One association as a requestor, and the images that it will send."""

    def __init__(self, port: int, called: str, paths: list[Path]) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(associate_request(called))
        kind, body = self._receive()
        if kind != 0x02:
            raise SystemExit(f"port {port} refuses the association: PDU type {kind:#04x}")
        self.statuses: Counter[int] = Counter()
        maximum = min(_peer_maximum(body) or MAXIMUM_LENGTH, MAXIMUM_LENGTH)
        self._messages = [encode(path, n % 65535 + 1, maximum) for n, path in enumerate(paths)]

    def send(self) -> None:
        """Send every image, one after the other, and count the statuses."""
        for message in self._messages:
            self._socket.sendall(message)
            self.statuses[self._status()] += 1

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
            if hasattr(socket, "TCP_QUICKACK"):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
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


def main(port: str, called: str, associations: str, folder: str) -> None:
    """Send the images of `folder` over several associations at once."""
    paths = sorted(Path(folder).rglob("*.dcm"))
    count = int(associations)
    parts = [Association(int(port), called, paths[n::count]) for n in range(count)]
    threads = [threading.Thread(target=part.send) for part in parts]
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    statuses = sum((part.statuses for part in parts), Counter[int]())
    answer = {"seconds": seconds, "statuses": {f"{k:#06x}": n for k, n in statuses.items()}}
    print(json.dumps(answer), flush=True)
    for part in parts:
        part.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
