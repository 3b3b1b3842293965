"""When an event is told again that was not taken; pure."""

from dataclasses import dataclass

from schema.engine.backoff import Backoff


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryLimits:
    """How often and how long an event is told to a hook.

    Attributes
    ----------
    retry, retry_limit
        Seconds: the first wait, which is doubled each time, and the longest one.
    attempts
        How often it is told at most.
    give_up
        Seconds after the event from which it is not told again.
    """

    retry: float
    retry_limit: float
    attempts: int
    give_up: float


def next_delivery(
    limits: DeliveryLimits, *, again: bool, attempts: int, age: float
) -> float | None:
    """Return in how many seconds an event is told again; None when it is given up.

    Parameters
    ----------
    again
        Whether it may be taken another time.
    attempts
        How often it was told, this one included.
    age
        Seconds since it has happened.
    """
    if not again or attempts >= limits.attempts:
        return None
    pause = Backoff(first=limits.retry, longest=limits.retry_limit).pause(attempts)
    return None if age + pause > limits.give_up else pause
