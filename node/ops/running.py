"""Whether this node is running, for those who only look."""

from node.config import Config
from node.net.transport.reachable import somebody_listens


async def is_running_here(config: Config) -> bool:
    """Tell whether a node answers under our AE title at our address.

    Where nobody listens there is no node, and what is needed to ask one takes longer to import
    than all else that `dicom-node status` does. With TLS it is loaded all the same: it tells as
    well when our certificate is of no use for asking.
    """
    node = config.node
    if node.tls.certificate is None and not await somebody_listens(node.own_host, node.port):
        return False
    from node.ops.peers import is_running  # noqa: PLC0415 - see above

    return await is_running(config)
