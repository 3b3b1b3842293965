"""Tell an event by HTTP, several times where that may help."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from node.errors import PeerUnreachable
from node.net.webhook import post
from node.ops.hooking.event import Delivery, signed

_AGAIN = frozenset({408, 425, 429})
"""What a server answers that may take it later, beside its own failures (RFC 9110 15, RFC 6585)."""


async def tell_webhook(
    url: str,
    event_id: UUID,
    body: bytes,
    *,
    secret: str,
    timeout: float,
    attempts: int,
    wait: float,
) -> Delivery:
    """Send an event until it is taken: any status from 200 to 299.

    Parameters
    ----------
    secret
        What requests are signed with; empty for none.
    timeout
        Seconds for each request.
    attempts
        How often it is sent at most.
    wait
        Seconds between the first two; doubled each time.
    """
    began = time.monotonic()
    attempt = 1
    while True:
        # signed anew each time: who takes it may refuse an old timestamp
        headers = signed(event_id, body, secret, timestamp=int(time.time()))
        said = await _sent(url, body, headers, timeout)
        if not said.again or attempt >= attempts:
            return replace(said, attempts=attempt, seconds=time.monotonic() - began)
        await asyncio.sleep(wait * 2 ** (attempt - 1))
        attempt += 1


async def _sent(url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Delivery:
    try:
        answer = await post(url, body, headers, timeout=timeout)
    except PeerUnreachable as error:
        return Delivery(done=False, again=True, reason=str(error))
    done = 200 <= answer.status < 300
    return Delivery(
        done=done,
        again=not done and (answer.status >= 500 or answer.status in _AGAIN),
        reason="" if done else f"it answered with HTTP status {answer.status}",
        code=answer.status,
        output=answer.text,
    )
