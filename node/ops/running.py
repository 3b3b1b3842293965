"""Whether this node is running, for those who only look."""

from node.config import Config
from node.net.transport.reachable import somebody_listens


async def is_running_here(config: Config) -> bool:
    """Tell whether a node answers under our AE title at our address.

    Where nobody listens there is no node, and what is needed to ask one takes longer to import
    than all else that `dicom-node status` does.
    """
    if not await somebody_listens(config.node.own_host, config.node.port):
        return False
    from node.ops.peers import is_running  # noqa: PLC0415 - see above

    return await is_running(config)
