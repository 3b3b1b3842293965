"""When a report is tried again that was not taken; pure."""

from schema.engine.backoff import Backoff

_PAUSE = Backoff(first=5.0, longest=900.0)


def next_report(*, attempts: int, age: float, give_up: float) -> float | None:
    """Return in how many seconds a report is tried again; None when it is given up.

    Parameters
    ----------
    attempts
        How often it was tried, this time included.
    age
        Seconds since it was asked for.
    give_up
        Seconds after that, from which it is not tried any more.
    """
    pause = _PAUSE.pause(attempts)
    return None if age + pause > give_up else pause
