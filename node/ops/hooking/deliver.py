"""Tell an event to a hook, whichever kind it is of."""

import asyncio

from node.config.hooks import HookSettings
from node.ops.hooking.command import run_command
from node.ops.hooking.event import Delivery, Event

ATTEMPTS = 4
"""How often a request is sent at most."""

WAIT = 2.0
"""Seconds between the first two requests; doubled each time."""


async def deliver(
    hook: HookSettings, event: Event, *, attempts: int = ATTEMPTS, wait: float = WAIT
) -> Delivery:
    """Tell an event, and return what became of it; nothing is raised but a cancellation.

    It blocks nobody: whoever must not wait makes a task of it.

    Parameters
    ----------
    attempts, wait
        How often a request is sent at most, and seconds between the first two. A command runs once.
    """
    body = event.written(include_patient_data=hook.include_patient_data)
    if hook.url is None:
        return await run_command(hook.command, body, timeout=hook.timeout)
    from node.ops.hooking.webhook import tell_webhook  # noqa: PLC0415 - loads the HTTP library

    try:
        secret = await asyncio.to_thread(_secret_of, hook)
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or "no UTF-8 text"
        return Delivery(done=False, again=True, reason=f"{hook.secret_file}: {said}")
    return await tell_webhook(
        hook.url,
        event.id,
        body,
        secret=secret,
        timeout=hook.timeout,
        attempts=attempts,
        wait=wait,
    )


def _secret_of(hook: HookSettings) -> str:
    """Return what requests are signed with; a file is read each time, so that it may change."""
    if hook.secret_file is not None:
        secret = hook.secret_file.read_text(encoding="utf-8").strip()
        if not secret:
            raise OSError(0, "there is no secret in it")
        return secret
    return hook.secret.get_secret_value() if hook.secret is not None else ""
