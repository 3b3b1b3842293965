"""Where the responses are that pynetdicom's senders now and then wait for in vain.

Every store of the node is answered. What pynetdicom has received it tells itself: `EVT_DIMSE_RECV`
comes from the thread that reads its socket, for each response that it has decoded. A response that
is told of there, and that `send_c_store` does not get, was taken from the queue between the two by
pynetdicom's third thread; see `tests.support.peers.pynetdicom_race`.
"""

import threading
import time
from dataclasses import dataclass, field

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt

from tests.support.images import generate
from tests.support.node import Node

SECONDS = 30.0
PATIENCE = 3.0


@dataclass
class Sender:
    """Sends over one association after the other, and keeps what came and what did not.

    Attributes
    ----------
    stores
        How many were begun.
    lost
        Number of the association and message ID of each store without an answer.
    received
        The same of each response that has come, and how many seconds after its request.
    """

    port: int
    datasets: list
    stores: int = 0
    lost: list = field(default_factory=list)
    received: dict = field(default_factory=dict)

    def run(self, end):
        number = 0
        while time.monotonic() < end:
            number += 1
            self.associate(number)

    def associate(self, number):
        begun = {}

        def note(event):
            command = event.message.command_set
            message_id = command.get("MessageIDBeingRespondedTo")
            if message_id is not None:
                self.received[number, message_id] = time.monotonic() - begun[message_id]

        entity = AE("PYNETDICOM")
        entity.dimse_timeout = PATIENCE
        first = self.datasets[0]
        entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
        association = entity.associate(
            *("127.0.0.1", self.port), ae_title="NODE", evt_handlers=[(evt.EVT_DIMSE_RECV, note)]
        )
        assert association.is_established
        for message_id, dataset in enumerate(self.datasets, 1):
            self.stores += 1
            begun[message_id] = time.monotonic()
            if "Status" not in association.send_c_store(dataset, msg_id=message_id):
                self.lost.append((number, message_id))  # and it has aborted
                return
        association.release()


@pytest.mark.long
def test_a_response_that_pynetdicom_waits_for_in_vain_has_come_to_it(
    cli, tmp_path, migrated_sqlite_url
):
    images = generate(tmp_path / "images", images=50)
    datasets = [dcmread(image.path) for image in images]
    node = Node(cli, tmp_path / "node", migrated_sqlite_url)
    over = threading.Event()

    def compute():
        """Be what else a program does: its threads wait for each other."""
        while not over.is_set():
            sum(range(1000))

    with node.running():
        senders = [Sender(node.port, datasets) for _ in range(2)]
        end = time.monotonic() + SECONDS
        threads = [threading.Thread(target=sender.run, args=(end,)) for sender in senders]
        busy = threading.Thread(target=compute)
        for thread in (busy, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        busy.join()
    stores = sum(sender.stores for sender in senders)
    late = [sender.received.get(one) for sender in senders for one in sender.lost]
    print(f"{stores} stores, {len(late)} without an answer; they came after {late} s")
    assert stores > 100
    assert all(seconds is not None and seconds < PATIENCE for seconds in late)
