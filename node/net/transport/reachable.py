"""Whether anybody listens at an address, for those who have nothing to say there."""

import asyncio


async def somebody_listens(host: str, port: int, *, timeout: float = 2.0) -> bool:
    """Connect, and hang up.

    Parameters
    ----------
    timeout
        Seconds that the connection may take.
    """
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
