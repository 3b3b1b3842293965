"""Run handlers that were written for pynetdicom on this node's network, and send them a folder.

    python examples/serve_handlers.py FOLDER KEPT

The images of FOLDER are sent by pynetdicom to a server in this process, whose handler keeps them
in the folder KEPT. A server of its own has `block=True`, and a port that others know.
"""

import sys
from pathlib import Path

from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

from node.net import serve


def handle_open(event: evt.Event) -> None:
    """Say who connects."""
    print(f"connection from {event.address[0]}")


def handle_store(event: evt.Event, kept: Path) -> int:
    """Keep an image, and return the status."""
    path = kept / f"{event.request.AffectedSOPInstanceUID}.dcm"
    path.write_bytes(event.encoded_dataset())
    print(f"{event.dataset.Modality} of {event.assoc.requestor.ae_title}")
    return 0x0000


def main(folder: str, kept: str) -> None:
    """Serve, and send."""
    Path(kept).mkdir(exist_ok=True)
    ae = AE(ae_title="KEEPER")
    ae.supported_contexts = StoragePresentationContexts
    ae.add_supported_context(Verification)
    handlers = [(evt.EVT_CONN_OPEN, handle_open), (evt.EVT_C_STORE, handle_store, [Path(kept)])]

    # The one line that is another one: with pynetdicom it is ae.start_server and the same arguments
    with serve(ae, ("127.0.0.1", 0), block=False, evt_handlers=handlers) as server:
        ae.requested_contexts = StoragePresentationContexts
        association = ae.associate(*server.server_address, ae_title="KEEPER")
        for path in sorted(Path(folder).rglob("*.dcm")):
            print(f"{path.name}: 0x{association.send_c_store(path).Status:04X}")
        association.release()


if __name__ == "__main__":
    main(*sys.argv[1:])
