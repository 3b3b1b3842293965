"""Waiting for a condition with a deadline: the only way in which a test may wait."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
Describe = Callable[[], object] | str | None


def wait_until(
    condition: Callable[[], T],
    timeout: float = 10.0,
    *,
    interval: float = 0.02,
    describe: Describe = None,
) -> T:
    """Call `condition` until it returns something true, and return that.

    `timeout` and `interval` are in seconds. `describe`, a text or a function called when time is
    up, tells the reader of the failure what was there instead.
    """
    deadline = time.monotonic() + timeout
    while True:
        if result := condition():
            return result
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(condition, timeout, describe))
        time.sleep(interval)


async def wait_until_async(
    condition: Callable[[], Awaitable[T] | T],
    timeout: float = 10.0,
    *,
    interval: float = 0.02,
    describe: Describe = None,
) -> T:
    """Do as `wait_until` without blocking the loop; the condition may be a coroutine function."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        answer = condition()
        result = await answer if inspect.isawaitable(answer) else answer
        if result:
            return result
        if loop.time() >= deadline:
            raise AssertionError(_failure(condition, timeout, describe))
        await asyncio.sleep(interval)


def _failure(condition: object, timeout: float, describe: Describe) -> str:
    name = getattr(condition, "__qualname__", repr(condition))
    text = f"not so within {timeout:g} s: {name}"
    if describe is None:
        return text
    return f"{text}\n{describe() if callable(describe) else describe}"
