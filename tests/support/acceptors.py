"""Acceptors for tests, which nobody has configured."""

from typing import Any

from node.net.entity import accepting
from node.net.messages import Services
from node.net.scp.acceptor import Acceptor


def acceptor(
    services: Services | None = None,
    *,
    aetitle: str = "PACS",
    host: str = "127.0.0.1",
    port: int = 0,
    tls: Any = None,
    access: Any = None,
    limits: Any = None,
    **entity: Any,
) -> Acceptor:
    """Return an acceptor on a free port; `entity` is what `accepting` takes."""
    services = services or Services()
    return Acceptor(
        accepting(aetitle, services, **entity),
        host=host,
        port=port,
        services=services,
        access=access,
        limits=limits,
        tls=tls,
    )
